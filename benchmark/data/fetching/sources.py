"""Where datasets come from: the packaged address list, and mirrors that replace it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.data.listing.datasets import GROUPS
from benchmark.errors import BenchError, unknown_name
from benchmark.untrusted import FormatFault, parse_toml, read_text

SCHEMA = 1
ALIASES: dict[str, tuple[str, ...]] = {"pranet": ("pranet-train", "pranet-test"), **GROUPS}
"""Names that stand for several sources."""

_SAFE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_. -]*$"
_MAX_LIST_BYTES = 1 << 20


class Archive(BaseModel):
    """One zip archive: its address and its target; the fields are explained in ``sources.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=_SAFE_NAME)
    url: str = Field(min_length=1)
    folder: str = Field(pattern=_SAFE_NAME)
    via: Literal["http", "gdown"] = "http"
    checksum: str = Field("", pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})?$")
    size_mb: int = Field(0, ge=0)
    max_unpacked_mb: int | None = Field(None, gt=0)


class Source(BaseModel):
    """A dataset or bundle: archives to fetch, or manual steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    page: str
    terms: str
    datasets: tuple[str, ...] = ()
    files: tuple[Archive, ...] = ()
    steps: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> Source:
        if bool(self.files) == bool(self.steps):
            raise ValueError("expected either files to fetch or manual steps")
        return self


def load_sources(mirror: str | None = None) -> dict[str, Source]:
    """Return every source by name.

    Args:
        mirror: None for the package's list; a TOML file or the address of one, whose entries replace those of the same
            name; or a folder, or the address of one, that holds the archives under their own names.
    Raises:
        BenchError: If the list or mirror cannot be read, or an entry is invalid.
    """
    text = (package_files("benchmark.data.fetching") / "sources.toml").read_text(encoding="utf-8")
    sources = _parse(text, "sources.toml")
    if not mirror:
        return sources
    if mirror.endswith(".toml"):
        return {**sources, **_parse(_read_list(mirror), mirror)}
    base = mirror.rstrip("/")
    if not _is_address(mirror):
        folder = Path(mirror).expanduser()
        if not folder.is_dir():
            raise BenchError(
                f"--mirror {mirror}: no such folder; expected a folder, an address, or a file ending .toml"
            )
        base = folder.resolve().as_uri()
    return {name: _moved(source, base) for name, source in sources.items()}


def expand_sources(names: Iterable[str], sources: dict[str, Source]) -> list[str]:
    """Replace ``pranet`` and group names by their members, each once, in order.

    Raises:
        BenchError: For an unknown name, with the nearest match.
    """
    found: dict[str, None] = {}
    for name in names:
        members = (name,) if name in sources else ALIASES.get(name, ())
        if name.startswith("phantom"):
            raise BenchError(f"{name} needs no download: it is drawn on first use (bench run --datasets phantom)")
        if not members:
            raise unknown_name("dataset", name, [*sources, *(a for a in ALIASES if a != "phantom")])
        found.update(dict.fromkeys(members))
    return list(found)


def _is_address(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _moved(source: Source, base: str) -> Source:
    moved = (a.model_copy(update={"url": f"{base}/{a.file}", "via": "http"}) for a in source.files)
    return source.model_copy(update={"files": tuple(moved)})


def _parse(text: str, where: str) -> dict[str, Source]:
    try:
        payload = parse_toml(text)
    except FormatFault as error:
        raise BenchError(
            f"address list {where}: {error}; see benchmark/data/fetching/sources.toml for the form"
        ) from error
    if payload.pop("schema", None) != SCHEMA:
        raise BenchError(f"address list {where}: expected schema = {SCHEMA} at its top, as in sources.toml")
    return {name: _source(name, entry, where) for name, entry in payload.items()}


def _source(name: str, entry: Any, where: str) -> Source:
    try:
        return Source.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (name, *first["loc"])))
        raise BenchError(f"address list {where}: {place}: {first['msg']}; see sources.toml for the form") from error


def _read_list(mirror: str) -> str:
    try:
        if not _is_address(mirror):
            return read_text(Path(mirror).expanduser(), max_bytes=_MAX_LIST_BYTES)
        import requests

        reply = requests.get(mirror, timeout=(10, 60), stream=True)
        reply.raise_for_status()
        return reply.raw.read(_MAX_LIST_BYTES, decode_content=True).decode("utf-8")
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        detail = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise BenchError(f"--mirror {mirror}: cannot be read ({detail}); check the path or address") from error
