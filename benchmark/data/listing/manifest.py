"""A dataset described by a small TOML file: where images and masks are, how they pair, how they are read.

``benchmark/data/README.md`` shows every key; only ``name``, ``images`` and ``masks`` are required.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import regex
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from benchmark.data.listing.annotations import Shapes
from benchmark.data.listing.items import MASK_THRESHOLD, Channels
from benchmark.errors import BenchError
from benchmark.untrusted import MAX_TOML_BYTES, parse_toml, read_text

ANY_ID = r"(?P<id>.+)"
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
    """A dataset described by its owner.

    Attributes:
        name: Used on the command line, in records and as a file name.
        title: Printed in tables; the name if unset.
        root: Folder that the patterns start from, relative to the manifest.
        images: Glob patterns of image files below ``root``.
        negatives: Glob patterns of images without a polyp, which have no mask file: their masks are drawn black.
        masks: Glob patterns of mask files; what they match is never an image. Either these or ``annotations``.
        annotations: Glob patterns of COCO or LabelMe files, whose shapes are drawn into masks.
        shapes: Outlines, or boxes instead.
        labels: Categories that are foreground; every one if unset.
        match: What ``image_id`` and ``mask_id`` are matched with: the file's stem, or its path below ``root`` without
            suffix.
        image_id: Regular expression on the whole of that, with a group ``id`` and, if need be, ``prefix``, which is put
            before it with a hyphen; other files are strays.
        mask_id: The same for masks. An image and a mask of one id are a pair.
        mask_threshold: Foreground where the mask's grey value is greater.
        mask_colours: Masks are coloured, and any colour is foreground.
        channels: Order in which the images' colours are stored.
        expected: Images that the whole set has; 0 if unknown.
        source: Where to get it.
        licence: Its terms in one line.
        part: Which centre, modality or published part an image belongs to, by a regular expression with a group
            ``part`` on the id; for splits ``leave-out:PART`` and ``official``.
        part_names: Other names for parts.
        group: Keeps images of one patient on one side of split ``grouped``.
    """

    model_config = _STRICT

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    title: str = ""
    root: str = "."
    images: tuple[str, ...] = Field((), strict=False)
    negatives: tuple[str, ...] = Field((), strict=False)
    masks: tuple[str, ...] = Field((), strict=False)
    annotations: tuple[str, ...] = Field((), strict=False)
    shapes: Shapes = "polygons"
    labels: tuple[str, ...] = Field((), strict=False)
    match: Literal["stem", "path"] = "stem"
    image_id: str = ANY_ID
    mask_id: str = ANY_ID
    mask_colours: bool = False
    mask_threshold: int = Field(MASK_THRESHOLD, ge=0, le=254)
    channels: Channels = "rgb"
    expected: int = Field(0, ge=0)
    source: str = "the manifest's owner"
    licence: str = "the owner's"
    part: str | None = None
    part_names: dict[str, str] = Field(default_factory=dict)
    group: GroupRule | None = None
    _path: Path = PrivateAttr(Path())

    @property
    def path(self) -> Path:
        """The manifest's file."""
        return self._path

    @field_validator("images", "masks", "negatives", "annotations", "labels", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("images", "masks", "negatives", "annotations")
    @classmethod
    def _below_root(cls, globs: tuple[str, ...]) -> tuple[str, ...]:
        if not globs:
            raise ValueError("expected at least one pattern")
        for glob in globs:
            path = PurePosixPath(glob)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"pattern {glob!r} must stay below root: set root instead")
            if path.parts.count("**") > _MAX_DEEP:  # each goes through all folders below again
                raise ValueError(f"pattern {glob!r} has more than {_MAX_DEEP} parts '**': one is enough")
        return globs

    @model_validator(mode="after")
    def _one_kind_of_mask(self) -> Manifest:
        if self.images and bool(self.masks) == bool(self.annotations):
            raise ValueError("expected either masks or annotations (COCO or LabelMe files)")
        if not self.images and (self.masks or self.annotations or not self.negatives):
            raise ValueError("images is missing: expected at least name, images and masks")
        return self

    @field_validator("part")
    @classmethod
    def _has_part(cls, text: str | None) -> str | None:
        return None if text is None else _pattern(text, "part")

    @field_validator("image_id", "mask_id")
    @classmethod
    def _has_id(cls, text: str) -> str:
        return _pattern(text, "id")


def load_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        BenchError: If it cannot be read, is not TOML, or a key is unknown, missing or wrong; the line is given.
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
        raise BenchError(f"manifest {path} is not TOML: {error}") from error


def packaged_manifest(name: str) -> Manifest:
    """Return the layout of a known dataset, which ships with the package."""
    with as_file(files("benchmark.data.listing") / "manifests" / f"{name}.toml") as path:
        return load_manifest(path)


def _pattern(text: str, group: str) -> str:
    if len(text) > _MAX_PATTERN:
        raise ValueError(f"a pattern of {len(text)} characters; expected at most {_MAX_PATTERN}")
    try:
        compiled = regex.compile(text)
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError(f"{text[:80]!r} is not a regular expression: {error or type(error).__name__}") from error
    if group not in compiled.groupindex:
        raise ValueError(f"{text!r} has no group called {group}: write (?P<{group}>...)")
    return text


def _first_fault(path: Path, text: str, error: ValidationError) -> str:
    """Return pydantic's first error in one line: file, line, key, reason."""
    fault = max(error.errors(), key=lambda one: one["type"] == "extra_forbidden")  # it explains most others
    keys = [str(key) for key in fault["loc"] if isinstance(key, str)]
    line = _line_of(text, keys)
    place = f"manifest {path}" + (f", line {line}" if line else "")
    name = ".".join(keys)
    if fault["type"] == "missing":
        return f"manifest {path}: {name} is missing: expected at least name, images and masks (or annotations)"
    if fault["type"] == "extra_forbidden":
        known = ", ".join(Manifest.model_fields)
        return f"{place}: unknown key {name}: known are {'regex, table' if len(keys) > 1 else known}"
    given: Any = fault["input"]
    shown = "" if fault["type"] == "value_error" or isinstance(given, dict) else f", got {given!r}"
    key = f"{name}: " if name else ""
    return f"{place}: {key}{fault['msg'].removeprefix('Value error, ')}{shown}"


def _line_of(text: str, keys: Sequence[str]) -> int:
    """Return the line of a key (or its table), 0 if it is not found."""
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
