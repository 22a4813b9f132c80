"""The reliability diagram: how often pixels are polyp, by the probability that a network gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.metrics.calibration import BAND_SHARE, NUM_BINS, REGIONS, reliability
from benchmark.metrics.families import calibration
from benchmark.report.figures.evidence import Evidence
from benchmark.report.figures.style import add_legend, add_note, look, new_figure, styled, titles
from benchmark.report.records.family_values import read_values
from benchmark.report.records.select import set_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
"""By bin that holds pixels: their mean probability, and the share of them that is polyp."""


def reliability_figure(evidence: Evidence, dataset: str) -> Figure:
    """Draw the reliability of every model that was measured, over the image and in the band around outlines.

    Raises:
        BenchError: No model was measured.
    """
    found: dict[str, dict[str, Points]] = {}
    lost = ""
    for member in evidence.members(dataset):
        parts = [read_values(evidence.paths(record), record, dataset, calibration()) for record in member.records]
        if any(part is None for part in parts):
            lost += f" {member.row.title} was not measured."
            continue
        rows = {
            str(name): np.concatenate([part[name].to_numpy(dtype=float) for part in parts if part is not None])
            for name in (column for column in parts[0] if str(column).startswith(REGIONS))  # type: ignore[union-attr]
        }
        found[member.name] = {region: _points(rows, region) for region in REGIONS}
    if not found:
        raise BenchError(f"{dataset} was not measured: run 'bench tables --calibration' first")
    title = set_title(evidence.records, dataset)
    note = (
        f"{title}. Pixels of all images in {NUM_BINS} bins; maps not stretched. Band: within {BAND_SHARE:.0%} of the "
        f"diagonal of the polyp's outline. {evidence.note([dataset])}{lost}"
    )
    return draw_reliability(found, note=note)


def _points(rows: Mapping[str, NDArray[np.float64]], region: str) -> Points:
    n, p, y = reliability(rows, region)
    held = n > 0
    return p[held] / n[held], y[held] / n[held]


def draw_reliability(found: Mapping[str, Mapping[str, Points]], *, note: str = "") -> Figure:
    """Draw one panel per region; on the dotted line probabilities mean what they say.

    Args:
        found: Points by model and region (``calibration.REGIONS``).
        note: Small line below.
    """
    names = titles(list(found))
    with styled():
        figure, panels = new_figure(4.4, 2, 1, sharex=True)
        for axes, region in zip(panels, REGIONS, strict=True):
            axes.plot([0, 1], [0, 1], color="#000000", lw=0.7, ls=(0, (1, 2)))
            for model, title in names.items():
                axes.plot(*found[model][region], label=title, **look(model, list(found)))
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1)
            axes.set_ylabel(f"share that is polyp, {region}")
        panels[-1].set_xlabel("mean probability of the bin")
        add_legend(figure, *panels[0].get_legend_handles_labels())
        add_note(figure, note)
    return figure
