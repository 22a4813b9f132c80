"""``bench robust`` as a function: measure missing results, summarise, write tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.report.sheets.sheet import Sheet
from benchmark.robustness.cells import Asked, find_sources
from benchmark.robustness.evaluate import plan_units
from benchmark.robustness.kept import check_name, comparison_of, keep
from benchmark.robustness.measure import Progress, measure
from benchmark.robustness.rows import Summary
from benchmark.robustness.summary import summarise
from benchmark.robustness.tables import sheets_of
from benchmark.store.layout import ResultsLayout


@dataclass(frozen=True)
class Robustness:
    """Results of ``bench robust``.

    Attributes:
        summaries: One per test set.
        sheets: Tables, ready to print.
        files: Files written.
        num_measured: Results measured now; the others were kept.
        num_results: Results that the tables rest on.
    """

    summaries: tuple[Summary, ...]
    sheets: tuple[Sheet, ...]
    files: tuple[Path, ...]
    num_measured: int
    num_results: int


def robustness(
    asked: Asked,
    *,
    out: Path | None = None,
    formats: Sequence[str] = ("latex", "markdown", "html", "csv"),
    notice: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda *_: None,
) -> Robustness:
    """Predict and score finished cells on corrupted test sets, without training; write tables and figures.

    Args:
        asked: Cells, corruptions, denoisers.
        out: Folder of the tables and figures; ``RESULTS/tables`` and ``RESULTS/figures`` if None.
        formats: Of the tables.
        notice: Receives warnings.
        progress: Receives progress.
    Raises:
        BenchError: As ``find_sources``, ``plan_units``, ``measure`` and ``summarise``.
    """
    from benchmark.report.figures.style import save_figure
    from benchmark.report.sheets.files import write_tables
    from benchmark.robustness.figures import by_severity, heat_map

    _ = asked.protocols  # raises: a wrong protocol is refused before any file is read
    check_name(asked.name)
    sources = find_sources(asked)
    units = plan_units(asked, sources, notice)
    num_measured = measure(asked, sources, units, notice=notice, progress=progress)
    layout = ResultsLayout(asked.results)
    comparison = comparison_of(asked, sources, units)
    summaries = summarise(comparison, layout)
    keep(comparison, layout)
    sheets = [sheet for summary in summaries for sheet in sheets_of(summary)]
    files = write_tables(sheets, out or layout.tables, formats)
    for summary in summaries:
        for name, draw in (("severity", by_severity), ("heat-map", heat_map)):
            files += save_figure(draw(summary), out or layout.figures, f"{summary.stem}-{name}")
    return Robustness(tuple(summaries), tuple(sheets), tuple(files), num_measured, len(units) * len(sources))
