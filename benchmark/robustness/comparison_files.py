"""What a ``bench robust`` compared, kept beside its results: a report makes the same tables from it, without images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from benchmark.errors import BenchError
from benchmark.robustness.cells import Asked, Source
from benchmark.robustness.corruptions import get_corruption
from benchmark.robustness.corruptions.base import check_severity
from benchmark.robustness.evaluate import Unit
from benchmark.robustness.front_ends import get_denoiser
from benchmark.store import io
from benchmark.store.layout import ResultsLayout
from benchmark.store.robust_results import CLEAN

_FILE = "main"
"""File name of a comparison without a name."""


class Comparison(BaseModel):
    """Cells, corruptions and denoisers of one command.

    Attributes:
        name: Distinguishes the tables of several commands; empty for the only one.
        cells: In the order of the command.
        corruptions: By test set.
        denoisers: Labels, as in the names of results.
        protocol: Protocol of the tables, with its hash.
        reference: Model of mCE and differences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str
    cells: tuple[str, ...] = Field(min_length=1)
    corruptions: dict[str, tuple[str, ...]] = Field(min_length=1)
    severities: tuple[int, ...] = Field(min_length=1)
    denoisers: tuple[str, ...] = Field(min_length=1)
    protocol: str
    protocol_hash: str
    reference: str

    @model_validator(mode="after")
    def _names_are_known(self) -> Comparison:
        """Check what becomes a file's name or is looked up: the file may come from an export of somebody else."""
        try:
            check_name(self.name)
            for severity in self.severities:
                check_severity(severity)
            for names in self.corruptions.values():
                if not names:
                    raise BenchError("a test set without corruptions")
                for name in names:
                    get_corruption(name)
        except BenchError as error:
            raise ValueError(str(error)) from None
        return self


def check_name(name: str) -> None:
    """Refuse a name that cannot be part of a file's name.

    Raises:
        BenchError: It holds other characters than small letters, digits and hyphens, or is reserved.
    """
    if name and (not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or name == _FILE):
        raise BenchError(f"--name {name}: expected small letters, digits and hyphens, other than {_FILE}")


def comparison_of(asked: Asked, sources: Sequence[Source], units: Sequence[Unit]) -> Comparison:
    """Return what a command compares."""
    corruptions = {
        name: tuple(dict.fromkeys(u.corruption for u in units if u.dataset == name and u.corruption != CLEAN))
        for name in sources[0].items
    }
    return Comparison(
        name=asked.name,
        cells=tuple(source.record.cell for source in sources),
        corruptions=corruptions,
        severities=tuple(sorted(set(asked.severities))),
        denoisers=tuple(dict.fromkeys(get_denoiser(name).label for name in asked.denoisers)),
        protocol=asked.protocol,
        protocol_hash=asked.protocols[asked.protocol].hash,
        reference=asked.reference,
    )


def keep(comparison: Comparison, layout: ResultsLayout) -> Path:
    """Write the comparison into the results folder; one of the same name is replaced."""
    path = layout.robust / f"{comparison.name or _FILE}.json"
    io.write_json(path, comparison.model_dump(mode="json", by_alias=True))
    return path


def read_comparisons(layout: ResultsLayout) -> list[Comparison]:
    """Read every comparison of a results folder, the one without a name first.

    Raises:
        BenchError: A file is not a comparison, or of a newer schema.
    """
    found = [_read(path) for path in sorted(layout.robust.glob("*.json"))]
    return sorted(found, key=lambda one: one.name)


def _read(path: Path) -> Comparison:
    try:
        found = Comparison.model_validate(io.read_json(path))
        if path.stem != (found.name or _FILE):
            raise ValueError(f"it is named {found.name!r} inside")
        return found
    except (OSError, ValueError, AttributeError) as error:
        fault = io.first_fault(error)
        raise BenchError(f"{path}: not a comparison of bench robust ({fault}); delete it and run it again") from None
