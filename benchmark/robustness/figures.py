"""Robustness as figures: score by severity, and a heat map of models and corruptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.report.figures.style import COLUMN_IN, add_note, look, new_figure, styled
from benchmark.robustness.corruptions import CORRUPTIONS
from benchmark.robustness.summary import Row, Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SYNTHETIC = "Synthetic images: this says nothing about real polyps."


def by_severity(summary: Summary) -> Figure:
    """Draw the mean score over corruptions by severity, one line per row of the table; 0 is the clean score."""
    keys = _keys(summary.rows)
    with styled():
        figure, (axes,) = new_figure(2.6)
        for row, key in zip(summary.rows, keys, strict=True):
            clean = row.clean if row.denoise == "none" else row.clean_denoised
            x = [0, *row.by_severity]
            axes.plot(x, [clean.value, *row.by_severity.values()], label=row.title, **look(key, keys))
        axes.set_xlabel("severity (0: clean)")
        axes.set_ylabel(f"mDSC on {summary.title}")
        axes.set_xticks([0, *summary.severities])
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
        add_note(figure, _SYNTHETIC if summary.synthetic else "")
    return figure


def heat_map(summary: Summary) -> Figure:
    """Draw the mean score over severities of every row and corruption, with the numbers in the fields."""
    rows, names = summary.rows, summary.corruptions
    values = np.array([[row.clean.value, *(row.by_corruption[name].value for name in names)] for row in rows])
    with styled():
        figure, (axes,) = new_figure(0.9 + 0.28 * len(rows), width=max(COLUMN_IN, 1.6 + 0.42 * (len(names) + 1)))
        image = axes.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            shade = "#000000" if value > 0.55 else "#ffffff"
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=6, color=shade)
        axes.grid(False)
        titles = ["clean", *(CORRUPTIONS[name].title for name in names)]
        axes.set_xticks(range(len(titles)), titles, rotation=45, ha="right")
        axes.set_yticks(range(len(rows)), [row.title for row in rows])
        figure.colorbar(image, ax=axes, label=f"mDSC on {summary.title}")
        add_note(figure, _SYNTHETIC if summary.synthetic else "")
    return figure


def _keys(rows: tuple[Row, ...]) -> list[str]:
    """The model where it has one row, so that it looks as in other figures; else the row's name."""
    models = [row.model for row in rows]
    return [row.model if models.count(row.model) == 1 else row.name for row in rows]
