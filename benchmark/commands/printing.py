"""Printing that the commands share: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.errors import visible

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.report.sheets.sheet import Printable
    from benchmark.report.tables.ablations import AblationTable


def print_tables(made: Sequence[Printable | AblationTable], form: str) -> None:
    """Print every table; CSV rows with the same columns under one header."""
    texts = [getattr(getattr(table, "sheet", table), f"to_{form}")() for table in made]
    if form != "csv":
        print(*texts, sep="\n")
        return
    above = None
    for text in texts:
        head, _, rows = text.partition("\n")
        print(rows if head == above else text, end="")
        above = head


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Aligned columns on a terminal, tab-separated values elsewhere."""
    if not rows:
        return
    cells = [[visible(str(key)) for key in rows[0]]]
    cells += [["" if v is None else visible(str(v)) for v in row.values()] for row in rows]
    if not sys.stdout.isatty():
        print("\n".join("\t".join(line) for line in cells))
        return
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def print_json(payload: Any) -> None:
    print(visible(json.dumps(payload, indent=1, ensure_ascii=False, default=str)))


class Notes:
    """Whether ``say`` is heard: --quiet on a command without progress of its own turns it off."""

    silent = False


def say(console: Console, text: str) -> None:
    """Tell the user something beside the results, on standard error."""
    if Notes.silent:
        return
    console.print(visible(text), markup=False, highlight=False, soft_wrap=True)


def teller(console: Console, quiet: bool) -> Callable[[str], None]:
    return (lambda _: None) if quiet else (lambda text: say(console, text))
