"""Figures of a tuning: best validation score by trial, and importance of the searched fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.report.figures.style import add_note, look, new_figure, styled, titles

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def tuning_history(scores: Mapping[str, Sequence[float | None]], *, measure: str, note: str = "") -> Figure:
    """Draw each trial's validation score, and the best so far as a line.

    Args:
        scores: Model -> score of each trial in order; None where it was stopped early.
        measure: Label of the scores.
        note: Small line below.
    """
    from matplotlib.ticker import MaxNLocator

    with styled():
        figure, (axes,) = new_figure(2.4)
        for model, title in titles(list(scores)).items():
            values = np.array([np.nan if one is None else one for one in scores[model]], dtype=float)
            trials = np.arange(1, len(values) + 1)
            style = look(model, list(scores))
            marker = style.pop("marker")
            axes.plot(trials, values, linestyle="none", marker=marker, color=style["color"], alpha=0.5)
            best = np.fmax.accumulate(values)
            axes.plot(trials, best, label=title, drawstyle="steps-post", **style)
        axes.set_xlabel("trial (line: best so far; no marker: stopped early)")
        axes.set_ylabel(f"validation {measure}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
        add_note(figure, note)
    return figure


def tuning_importance(shares: Mapping[str, Mapping[str, float]], *, note: str = "") -> Figure:
    """Draw the share of each searched field in the scores' variance (PED-ANOVA), by model.

    Args:
        shares: Model -> field -> share in [0, 1].
        note: Small line below.
    """
    fields = list(dict.fromkeys(field for one in shares.values() for field in one))[::-1]
    with styled():
        figure, (axes,) = new_figure(0.9 + 0.16 * len(fields) * max(1, len(shares)))
        height = 0.8 / len(shares)
        for number, (model, title) in enumerate(titles(list(shares)).items()):
            places = np.arange(len(fields)) + 0.4 - (number + 0.5) * height
            values = [shares[model].get(field, 0.0) for field in fields]
            axes.barh(places, values, height * 0.9, color=look(model, list(shares))["color"], label=title)
        axes.set_yticks(np.arange(len(fields)), fields)
        axes.set_xlim(0, 1)
        axes.set_xlabel("share in the variance of validation scores")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
        add_note(figure, note)
    return figure
