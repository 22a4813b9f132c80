"""Figures of training, scores and curves; ``compare_plots`` has the rest. Each function returns a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.errors import BenchError
from benchmark.report.figures.comparisons import cost, forest, ranks
from benchmark.report.figures.style import NOTE_PT, add_legend, add_note, look, new_figure, styled, titles, wrapped
from benchmark.report.records.blocks import Block, Floats
from benchmark.report.records.names import dataset_title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["cost", "curves", "distribution", "forest", "mean_curves", "ranks", "training"]

_LEVELS = 256
DRAWN = ("precision", "recall", "dice", "em")
"""The curves of an archive that ``curves`` draws."""


def training(histories: Mapping[str, Sequence[pd.DataFrame]], *, score: str = "val_mdsc", note: str = "") -> Figure:
    """Draw training loss and validation score by epoch: mean over seeds, band from least to greatest.

    Args:
        histories: One ``history.csv`` per seed for each model; columns epoch, train_loss, ``score`` and, where there
            is one, val_dice_all_foreground, which is drawn as the baseline.
        score: Column of the lower panel.
        note: Small line below.
    Raises:
        BenchError: No history, or one without these columns.
    """
    _need(histories, "no training history to draw: no finished cell; run 'bench run' first")
    from matplotlib.ticker import MaxNLocator

    names = titles(list(histories))
    with styled():
        figure, (upper, lower) = new_figure(3.6, 2, 1, sharex=True)
        for model, title in names.items():
            for axes, column in ((upper, "train_loss"), (lower, score)):
                _band(axes, model, title, histories, column)
        _baseline(lower, histories)
        upper.set_ylabel("training loss")
        lower.set_ylabel({"val_mdsc": "validation mDSC", "val_dice_half": "validation Dice at 0.5"}.get(score, score))
        lower.set_xlabel("epoch")
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        add_legend(figure, *upper.get_legend_handles_labels())
        add_note(figure, note)
    return figure


def _band(axes: Axes, model: str, title: str, histories: Mapping[str, Sequence[pd.DataFrame]], column: str) -> None:
    for history in histories[model]:
        if column not in history.columns or "epoch" not in history.columns:
            raise BenchError(
                f"history of {model} has no column {column!r}; it has {', '.join(map(str, history.columns))}"
            )
    length = min(len(history) for history in histories[model])
    values = np.stack([history[column].to_numpy(dtype=float)[:length] for history in histories[model]])
    epochs = histories[model][0]["epoch"].to_numpy()[:length]
    style = look(model, list(histories))
    axes.plot(epochs, values.mean(axis=0), label=title, **style, markevery=_staggered(model, histories, length))
    if len(values) > 1:
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=style["color"], alpha=0.15, lw=0)


def _staggered(model: str, models: Mapping[str, Any], length: int) -> tuple[int, int]:
    """First marker and step, so that markers of different models do not cover each other."""
    step = max(1, length // 5)
    return list(titles(list(models))).index(model) * step // len(models), step


def _baseline(axes: Axes, histories: Mapping[str, Sequence[pd.DataFrame]]) -> None:
    column = "val_dice_all_foreground"
    levels = [float(h[column].iloc[-1]) for hs in histories.values() for h in hs if column in h.columns and len(h)]
    if levels:
        axes.axhline(levels[0], color="#000000", lw=0.7, ls=(0, (1, 2)))
        axes.annotate(
            "all called polyp",
            (1, levels[0]),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=NOTE_PT,
        )


def distribution(block: Block, *, label: str = "mDSC of one image", note: str = "") -> Figure:
    """Draw every image's score (mean over seeds) as a dot, the quartiles as a box, the mean as a diamond.

    Args:
        block: Scores of one test set.
        label: Axis label.
        note: Small line below.
    """
    names = titles(block.models)
    with styled():
        figure, (axes,) = new_figure(0.75 + 0.36 * len(names))
        jitter = np.random.default_rng(0).uniform(-0.3, 0.3, block.scores.shape[2])  # the same for every model
        for row, (model, _) in enumerate(names.items()):
            values = block.scores[block.index(model)].mean(axis=0)
            color = look(model, block.models)["color"]
            size = 5.0 if len(values) <= 200 else 2.5
            axes.scatter(values, row + jitter, s=size, color=color, alpha=0.35, lw=0, rasterized=len(values) > 2000)
            box = axes.boxplot(
                values, positions=[row], orientation="horizontal", widths=0.62, showfliers=False, manage_ticks=False
            )
            for part in (line for lines in box.values() for line in lines):
                part.set(color="#222222", linewidth=0.8, zorder=5)
            axes.plot(values.mean(), row, marker="D", color="white", markeredgecolor="#000000", ms=4, zorder=6)
        axes.set_yticks(range(len(names)), [wrapped(name) for name in names.values()])
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(label)
        axes.set_title(f"{dataset_title(block.dataset)}, {block.scores.shape[2]} images", loc="left")
        add_note(figure, note)
    return figure


def mean_curves(archives: Sequence[Mapping[str, Floats]], *, protocol: str, dataset: str) -> dict[str, Floats]:
    """Average the curves of several seeds.

    Args:
        archives: The arrays of one ``curves.npz`` per seed.
        protocol: First part of the arrays' names. dataset: Second part.
    Returns:
        Arrays of 256 means over images and seeds, threshold 255 first, for every measure in the archives.
    Raises:
        BenchError: The protocol or test set is not in an archive.
    """
    prefix = f"{protocol}/{dataset}/"
    for archive in archives:
        if f"{prefix}n" not in archive:
            known = sorted({key.rpartition("/")[0] for key in archive})
            raise BenchError(f"no curves for {protocol}/{dataset}; there are {', '.join(known) or 'none'}")
    keys = [key for key in archives[0] if key.startswith(prefix) and np.shape(archives[0][key]) == (_LEVELS,)]
    total = sum(float(archive[f"{prefix}n"]) for archive in archives)
    sums = {key: np.sum([np.asarray(archive[key], float) for archive in archives], axis=0) for key in keys}
    return {key.removeprefix(prefix): values / total for key, values in sums.items()}


def curves(models: Mapping[str, Mapping[str, Floats]], *, dataset: str, note: str = "") -> Figure:
    """Draw precision against recall, and F (beta = 1) and E against the threshold.

    Args:
        models: ``mean_curves`` by model; needs precision, recall, dice (which is F with beta = 1) and em.
        dataset: For the title.
        note: Small line below.
    Raises:
        BenchError: No model, or a curve is missing.
    """
    _need(models, "no curves to draw: no finished cell; run 'bench run' first")
    thresholds = np.arange(_LEVELS - 1, -1, -1) / (_LEVELS - 1)
    with styled():
        figure, (pr, f, e) = new_figure(5.4, 3, 1)
        for model, title in titles(list(models)).items():
            found = models[model]
            lacking = [key for key in DRAWN if key not in found]
            if lacking:
                raise BenchError(f"curves of {model} on {dataset} lack {', '.join(lacking)}; score the cell again")
            style = look(model, list(models)) | {"markevery": _staggered(model, models, _LEVELS)}
            some = found["recall"] > 0  # where nothing is predicted, precision is 0 by convention, not by measurement
            pr.plot(found["recall"][some], found["precision"][some], label=title, **style)
            f.plot(thresholds, found["dice"], **style)
            e.plot(thresholds, found["em"], **style)
        for axes, x, y in (
            (pr, "recall", "precision"),
            (f, "threshold", r"F ($\beta = 1$)"),
            (e, "threshold", r"E$_\phi$"),
        ):
            axes.set(xlabel=x, ylabel=y, xlim=(0, 1))
            axes.set_ylim(top=1.0)
        pr.set_title(dataset_title(dataset), loc="left")
        add_legend(figure, *pr.get_legend_handles_labels())
        add_note(figure, note)
    return figure


def _need(found: Mapping[str, Any], message: str) -> None:
    if not found:
        raise BenchError(message)
