"""Figures that compare models: differences, cost, ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmark.errors import BenchError
from benchmark.report.figures.style import add_note, look, new_figure, plain_log_ticks, styled, titles, wrapped
from benchmark.report.records.blocks import Floats
from benchmark.report.records.names import dataset_title
from benchmark.report.statistics.ranks import Ranks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

_ROOM_PX = 4  # between a name and what is drawn
_FAR_PT = 11.5  # from where on a name does not stand beside its point any more


def forest(comparisons: pd.DataFrame, *, label: str = "difference in mDSC", note: str = "") -> Figure:
    """Draw differences from a reference model with their intervals, one panel per test set.

    A filled marker: the difference holds after Holm's correction at 5 %. A hollow one: it does not, or was not tested.
    If no interval can be given, the panel's title says why.

    Args:
        comparisons: What ``paired_comparisons`` returns.
        label: Axis label, without the reference.
        note: Small line below.
    Raises:
        BenchError: Nothing is compared.
    """
    if comparisons.empty:
        raise BenchError("nothing to compare: the results hold one model only; run another with 'bench run --models'")
    sets = list(dict.fromkeys(comparisons["dataset"]))
    models = list(titles(list(dict.fromkeys(comparisons["model"]))))
    reference = str(comparisons["reference"].iloc[0])
    with styled():
        line = 0.05 + 0.12 * max(wrapped(title).count("\n") + 1 for title in titles(models).values())
        figure, panels = new_figure(0.72 + len(sets) * (0.22 + line * len(models)), len(sets), 1, sharex=True)
        for axes, name in zip(panels, sets, strict=True):
            _forest_panel(axes, comparisons[comparisons["dataset"] == name], models)
            axes.set_title(_forest_title(str(name), comparisons[comparisons["dataset"] == name]), loc="left")
        tested = comparisons["p_holm"].notna()
        meaning = "(filled: Holm p < 0.05)" if tested.any() else "(nothing is tested)"
        words = wrapped(f"{label} from {titles([reference])[reference]}", 46) + f"\n{meaning}"
        panels[-1].locator_params(axis="x", nbins=5)
        panels[-1].set_xlabel(words, loc="right")  # beside long names of models there is more room to the left
        add_note(figure, note)
    return figure


def _forest_title(dataset: str, rows: pd.DataFrame) -> str:
    reason = next((str(text) for text in rows.get("reason", ()) if text), "")
    return f"{dataset_title(dataset)}\n{wrapped(f'not estimable ({reason})', 36)}" if reason else dataset_title(dataset)


def _forest_panel(axes: Axes, rows: pd.DataFrame, models: Sequence[str]) -> None:
    axes.axvline(0, color="#000000", lw=0.7)
    by_model = rows.set_index("model")
    for y, model in enumerate(models):
        if model not in by_model.index:
            continue
        row = by_model.loc[model]
        style = look(model, models)
        axes.plot([row["low"], row["high"]], [y, y], color=style["color"], lw=1.4, solid_capstyle="butt")
        holds = bool(row["p_holm"] < 0.05)
        face = style["color"] if holds else "white"
        axes.plot(row["difference"], y, marker=style["marker"], color=style["color"], markerfacecolor=face, ms=4.5)
    axes.set_yticks(range(len(models)), [wrapped(title) for title in titles(models).values()])
    axes.set_ylim(len(models) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def cost(rows: pd.DataFrame, *, x: str = "num_params", score: str = "mDSC", title: str = "", note: str = "") -> Figure:
    """Draw a score against a cost, with the models' names at their points.

    Args:
        rows: One row per model: model, ``x``, ``score`` and, where there are intervals, low and high. Rows with a
            blank are left out.
        x: Column of the cost: num_params, or a latency such as latency_ms. Logarithmic.
        score: Column of the score.
        title: For instance the test set.
        note: Small line below.
    Raises:
        BenchError: No row has both.
    """
    labels = {"num_params": "parameters, millions", "latency_ms": "latency, ms per image"}
    known = rows.dropna(subset=[x, score])
    if known.empty:
        raise BenchError(f"no model has both {x} and {score}: nothing to draw")
    models = [str(model) for model in known["model"]]
    scale = 1e-6 if x == "num_params" else 1.0
    with styled():
        figure, (axes,) = new_figure(2.3)
        axes.set_xscale("log")
        points: dict[str, tuple[float, float]] = {}
        for row in known.to_dict("records"):
            style = look(str(row["model"]), models)
            at = float(row[x]) * scale
            low, high = (row[k] if np.isfinite(row.get(k, np.nan)) else row[score] for k in ("low", "high"))
            axes.plot([at, at], [low, high], color=style["color"], lw=1)
            axes.plot(at, row[score], marker=style["marker"], color=style["color"], ms=5, ls="none")
            points[str(row["model"])] = (at, float(row[score]))
        axes.set(xlabel=labels.get(x, x), ylabel=score)
        axes.margins(x=0.2, y=0.15)
        plain_log_ticks(axes)
        if title:
            axes.set_title(title, loc="left")
        add_note(figure, note)
        _name_points(axes, points)
    return figure


def _name_points(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write each model's name at the nearest place where it covers no name, point or interval."""
    figure = axes.figure.get_figure(root=True)
    assert figure is not None
    engine = figure.get_layout_engine()
    assert engine is not None, "new_figure gives one"
    engine.execute(figure)
    frame = axes.get_window_extent().extents
    taken = [line.get_window_extent().padded(_ROOM_PX).extents for line in axes.lines]
    spots = list(_spots())
    for model, title in titles(list(points)).items():
        line = {"arrowstyle": "-", "lw": 0.5, "color": "0.5", "shrinkA": 1, "shrinkB": 2}
        text = axes.annotate(title, points[model], (0, 0), textcoords="offset points", fontsize=6.5, arrowprops=line)
        boxes = _boxes(axes.transData.transform(points[model]), _move(text, spots[0]), spots, figure.dpi)
        clashes = _clashes(boxes, np.array(taken), frame)
        spot = spots[int(clashes.argmin())]  # the first of the best
        taken.append(_move(text, spot).extents)
        text.set_in_layout(bool(clashes.min()))  # inside the frame it needs no room, and is slow to measure
        assert text.arrow_patch is not None, "asked for"
        text.arrow_patch.set_visible(math.hypot(*spot) > _FAR_PT)  # the line says whose name it is


