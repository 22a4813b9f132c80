"""A dataset of one's own, described by a small TOML file: where images and masks lie, how they pair, how they are read.

The whole form, of which only ``name``, ``images`` and ``masks`` are required, stands in ``benchmark/data/README.md``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import regex
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from benchmark.data.listing.folders import ACCEPTED, IMAGE_SUFFIXES, composed, pair_by_id, refuse_pipe, shown
from benchmark.data.listing.items import MASK_THRESHOLD, Channels, Item, natural_key
from benchmark.errors import BenchError
from benchmark.untrusted import MAX_TOML_BYTES, parse_toml, read_text

ANY_ID = r"(?P<id>.+)"
_MATCH_S = 0.5
_MAX_PATTERN = 1000
_MAX_DEEP = 2
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


class GroupRule(BaseModel):
    """Which images show the same patient, video or lesion: by a pattern on the id, or by a table."""

    model_config = _STRICT

    regex: str | None = None
    table: str | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> GroupRule:
        if (self.regex is None) == (self.table is None):
            raise ValueError("expected either regex or table")
        return self

    @field_validator("regex")
    @classmethod
    def _has_group(cls, text: str | None) -> str | None:
        return None if text is None else _pattern(text, "group")


class Manifest(BaseModel):
    """A dataset of one's own.

    Attributes:
        name: Used on the command line, in records and as a file name.
        title: Printed in tables; the name if unset.
        root: Folder that the patterns start from, relative to the manifest.
        images: Glob patterns of image files below ``root``.
        masks: Glob patterns of mask files; what they match is never an image.
        match: What ``image_id`` and ``mask_id`` are matched with: the file's stem, or its path below ``root`` without
            suffix.
        image_id: Regular expression on the whole of that, with a group ``id`` and, if need be, ``prefix``, which is put
            before it with a hyphen; other files are strays.
        mask_id: The same for masks. An image and a mask of one id are a pair.
        mask_threshold: Foreground where the mask's grey value is greater.
        channels: Order in which the images' colours are stored.
        expected: Images that the whole set has; 0 where that is not known.
        source: Where to get it.
        licence: Its terms in one line.
        group: What keeps images of one patient on one side of split ``grouped``.
    """

    model_config = _STRICT

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    title: str = ""
    root: str = "."
    images: tuple[str, ...] = Field(min_length=1, strict=False)
    masks: tuple[str, ...] = Field(min_length=1, strict=False)
    match: Literal["stem", "path"] = "stem"
    image_id: str = ANY_ID
    mask_id: str = ANY_ID
    mask_threshold: int = Field(MASK_THRESHOLD, ge=0, le=254)
    channels: Channels = "rgb"
    expected: int = Field(0, ge=0)
    source: str = "the manifest's owner"
    licence: str = "the owner's"
    group: GroupRule | None = None
    _path: Path = PrivateAttr(Path())

    @property
    def path(self) -> Path:
        """The file that it was read from."""
        return self._path

    @field_validator("images", "masks", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("images", "masks")
    @classmethod
    def _below_root(cls, globs: tuple[str, ...]) -> tuple[str, ...]:
        for glob in globs:
            path = PurePosixPath(glob)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"pattern {glob!r} must stay below root: set root instead")
            if path.parts.count("**") > _MAX_DEEP:  # each goes through all folders below again
                raise ValueError(f"pattern {glob!r} has more than {_MAX_DEEP} parts '**': one is enough")
        return globs

    @field_validator("image_id", "mask_id")
    @classmethod
    def _has_id(cls, text: str) -> str:
        return _pattern(text, "id")


def load_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        BenchError: If it cannot be read, is no TOML, or a key is unknown, missing or wrong; the line is named.
    """
    try:
        text = read_text(path, max_bytes=MAX_TOML_BYTES)
        payload = parse_toml(text)
        manifest = Manifest.model_validate(payload)
        manifest._path = path.absolute()
        return manifest
    except OSError as error:
        raise BenchError(f"cannot read manifest {path}: {error.strerror}; check the path") from error
    except ValidationError as error:
        raise BenchError(_first_fault(path, text, error)) from error
    except ValueError as error:  # a name with a NUL in it is one, too
        raise BenchError(f"manifest {path} is no TOML file: {error}") from error


def manifest_items(manifest: Manifest) -> list[Item]:
    """Return the items that a manifest describes, in natural order of their ids.

    Raises:
        BenchError: If a pattern matches nothing, an image has no mask or no group, or two files claim one id.
    """
    root = manifest.path.parent / manifest.root
    if not root.is_dir():
        raise BenchError(f"manifest {manifest.path}: root {root} is no folder; it is relative to the manifest")
    masks = _by_id(manifest, root, manifest.masks, manifest.mask_id, "masks")
    taken = set(masks.values())
    images = _by_id(manifest, root, manifest.images, manifest.image_id, "images", without=taken)
    pairs = pair_by_id(images, masks)
    groups = _groups(manifest, [pair.id for pair in pairs])
    return [
        Item(
            manifest.name,
            pair.id,
            pair.image,
            pair.mask,
            f"{manifest.name}-{groups[pair.id]}",
            channels=manifest.channels,
            mask_threshold=manifest.mask_threshold,
        )
        for pair in pairs
    ]


