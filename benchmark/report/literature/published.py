"""Numbers that papers print, and an audit of them by arithmetic alone."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

from benchmark.errors import BenchError
from benchmark.report.records.names import MEASURE_KEYS

Severity = Literal["error", "warning", "note"]
REQUIRED = ("dataset", "model")
_BLANK = {"", "-", "–", "—", "n/a"}


@dataclass(frozen=True)
class PublishedRow:
    """One model on one test set as printed.

    Attributes:
        table: Where it stands, such as "Table 1"; the file's name where the file has no such column.
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
    """One thing that does not hold.

    Attributes:
        rule: ``range``, ``iou-above-dice``, ``iou-below-bound``, ``claim``, ``across-papers`` or ``edge``.
        severity: ``error`` for the impossible and the false, ``warning`` for a disagreement between papers that
            state one setup, ``note`` for what may well be so but should be known.
    """

    table: str
    dataset: str
    model: str
    rule: str
    message: str
    severity: Severity


def published_folder() -> Path:
    """Return the folder of the numbers that come with this package, wherever it is called from.

    In an installed package it lies inside; in a source tree it is ``results/published``.
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
        raise BenchError(f"{folder}: no CSV of published numbers; name a CSV file with the columns {_columns()}")
    return files


def read_published(path: Path) -> list[PublishedRow]:
    """Read a table of printed numbers.

    The columns ``dataset`` and ``model`` and at least one measure are needed; the other fields of ``PublishedRow`` are
    taken where present, any other column is left alone.

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
        raise BenchError(f"{path}, line {reader.line_num}: no CSV ({error}); expected {_columns()}") from None
    if not rows:
        raise BenchError(f"{path}: no rows below the header; expected one row per dataset and model")
    return rows


def audit_published(paths: Sequence[Path], *, notes: bool = False) -> list[Finding]:
    """Check printed tables: ranges, Dice against IoU, claims of being best, the same number across papers.

    A file ``x.claims.toml`` beside ``x.csv`` holds what the paper's text says about its tables. A file of the user's
    own that repeats a table which comes with the package is held against that table's claims.

    Args:
        paths: CSV files; numbers are compared across papers among the files given.
        notes: Also report what may well be so but should be known: rows possible only at the very edge of the
            arithmetic, loose words of the text, numbers of other setups.
    Returns:
        Findings by file and row, then claims, then comparisons. Empty: nothing to object to.
    Raises:
        BenchError: A file is missing or malformed.
    """
    from benchmark.report.literature.claims import check_claims, claims_of, read_claims
    from benchmark.report.literature.rules import check_across, check_row

    findings: list[Finding] = []
    every: list[PublishedRow] = []
    for path in paths:
        rows = read_published(path)
        every += rows
        findings += [finding for row in rows for finding in check_row(row, notes=notes)]
        claims = claims_of(path, rows)
        if claims is not None:
            findings += check_claims(read_claims(claims), rows, where=claims, notes=notes)
    return findings + [one for one in check_across(every) if notes or one.severity != "note"]


def findings_json(findings: Sequence[Finding]) -> str:
    """Return a JSON array: one object with table, dataset, model, rule and message per finding."""
    keys = ("table", "dataset", "model", "rule", "message")
    lines = ",\n".join(json.dumps({key: getattr(one, key) for key in keys}, ensure_ascii=False) for one in findings)
    return f"[\n{lines}\n]\n" if lines else "[]\n"


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