def _boxes(point: Floats, extent: Bbox, spots: Sequence[tuple[float, float]], dpi: float) -> Floats:
    """What a text covers at each place (see ``_move``) beside a point in pixels: (n, 4) left, bottom, right, top."""
    offsets = np.array(spots)
    away = np.where(offsets > 1, 0.0, np.where(offsets < -1, 1.0, 0.5))  # share of the text before its place
    size = np.array([extent.width, extent.height])
    low = point + offsets * dpi / 72 - away * size
    return np.hstack([low, low + size])


def _clashes(boxes: Floats, taken: Floats, frame: Floats) -> npt.NDArray[np.int64]:
    """How many of the taken (k, 4) boxes each of (n, 4) boxes touches, and one more where it leaves the frame."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    touched = ((low <= taken[:, 2:]) & (high >= taken[:, :2])).all(axis=-1).sum(axis=-1)
    outside = (boxes[:, :2] < frame[:2]).any(axis=-1) | (boxes[:, 2:] > frame[2:]).any(axis=-1)
    found: npt.NDArray[np.int64] = touched + outside
    return found


def _spots() -> Iterator[tuple[float, float]]:
    """Places around a point, in points from it, the near ones first."""
    yield from ((6, 0), (-6, 0), (0, 6), (0, -6), (7, 9), (7, -9), (-7, 9), (-7, -9))
    for radius in range(12, 91, 6):
        for turn in range(16):
            yield radius * math.cos(turn * math.pi / 8), radius * math.sin(turn * math.pi / 8)


def _move(text: Annotation, spot: tuple[float, float]) -> Bbox:
    """Write a text at a place, on the side of it that leads away from the point; return what it covers."""
    from matplotlib.text import Text

    dx, dy = spot
    text.set_position(spot)
    text.set_horizontalalignment("left" if dx > 1 else "right" if dx < -1 else "center")
    text.set_verticalalignment("bottom" if dy > 1 else "top" if dy < -1 else "center")
    figure = text.get_figure(root=True)
    assert figure is not None
    text.update_positions(figure.canvas.get_renderer())  # type: ignore[attr-defined]
    return Text.get_window_extent(text)  # without the line to the point


def ranks(found: Ranks, *, note: str = "") -> Figure:
    """Draw average ranks on a line; a bar joins models that do not differ significantly.

    The warning of ``found``, if any, is printed on the figure.
    """
    models = list(found.average)
    names = titles(models)
    with styled():
        line = 0.05 + 0.12 * max(wrapped(name).count("\n") + 1 for name in names.values())
        height = 0.9 + line * len(models) + 0.1 * len(groups_not_apart(found))
        figure, (axes,) = new_figure(height)
        for y, (model, rank) in enumerate(found.average.items()):
            style = look(model, models)
            axes.plot([1, rank], [y, y], color="#dddddd", lw=0.8, zorder=1)
            axes.plot(rank, y, marker=style["marker"], color=style["color"], ms=5)
        for i, (first, last) in enumerate(groups_not_apart(found)):
            span = [found.average[first], found.average[last]]
            axes.plot(span, [-0.9 - 0.45 * i] * 2, color="#222222", lw=2.2, solid_capstyle="butt")
        axes.set_yticks(range(len(models)), [wrapped(names[model]) for model in models])
        axes.set_ylim(len(models) - 0.5, -1.1 - 0.45 * len(groups_not_apart(found)))
        axes.set_xlim(0.8, len(models) + 0.2)
        axes.set_xticks(range(1, len(models) + 1))
        axes.grid(axis="y", visible=False)
        sets = f"{found.num_sets} test set{'s' if found.num_sets != 1 else ''}"
        axes.set_xlabel(
            f"average rank over {sets}\n(bars join models less than the critical {found.critical_difference:.2f} apart)"
        )
        add_note(figure, ". ".join(filter(None, [found.warning, note])))
    return figure


def groups_not_apart(found: Ranks) -> list[tuple[str, str]]:
    """Return (best, worst) of every largest run of models whose ranks differ by less than the critical difference."""
    models = list(found.average)
    runs: list[tuple[int, int]] = []
    for i, first in enumerate(models):
        last = max(
            j for j, m in enumerate(models) if found.average[m] - found.average[first] < found.critical_difference
        )
        if last > i and not (runs and runs[-1][1] >= last):
            runs.append((i, last))
    return [(models[i], models[j]) for i, j in runs]
