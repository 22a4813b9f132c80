"""Score against the size of the polyp."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import BenchError
from benchmark.report.figures.style import add_legend, add_note, look, new_figure, plain_log_ticks, styled, titles
from benchmark.report.records.blocks import Block, Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST_PER_BIN = 5
_MOST_BINS = 8


def size(block: Block, area: Floats, *, label: str = "mDSC of one image", title: str = "", note: str = "") -> Figure:
    """Draw every image's score (mean over seeds) against its polyp's share of the image, and means of equal bins.

    Args:
        block: Scores of one test set.
        area: (n,) share of the image that is polyp, 0 to 1, in the order of the block's images. Images without polyp
            are left out.
        label: Axis label.
        title: For instance the test set.
        note: Small line below.
    Raises:
        BenchError: No image shows a polyp.
    """
    shown = np.flatnonzero(area > 0)
    if not len(shown):
        raise BenchError(f"no image of {block.dataset} shows a polyp: nothing to draw against its size")
    percent = 100 * area[shown]
    edges = _bins(percent)
    with styled():
        figure, (axes,) = new_figure(2.5)
        axes.set_xscale("log")
        for model, name in titles(block.models).items():
            style = look(model, block.models)
            values = block.scores[block.index(model)].mean(axis=0)[shown]
            axes.scatter(percent, values, s=4, color=style["color"], alpha=0.45, lw=0, rasterized=len(values) > 2000)
            inside = [(percent >= low) & (percent < high) for low, high in pairwise(edges)]
            x = [np.exp(np.log(percent[part]).mean()) for part in inside]
            axes.plot(x, [values[part].mean() for part in inside], label=name, **style)
        plain_log_ticks(axes)
        axes.set(xlabel="polyp, % of the image", ylabel=label)
        if title:
            axes.set_title(title, loc="left")
        add_legend(figure)
        add_note(
            figure, f"Lines: means of {len(edges) - 1} bin{'s' * (len(edges) > 2)} with equally many images. {note}"
        )
    return figure


def _bins(percent: Floats) -> Floats:
    """Edges of bins with equally many images, at least five in each; one bin for fewer than ten."""
    number = int(np.clip(len(percent) // _LEAST_PER_BIN, 1, _MOST_BINS))
    edges = np.unique(np.quantile(percent, np.linspace(0, 1, number + 1)))
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0]])
    edges[-1] = np.inf
    return edges
