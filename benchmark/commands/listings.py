"""`bench tables --by` and `--worst`: what the per-image rows say; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark.commands.printing import print_json, say
from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.layout import ResultsLayout


def listings(
    results: Path,
    *,
    by: str | None,
    worst: int | None,
    formats: Sequence[str],
    out: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Build the strata or the worst images of a results folder, write them, print the first format asked for.

    Args:
        results: Results folder.
        by: A key of ``strata_tables.BY``. worst: Images per model and set. One of the two.
        formats: latex, markdown, csv.
        out: Folder for the files.
        as_json: Print the rows as JSON instead.
        chosen: Which records, as ``build_tables`` takes them.
    """
    from benchmark.report.image_rows import image_rows
    from benchmark.report.listing import to_csv, write_listings
    from benchmark.report.strata_tables import strata_tables
    from benchmark.report.worst import worst_lists

    if by is not None and worst is not None:
        raise BenchError("give either --by or --worst; run the command once for each")
    records = [record.to_json() for record in io.read_records(results)]
    images = image_rows(records, results, **chosen)
    made = strata_tables(images, by) if by is not None else worst_lists(images, worst or 0)
    written = write_listings(made, out or ResultsLayout(results).tables, formats)
    if as_json:
        print_json([dict(row) for one in made for row in one.rows])
        return
    if formats[0] == "csv":
        print(to_csv(made), end="")
    else:
        print("\n".join(getattr(one, f"to_{formats[0]}")() for one in made))
    say(Console(stderr=True), "wrote " + ", ".join(str(path) for path in written))
