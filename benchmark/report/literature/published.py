"""Published numbers, read from CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

from benchmark.errors import BenchError
from benchmark.metrics.measures import MEASURE_KEYS

Severity = Literal["error", "warning", "note"]
REQUIRED = ("dataset", "model")
_ALIASES = {
    "mDSC": {"dice", "dsc", "dic", "dicescore", "dicecoefficient"},
    "mIoU": {"iou", "jaccard", "jac", "intersectionoverunion"},
    "S_alpha": {"salpha", "smeasure", "sm", "structuremeasure"},
    "F_beta_w": {"fbetaw", "wfm", "fwbeta", "weightedfmeasure", "wfmeasure", "wf"},
    "E_phi_max": {"ephimax", "maxem", "emax", "maxephi", "emeasure", "maxe"},
    "MAE": {"mae", "absoluteerror"},
}
"""Other names of the measures, in small letters."""
_BLANK = {"", "-", "–", "—", "n/a"}


@dataclass(frozen=True)
class PublishedRow:
    """One model on one test set as printed.

    Attributes:
        table: Its table, such as "Table 1"; the file's name where the file has no such column.
        values: Printed numbers with their printed digits; a blank cell has no entry.
        paper: Which paper printed it. setup: Split, protocol and size; rows are comparable where it is equal.
        protocol, split, pretrained, recipe, n: The same in our own terms, for a comparison with records: names of a
            scoring protocol, of a split and of a recipe, ``yes`` or ``no``, images of the test set. Empty where the
            paper does not say.
    """

    file: Path
    line: int
    table: str
    dataset: str
    model: str
    values: dict[str, Decimal] = field(default_factory=dict)
    paper: str = ""
    setup: str = ""
    source: str = ""
    protocol: str = ""
    split: str = ""
    pretrained: str = ""
    recipe: str = ""
    n: int | None = None


@dataclass(frozen=True)
class Finding:
    """One finding of an audit.

    Attributes:
        rule: ``range``, ``iou-above-dice``, ``iou-below-bound``, ``claim``, ``across-papers`` or ``edge``.
        severity: ``error`` for the impossible and the false, ``warning`` for a disagreement between papers that
            state one setup, ``note`` for what is plausible but notable.
    """

    table: str
    dataset: str
    model: str
    rule: str
    message: str
    severity: Severity


def published_folder() -> Path:
    """Return the folder of the packaged numbers, whatever the working folder.

    In an installed package it is inside; in a source tree it is ``results/published``.
    """
    package = Path(__file__).resolve().parents[2]
    inside = package / "published"
    return inside if inside.is_dir() else package.parent / "results" / "published"


def published_files(folder: Path) -> list[Path]:
    """Return the CSV files of a folder in order.

    Raises:
        BenchError: The folder holds none.
    """
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise BenchError(f"{folder}: no CSV of published numbers; give a CSV file with the columns {_columns()}")
    return files


def read_published(path: Path) -> list[PublishedRow]:
    """Read a table of printed numbers.

    The columns ``dataset`` and ``model`` and at least one measure are needed; the other fields of ``PublishedRow`` are
    read if present, any other column is ignored.

    Raises:
        BenchError: Not a readable CSV, a needed column or name is missing, or a cell is not a number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise BenchError(f"{path}: cannot read it ({reason}); expected a CSV file with {_columns()}") from None
    reader = csv.DictReader(io.StringIO(text), restkey="surplus")
    try:
        _check_header(path, reader.fieldnames or [])
        rows = [_read_row(path, reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise BenchError(f"{path}, line {reader.line_num}: not a CSV file ({error}); expected {_columns()}") from None
    if not rows:
        raise BenchError(f"{path}: no rows below the header; expected one row per dataset and model")
    return rows


def unread_columns(path: Path) -> list[str]:
    """Return the ignored columns of a CSV, each with the column that it probably means."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    known = {*REQUIRED, *MEASURE_KEYS, *(f.name for f in fields(PublishedRow)), "note", "notes"}
    unread = [name for name in header if name.strip() and name not in known]
    return [f"{name} (meant as {meant}?)" if (meant := _meant(name)) else name for name in unread]


def _meant(name: str) -> str:
    plain = re.sub(r"[^a-z]", "", name.lower())
    bare = plain.removeprefix("mean").removeprefix("avg")
    return next((key for key, words in _ALIASES.items() if {plain, bare, bare.removeprefix("m")} & words), "")


def _columns() -> str:
    return f"{', '.join(REQUIRED)} and any of {', '.join(MEASURE_KEYS)}"


def _check_header(path: Path, header: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise BenchError(f"{path}, row 1: column {missing[0]!r} is missing; expected {_columns()}")
    if not set(header) & set(MEASURE_KEYS):
        raise BenchError(f"{path}, row 1: no column of scores; expected any of {', '.join(MEASURE_KEYS)}")


def _read_row(path: Path, line: int, cells: dict[str, str]) -> PublishedRow:
    if "surplus" in cells or None in cells.values():
        raise BenchError(f"{path}, row {line}: number of cells differs from the header's; quote texts with commas")
    for name in REQUIRED:
        if not cells[name].strip():
            raise BenchError(f"{path}, row {line}: column {name!r} is empty; name the {name}")
    printed = {key: cells[key].strip() for key in MEASURE_KEYS if key in cells}
    return PublishedRow(
        file=path,
        line=line,
        table=cells.get("table", "").strip() or path.name,
        dataset=cells["dataset"].strip(),
        model=cells["model"].strip(),
        values={
            key: _read_number(path, line, key, text) for key, text in printed.items() if text.lower() not in _BLANK
        },
        paper=cells.get("paper", "").strip() or path.stem,
        setup=cells.get("setup", "").strip(),
        source=cells.get("source", "").strip(),
        n=_read_count(path, line, cells.get("n", "").strip()),
        **{key: cells.get(key, "").strip() for key in ("protocol", "split", "pretrained", "recipe")},
    )


def _read_count(path: Path, line: int, text: str) -> int | None:
    if text and not re.fullmatch(r"[0-9]{1,9}", text):
        raise BenchError(f"{path}, row {line}, column 'n': {text!r} is not a number of images")
    return int(text) if text else None


def _read_number(path: Path, line: int, column: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise BenchError(f"{path}, row {line}, column {column!r}: {text!r} is not a number such as 0.832")
    return number
