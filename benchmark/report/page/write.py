"""Write the page of a results folder to a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.report.page.page import PageOptions, build_page
from benchmark.report.page.section import Section
from benchmark.store import io


@dataclass(frozen=True)
class Page:
    """A page that was written."""

    file: Path
    num_bytes: int


def write_report(
    results: Path,
    out: Path | None = None,
    *,
    title: str | None = None,
    sections: Sequence[Section] = (),
    **options: Any,
) -> Page:
    """Build the page from the records of a results folder and write it.

    Args:
        results: Results folder.
        out: HTML file; RESULTS/report.html if None.
        title: Heading; the default one if None.
        sections: Sections that other packages make.
        **options: Further fields of ``PageOptions``.
    """
    records = io.read_records(results)
    if title:
        options["title"] = title
    page = build_page(results, records, PageOptions(**options), sections=sections)
    path = out or results / "report.html"
    io.write_text(path, page)
    return Page(path, len(page.encode()))