def _by_id(
    manifest: Manifest, root: Path, globs: Sequence[str], pattern: str, what: str, without: set[Path] | None = None
) -> dict[str, Path]:
    try:
        files = {path for glob in globs for path in root.glob(glob) if _is_image(path)} - (without or set())
    except (OSError, ValueError, NotImplementedError, RecursionError) as error:
        raise BenchError(f"manifest {manifest.path}: {what} = {', '.join(globs)}: {error}; mend the pattern") from None
    found: dict[str, Path] = {}
    for path in sorted(files, key=lambda path: natural_key(str(path))):
        below = path.relative_to(root).with_suffix("").as_posix()
        match = _matched(manifest, pattern, path.stem if manifest.match == "stem" else below, whole=True)
        if match is None:
            continue
        parts = match.groupdict()
        name = composed(re.sub(r"[/\\]", "-", "-".join(filter(None, (parts.get("prefix"), parts["id"])))))
        first = found.setdefault(name, path)
        if first is not path:
            wider = ', or set match = "path" and add a group prefix' if manifest.match == "stem" else ""
            remedy = f"narrow {what} or {what[:-1]}_id{wider}"
            raise BenchError(f"manifest {manifest.path}: {path} and {first} claim the same id {name!r}: {remedy}")
    if not found:
        tried = ", ".join(globs)
        why = (
            f"{len(files)} files match, none has the form {pattern!r}"
            if files
            else f"no image file matches (expected {ACCEPTED})"
        )
        raise BenchError(f"manifest {manifest.path}: {what} = {tried} below {root}: {why}")
    return found


def _is_image(path: Path) -> bool:
    looks_so = path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    return looks_so and (path.is_file() or refuse_pipe(path))


def _groups(manifest: Manifest, ids: Sequence[str]) -> dict[str, str]:
    rule = manifest.group
    if rule is None:
        return {name: name for name in ids}
    found: dict[str, str]
    if rule.regex is not None:
        matches = {name: _matched(manifest, rule.regex, name) for name in ids}
        found = {name: match["group"] for name, match in matches.items() if match is not None}
        where = f"group.regex {rule.regex!r} does not match"
    else:
        table = manifest.path.parent / str(rule.table)
        found = _table(table)
        where = f"group.table {table} has no line for"
    absent = [name for name in ids if name not in found]
    if absent:
        raise BenchError(f"manifest {manifest.path}: {where} {shown(absent)}; every image needs a group")
    return found


def _table(path: Path) -> dict[str, str]:
    """Read a CSV file with the columns id and group."""
    found: dict[str, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"id", "group"} <= set(rows.fieldnames or ()):
                raise BenchError(f"{path}, line 1: expected the columns id and group, got {rows.fieldnames}")
            for row in rows:
                name, group = row["id"], row["group"]
                if not name or not group:
                    raise BenchError(f"{path}, line {rows.line_num}: expected an id and a group")
                if found.setdefault(name, group) != group:
                    raise BenchError(f"{path}, line {rows.line_num}: id {name!r} has two groups; keep one")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}; check the file") from error
    return found


def _matched(manifest: Manifest, pattern: str, text: str, *, whole: bool = False) -> Any:
    """Match a name by ``regex``, which agrees with ``re`` and can be stopped: some patterns would run for years."""
    try:
        return (regex.fullmatch if whole else regex.search)(pattern, text, timeout=_MATCH_S)
    except TimeoutError:
        raise BenchError(
            f"manifest {manifest.path}: pattern {pattern!r} takes more than {_MATCH_S} s on {text!r}; "
            "write it without nested repetitions such as (a+)+"
        ) from None


def _pattern(text: str, group: str) -> str:
    if len(text) > _MAX_PATTERN:
        raise ValueError(f"a pattern of {len(text)} characters; expected at most {_MAX_PATTERN}")
    try:
        compiled = regex.compile(text)
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError(f"{text[:80]!r} is no regular expression: {error or type(error).__name__}") from error
    if group not in compiled.groupindex:
        raise ValueError(f"{text!r} has no group called {group}: write (?P<{group}>...)")
    return text


def _first_fault(path: Path, text: str, error: ValidationError) -> str:
    """One line for what pydantic found first: file, line, key, what is wrong."""
    fault = max(error.errors(), key=lambda one: one["type"] == "extra_forbidden")  # a misspelt key explains most
    keys = [str(key) for key in fault["loc"] if isinstance(key, str)]
    line = _line_of(text, keys)
    place = f"manifest {path}" + (f", line {line}" if line else "")
    name = ".".join(keys)
    if fault["type"] == "missing":
        return f"manifest {path}: {name} is missing: expected at least name, images and masks"
    if fault["type"] == "extra_forbidden":
        known = ", ".join(Manifest.model_fields)
        return f"{place}: unknown key {name}: known are {'regex, table' if len(keys) > 1 else known}"
    given: Any = fault["input"]
    shown = "" if fault["type"] == "value_error" or isinstance(given, dict) else f", got {given!r}"
    return f"{place}: {name}: {fault['msg'].removeprefix('Value error, ')}{shown}"


def _line_of(text: str, keys: Sequence[str]) -> int:
    """Return the line on which a key (or its table) stands, 0 where it is not written plainly."""
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+([^\]]+)\]+", line)
        if header:
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
        entry = re.match(r"""\s*["']?([\w.-]+)["']?\s*=""", line)
        written = [*table, *entry[1].split(".")] if entry else table if header else []
        if written and written == list(keys)[: len(written)] and (entry or written == list(keys)):
            return number
    return 0
