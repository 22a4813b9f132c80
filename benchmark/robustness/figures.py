"""Robustness as figures: score by severity, and a heat map of models and corruptions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.report.figures.style import COLUMN_IN, add_legend, add_note, look, new_figure, styled
from benchmark.robustness.corruptions import CORRUPTIONS
from benchmark.robustness.rows import Row, Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONG_TITLE = 20  # two columns of longer titles leave the figure
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (6, 1, 1, 1)))


def by_severity(summary: Summary) -> Figure:
    """Draw the mean score over corruptions by severity, one line per row of the table; 0 is the clean score."""
    with styled():
        figure, (axes,) = new_figure(2.6)
        for row, shown in zip(summary.rows, _looks(summary.rows), strict=True):
            x = [0, *row.by_severity]
            axes.plot(x, [_clean(row), *row.by_severity.values()], label=row.title, **shown)
        axes.set_xlabel("severity (0: clean)")
        axes.set_ylabel(f"mDSC on {summary.title}")
        axes.set_xticks([0, *summary.severities])
        long = any(len(row.title) > _LONG_TITLE for row in summary.rows)
        add_legend(figure, *axes.get_legend_handles_labels(), columns=1 if long else 2)
        add_note(figure, summary.told)
    return figure


def heat_map(summary: Summary) -> Figure:
    """Draw the mean score over severities of every row and corruption, with the numbers in the fields."""
    rows, names = summary.rows, summary.corruptions
    values = np.array([[_clean(row), *(row.by_corruption[name].value for name in names)] for row in rows])
    with styled():
        figure, (axes,) = new_figure(1.5 + 0.28 * len(rows), width=max(COLUMN_IN, 1.6 + 0.42 * (len(names) + 1)))
        image = axes.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            shade = "#000000" if value > 0.55 else "#ffffff"
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=6, color=shade)
        axes.grid(False)
        titles = ["clean", *(CORRUPTIONS[name].title for name in names)]
        axes.set_xticks(range(len(titles)), titles, rotation=45, ha="right")
        axes.set_yticks(range(len(rows)), [row.title for row in rows])
        figure.colorbar(image, ax=axes, label=f"mDSC on {summary.title}")
        add_note(figure, summary.told)
    return figure


def _clean(row: Row) -> float:
    """The score without corruption, behind the row's own denoiser."""
    return row.clean.value if row.denoise == "none" else row.clean_denoised.value


def _looks(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Colour and marker by network, as in other figures; lines are dashed by what stands in front of it."""
    bases = [row.name.removesuffix(f" + {row.denoise}") for row in rows]
    networks = dict.fromkeys(zip(bases, [row.model for row in rows], strict=True))
    alone = Counter(model for _, model in networks)  # a model with several recipes or parts is identified by its names
    keys = [row.model if alone[row.model] == 1 else base for row, base in zip(rows, bases, strict=True)]
    front_ends = list(dict.fromkeys(row.denoise for row in rows))
    if len(front_ends) == 1:
        return [look(key, keys) for key in keys]
    dashes = [_DASHES[front_ends.index(row.denoise) % len(_DASHES)] for row in rows]
    distinct = list(dict.fromkeys(keys))
    return [{**look(key, distinct), "linestyle": dash} for key, dash in zip(keys, dashes, strict=True)]
