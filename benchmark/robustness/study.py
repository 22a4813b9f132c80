"""``bench robust`` as a function: measure missing results, summarise, write tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.report.sheets.sheet import Sheet
from benchmark.robustness.cells import Asked, find_sources
from benchmark.robustness.comparison_files import Comparison, check_name, comparison_of, keep, read_comparisons
from benchmark.robustness.evaluate import plan_units
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
    _ = asked.protocols  # raises: a wrong protocol is refused before any file is read
    check_name(asked.name)
    sources = find_sources(asked)
    units = plan_units(asked, sources, notice)
    num_measured = measure(asked, sources, units, notice=notice, progress=progress)
    layout = ResultsLayout(asked.results)
    comparison = comparison_of(asked, sources, units)
    summaries = summarise(comparison, layout)
    keep(comparison, layout)
    return _written(summaries, layout, out, formats, num_measured, len(units) * len(sources))


def kept_robustness(
    results: Path,
    name: str = "",
    *,
    out: Path | None = None,
    formats: Sequence[str] = ("latex", "markdown", "html", "csv"),
) -> Robustness:
    """Make the tables and figures of earlier comparisons again, from what is on file; no image is read.

    Args:
        results: Results folder, or an export.
        name: Only the comparison of this name; every one if empty.
        out: As for ``robustness``.
        formats: Of the tables.
    Raises:
        BenchError: No such comparison, or a result that is missing, damaged or outdated.
    """
    layout = ResultsLayout(results)
    found = read_comparisons(layout)
    chosen = [one for one in found if name in ("", one.name)]
    if not chosen:
        known = ", ".join(one.name or "(without a name)" for one in found)
        said = f"no comparison named {name}; on file: {known}" if found else "no comparison is on file"
        raise BenchError(f"{results}: {said}; bench robust makes one")
    summaries = [summary for one in chosen for summary in summarise(one, layout)]
    results_used = sum(len(one.cells) * _num_units(one) for one in chosen)
    return _written(summaries, layout, out, formats, 0, results_used)


def _num_units(comparison: Comparison) -> int:
    """Corrupted test sets of a comparison, as ``plan_units`` counts them: behind a denoiser also the clean ones."""
    behind = sum(label != "none" for label in comparison.denoisers)
    return sum(
        len(names) * len(comparison.severities) * len(comparison.denoisers) + behind
        for names in comparison.corruptions.values()
    )


def _written(
    summaries: Sequence[Summary],
    layout: ResultsLayout,
    out: Path | None,
    formats: Sequence[str],
    num_measured: int,
    num_results: int,
) -> Robustness:
    from benchmark.report.figures.style import save_figure
    from benchmark.report.sheets.files import write_tables
    from benchmark.robustness.figures import by_severity, heat_map

    sheets = [sheet for summary in summaries for sheet in sheets_of(summary)]
    files = write_tables(sheets, out or layout.tables, formats)
    for summary in summaries:
        for name, draw in (("severity", by_severity), ("heat-map", heat_map)):
            files += save_figure(draw(summary), out or layout.figures, f"{summary.stem}-{name}")
    return Robustness(tuple(summaries), tuple(sheets), tuple(files), num_measured, num_results)
