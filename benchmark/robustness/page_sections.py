"""The comparisons of ``bench robust`` as sections of ``bench report``'s page, from what is on file."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import BenchError
from benchmark.report.page.section import Section
from benchmark.robustness.comparison_files import Comparison, read_comparisons
from benchmark.robustness.summary import summarise
from benchmark.robustness.tables import sheets_of
from benchmark.store.layout import ResultsLayout

_INTRO = (
    "Scores on corrupted test images; nothing was trained for them. Retention is the corrupted score as a part of the "
    "clean one."
)
_KINDS = ("scores", "by corruption", "what one change does")


def robust_sections(results: Path) -> list[Section]:
    """Return a section per comparison of a results folder; none where ``bench robust`` was not run.

    A comparison whose results are gone or outdated becomes a section with the reason.
    """
    layout = ResultsLayout(results)
    try:
        found = read_comparisons(layout)
    except BenchError as error:
        return [Section("robustness", "Robustness", _INTRO, problems=[str(error)])]
    return [_section(one, layout) for one in found]


def _section(comparison: Comparison, layout: ResultsLayout) -> Section:
    from benchmark.robustness.figures import by_severity, heat_map

    key = "robustness" + (f"-{comparison.name}" if comparison.name else "")
    heading = "Robustness" + (f": {comparison.name}" if comparison.name else "")
    try:
        summaries = summarise(comparison, layout)
    except BenchError as error:
        return Section(key, heading, _INTRO, problems=[str(error)])
    return Section(
        key,
        heading,
        _INTRO,
        [
            (f"{summary.title}, {kind}", sheet)
            for summary in summaries
            for kind, sheet in zip(_KINDS, sheets_of(summary), strict=False)
        ],
        [
            (f"{summary.title}: {what}", draw(summary))
            for summary in summaries
            for what, draw in (("score by severity", by_severity), ("models and corruptions", heat_map))
        ],
    )
