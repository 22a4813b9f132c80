"""The qualitative grid: image, mask and every model's map, with correct and wrong pixels outlined in colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.files.outline import draw_outline
from benchmark.errors import BenchError, unknown_name
from benchmark.metrics.aggregate import worst_first
from benchmark.report.figures.pictures import Mask, Pixels, fitted
from benchmark.report.figures.style import COLUMN_IN, NOTE_PT, PAGE_IN, add_note, new_figure, styled, titles
from benchmark.report.records.blocks import Block

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RULES = {
    "best": "highest score, averaged over the models",
    "median": "middle score",
    "worst": "lowest score",
    "disagreement": "largest spread between the models' scores",
}
"""How rows of the grid are chosen; an image's id chooses itself."""

OUTLINES = {"true positive": "#009E73", "false positive": "#F0E442", "false negative": "#56B4E9"}
"""Okabe and Ito's green, yellow and sky blue: apart for colour-blind eyes and against red tissue. True negatives are
left as they are."""

_PANEL_PX = 320


@dataclass(frozen=True)
class Case:
    """One image of the grid.

    Attributes:
        label: Why it was chosen.
        id: Its name.
        image: (H, W, 3). mask: (H, W).
        maps: (H, W) of 255 x probability by model, stretched already where the protocol stretches.
        scores: Scores of these maps, by model.
    """

    label: str
    id: str
    image: Pixels
    mask: Mask
    maps: Mapping[str, Pixels]
    scores: Mapping[str, float]


def choose_images(block: Block, wanted: Sequence[str], *, higher_is_better: bool = True) -> dict[str, list[str]]:
    """Choose images by rule.

    Args:
        block: Scores; means over seeds are compared.
        wanted: Rules of ``RULES``, ``rule:k`` for the first k by that rule, or ids of images.
        higher_is_better: Which end is best.
    Returns:
        Image ids in the given order, each with the rules that chose it. With one model the rule ``disagreement``
        is ignored.
    Raises:
        BenchError: Neither a rule nor an image, or a bad count.
    """
    by_model = block.scores.mean(axis=1)
    mean = by_model.mean(axis=0)
    order = worst_first(mean, higher_is_better=not higher_is_better)  # best first
    middle = len(order) // 2
    by_rule = {
        "best": order,
        "median": np.array(sorted(range(len(order)), key=lambda place: (abs(place - middle), place))),
        "worst": order[::-1],
        "disagreement": np.argsort(-np.ptp(by_model, axis=0), kind="stable"),
    }
    by_rule["median"] = order[by_rule["median"]]
    chosen: dict[str, list[str]] = {}
    for name in wanted:
        rule, _, count = name.partition(":")
        if name in block.ids:
            chosen.setdefault(name, [])
        elif rule not in RULES:
            raise unknown_name("rule or image", name, [*RULES, *block.ids[:200]])
        elif rule != "disagreement" or len(block.models) > 1:
            for i in by_rule[rule][: _count(name, count)]:
                chosen.setdefault(block.ids[i], []).append(rule)
    return chosen


def _count(name: str, count: str) -> int:
    if count and not (count.isdecimal() and int(count) > 0):
        raise BenchError(f"--rows {name}: expected RULE:COUNT with a count from 1, for example worst:3")
    return int(count or 1)


def qualitative(
    cases: Sequence[Case],
    models: Sequence[str],
    *,
    title: str,
    threshold: float = 0.5,
    wide: bool = False,
    note: str = "",
) -> Figure:
    """Draw the grid; a white number is the score of that map.

    Args:
        cases: Images; columns of a narrow grid, rows of a wide one.
        models: Names, each with a map in every case.
        title: Of the figure, for instance the test set.
        threshold: A pixel is polyp where its map is above this.
        wide: Two columns of a page (7 in) with a row per image, instead of one column with a row per model.
        note: Small lines below.
    Raises:
        BenchError: No case or no model.
    """
    if not cases or not models:
        raise BenchError("no images to draw: choose rows with --rows, or run more models")
    names = titles(models)
    heads = {"image": "Image", "truth": "Truth", **names}
    rows, columns = (len(cases), len(heads)) if wide else (len(heads), len(cases))
    width = PAGE_IN if wide else COLUMN_IN
    margin = 0.55 if wide else 0.5
    side = (width - margin) / columns
    ratio = float(np.median([case.mask.shape[0] / case.mask.shape[1] for case in cases]))
    with styled():
        figure, axes = new_figure(0.75 + rows * (side * ratio + 0.02), rows, columns, width=width)
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)  # type: ignore[union-attr,call-arg]
        for c, case in enumerate(cases):
            for k, head in enumerate(heads):
                row, column = (c, k) if wide else (k, c)
                place = axes[row * columns + column]
                _panel(place, case, head, threshold)
                across, down = (heads[head], case.label) if wide else (case.label, heads[head])
                if row == 0:
                    place.set_title(across, fontsize=NOTE_PT + 0.5, pad=2)
                if column == 0:
                    place.set_ylabel(down, fontsize=NOTE_PT + 0.5, labelpad=2)
        _legend(figure, title)
        add_note(figure, note)
    return figure


def _panel(axes: Axes, case: Case, head: str, threshold: float) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    image = fitted(case.image, _PANEL_PX)
    if head == "truth":
        axes.imshow(_as_picture(fitted((case.mask * 255).astype(np.uint8), _PANEL_PX)), interpolation="none")
    elif head == "image":
        axes.imshow(image, interpolation="none")
    else:
        prob = fitted(case.maps[head], _PANEL_PX)
        mask = fitted((case.mask * 255).astype(np.uint8), _PANEL_PX) > 127
        axes.imshow(outlined(image, mask, prob > 255 * threshold), interpolation="none")
        axes.text(
            0.97,
            0.04,
            f"{case.scores[head]:.2f}",
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            color="white",
            fontsize=NOTE_PT,
            bbox={"facecolor": "black", "alpha": 0.6, "lw": 0, "pad": 0.8},
        )


def _as_picture(grey: Pixels) -> Pixels:
    return np.repeat(grey[..., None], 3, axis=2)


def outlined(image: Pixels, mask: Mask, pred: Mask) -> Pixels:
    """Tint the regions of true positives, false positives and false negatives, and draw their outlines.

    Args:
        image: (H, W, 3). mask: (H, W). pred: (H, W).
    """
    thick = max(1, round(max(mask.shape) / 110))
    regions = (mask & pred, ~mask & pred, mask & ~pred)
    for region, colour in zip(regions, OUTLINES.values(), strict=True):
        red, green, blue = bytes.fromhex(colour[1:])
        image = draw_outline(image, region, (red, green, blue), width=thick, fill=0.2)
    return image


def _legend(figure: Figure, title: str) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=colour, edgecolor="#555555", lw=0.4, label=name) for name, colour in OUTLINES.items()]
    figure.legend(
        handles=patches,
        loc="outside upper center",
        ncols=3,
        handlelength=1,
        columnspacing=1,
        title=title,
        title_fontsize=7.5,
    )
