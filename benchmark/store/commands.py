"""Which command made which records: one small file per `bench run`, `ablate` or `evaluate`, beside the cells."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record
from benchmark.untrusted import read_json

CommandStatus = Literal["running", "finished", "failed", "interrupted"]


class Command(BaseModel):
    """A command and its records. Names no user and no folder of the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    schema_version: Literal[1] = Field(default=1, alias="schema")
    id: str = Field(pattern=r"^[A-Za-z0-9_-]+$", description="Also the file's name.")
    name: str = Field(description="run, ablate or evaluate.")
    asked: dict[str, Any] = Field(default={}, description="The options that say what was compared.")
    cells: dict[str, str] = Field(default={}, description="Cell -> when its record was created.")
    files: list[str] = Field(default=[], description="Tables and figures, relative to the results folder.")
    status: CommandStatus = "running"
    created: str
    ended: str | None = None

    @field_validator("files")
    @classmethod
    def _stay_inside(cls, files: list[str]) -> list[str]:
        """Refuse other paths: files go to a tracking server, and an untrusted command must not name a local file."""
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
                raise ValueError(f"file {name!r} is outside the results folder")
        return files

    @classmethod
    def start(cls, name: str, asked: dict[str, Any]) -> Command:
        """Return a command that starts now."""
        now = datetime.now(UTC)
        return cls(id=f"{now:%Y%m%dT%H%M%S}-{name}-{secrets.token_hex(2)}", name=name, asked=asked, created=stamp(now))

    def with_record(self, record: Record) -> Command:
        """Return the command with one more record."""
        return self.model_copy(update={"cells": {**self.cells, record.cell: record.created}})

    def end(self, status: CommandStatus, layout: ResultsLayout, files: list[Path]) -> Command:
        """Return the finished command; files outside the results folder are omitted."""
        root = layout.root.resolve()
        inside = [path.resolve() for path in files if path.resolve().is_relative_to(root)]
        names = [path.relative_to(root).as_posix() for path in inside]
        return self.model_copy(update={"status": status, "files": names, "ended": stamp(datetime.now(UTC))})


def stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def write_command(layout: ResultsLayout, command: Command) -> None:
    """Write a command's file atomically."""
    io.write_json(layout.command(command.id), command.model_dump(mode="json", by_alias=True))


def read_commands(layout: ResultsLayout) -> list[Command]:
    """Every command of a results folder, oldest first.

    Raises:
        BenchError: A file that is not a command.
    """
    return [_read(path) for path in sorted(layout.commands.glob("*.json"))]


def _read(path: Path) -> Command:
    try:
        return Command.model_validate(read_json(path))
    except (OSError, ValueError) as error:
        fault = error.errors()[0]["msg"].lower() if isinstance(error, ValidationError) else str(error)
        raise BenchError(f"{path}: not a readable command ({fault}); delete it, the records do not need it") from None


def study_id(layout: ResultsLayout) -> str:
    """Return the id of this results folder on a tracking server, which survives moving and copying the folder."""
    path = layout.study
    if not path.is_file():
        io.write_json(path, {"id": secrets.token_hex(4)})
    try:
        return re.fullmatch(r"[A-Za-z0-9_-]{1,64}", read_json(path)["id"])[0]  # type: ignore[index]
    except (OSError, ValueError, KeyError, TypeError):  # it is used in queries and names
        raise BenchError(
            f"{path}: expected an object with key id, letters and digits; delete it to give the study a new name"
        ) from None
