"""Figures hold the numbers they were given, at a size that can be read, without a window and without torch."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from benchmark.errors import BenchError
from benchmark.report.figures import plots
from benchmark.report.figures.comparisons import groups_not_apart
from benchmark.report.figures.grid import OUTLINES, RULES, Case, choose_images, outlined, qualitative
from benchmark.report.figures.size import size
from benchmark.report.figures.style import look, save_figure, settle
from benchmark.report.records.blocks import Block
from benchmark.report.statistics.comparisons import paired_comparisons
from benchmark.report.statistics.ranks import Ranks, average_ranks


def _xy(line: Line2D) -> tuple[list[float], list[float]]:
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


MODELS = ("unet", "unetplusplus", "pranet", "sanet", "ldnet", "bsanet")


def _history(start: float, epochs: int = 10) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame(
        {"epoch": epoch, "train_loss": 1 / epoch, "val_mdsc": start + epoch / 100, "val_dice_all_foreground": 0.2}
    )


def _block(dataset: str = "kvasir", n: int = 30) -> Block:
    scores = np.random.default_rng(0).beta(5, 1, size=(6, 2, n)) - np.arange(6)[:, None, None] / 20
    return Block(dataset, MODELS, (0, 1), scores, np.arange(n), tuple(map(str, range(n))))


def _curves(level: float) -> dict[str, np.ndarray]:
    rising = np.linspace(0, 1, 256)
    return {"recall": rising, "precision": level * (1 - rising / 2), "dice": level * rising, "em": level + 0 * rising}


KINDS = [
    "training",
    "distribution",
    "forest",
    "forest-long",
    "curves",
    "cost",
    "ranks",
    "size",
    "qualitative",
    "qualitative-wide",
]


def _cases(number: int) -> list[Case]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(number):
        image, mask = np.full((90, 120, 3), 120, np.uint8), np.zeros((90, 120), bool)
        mask[20:60, 30 : 70 + i] = True
        maps = {m: (255 * np.roll(mask, k, axis=1)).astype(np.uint8) for k, m in enumerate(MODELS)}
        made.append(Case(list(RULES)[i], f"image-{i}", image, mask, maps, dict.fromkeys(MODELS, rng.uniform())))
    return made


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    """One figure of each kind."""
    crowded = {
        "num_params": [24.4e6, 26.1e6, 30.5e6, 23.9e6, 33.4e6, 6.4e6],
        "mDSC": [0.83, 0.84, 0.88, 0.88, 0.89, 0.9],
    }
    rows = pd.DataFrame({"model": MODELS, **crowded})
    ranked = average_ranks(pd.DataFrame(np.random.default_rng(0).uniform(size=(4, 6)), columns=list(MODELS)))
    note = (
        "Synthetic images (phantom), seeds 0, 1: these numbers say nothing about real polyps, whatever they look like."
    )
    blocks = [_block(name) for name in ("kvasir", "etis")]
    compared = paired_comparisons(blocks, reference="bsanet")
    long = compared.replace({"unet": "BSANet w/o ISAM, FSAM, rendering"})
    return {
        "training": plots.training({m: [_history(0.1), _history(0.3)] for m in MODELS}, note=note),
        "distribution": plots.distribution(_block(), note=note),
        "forest": plots.forest(compared, note=note),
        "forest-long": plots.forest(long, note=note),
        "curves": plots.curves({m: _curves(0.5 + i / 20) for i, m in enumerate(MODELS)}, dataset="kvasir", note=note),
        "cost": plots.cost(rows.assign(low=rows["mDSC"] - 0.02, high=rows["mDSC"] + 0.02), title="Kvasir", note=note),
        "ranks": plots.ranks(ranked, note=note),
        "size": size(_block(), np.geomspace(0.001, 0.4, 30), title="Kvasir", note=note),
        "qualitative": qualitative(_cases(4), MODELS, title="Kvasir", note=note),
        "qualitative-wide": qualitative(_cases(2), MODELS, title="Kvasir", note=note, wide=True),
    }


@pytest.mark.parametrize("name", KINDS)
def test_text_lies_inside_the_figure_and_is_large_enough(figures: dict[str, Figure], name: str) -> None:
    figure = figures[name]
    figure.draw_without_rendering()
    frame = figure.bbox.padded(1)
    note = next(text for text in figure.findobj(Text) if isinstance(text, Text) and "Synthetic" in text.get_text())
    for extent in (note.get_window_extent(), *(part.get_tightbbox() for part in (*figure.axes, *figure.legends))):
        assert extent is not None
        assert frame.contains(*extent.min)
        assert frame.contains(*extent.max)
    shown = [t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_visible() and t.get_text().strip()]
    assert min(float(text.get_fontsize()) for text in shown) >= 6
    assert figure.get_figwidth() == pytest.approx(7 if name.endswith("wide") else 3.3)


@pytest.mark.parametrize("name", KINDS)
def test_files_are_vector_and_bitmap(figures: dict[str, Figure], name: str, tmp_path: Path) -> None:
    pdf, png = save_figure(figures[name], tmp_path / "a", name)
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"/Type3" not in pdf.read_bytes()  # text as outlines of TrueType, not as bitmaps
    assert Image.open(png).size[0] == (2100 if name.endswith("wide") else 990)
    assert np.asarray(Image.open(png).convert("L")).std() > 5


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    def draw() -> Figure:
        return plots.distribution(_block(), note="Synthetic images: these numbers say nothing about real polyps. " * 2)

    first, second = draw(), draw()
    saved = [save_figure(first, tmp_path / "0", "c"), save_figure(second, tmp_path / "1", "c")]
    assert first.get_layout_engine() is None  # laid out for good: a later drawing moves nothing
    saved.append(save_figure(first, tmp_path / "2", "c"))
    assert len({tuple(path.read_bytes() for path in paths) for paths in saved}) == 1


def test_training_draws_the_mean_and_the_range_over_seeds() -> None:
    figure = plots.training({"bsanet": [_history(0.1), _history(0.3, epochs=8)]})
    lower = figure.axes[1]
    np.testing.assert_allclose(_xy(lower.lines[0])[1], 0.2 + np.arange(1, 9) / 100)
    band = lower.collections[0].get_paths()[0].get_extents()
    assert (band.ymin, band.ymax) == (pytest.approx(0.11), pytest.approx(0.38))
    assert _xy(lower.lines[1])[1][0] == 0.2
    with pytest.raises(BenchError, match="no column 'val_x'"):
        plots.training({"bsanet": [_history(0.1)]}, score="val_x")
    with pytest.raises(BenchError, match="no training history"):
        plots.training({})


def test_distribution_shows_every_image_and_the_mean(figures: dict[str, Figure]) -> None:
    block = _block()
    axes = figures["distribution"].axes[0]
    for row, points in enumerate(axes.collections):
        np.testing.assert_allclose(np.asarray(points.get_offsets())[:, 0], block.scores[row].mean(axis=0))
    diamonds = [line for line in axes.lines if line.get_marker() == "D"]
    assert [_xy(line)[0][0] for line in diamonds] == pytest.approx(block.scores.mean(axis=(1, 2)))
    assert [t.get_text() for t in axes.get_yticklabels()] == ["U-Net", "Unet++", "PraNet", "SANet", "LDNet", "BSANet"]


def test_forest_fills_the_marker_only_where_the_difference_holds() -> None:
    rows = pd.DataFrame(
        {
            "dataset": "kvasir",
            "model": ["unet", "pranet"],
            "reference": "bsanet",
            "difference": [-0.1, 0.01],
            "low": [-0.12, -0.01],
            "high": [-0.08, 0.03],
            "p_holm": [0.001, 0.4],
        }
    )
    axes = plots.forest(rows).axes[0]
    markers = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
    assert [_xy(line)[0][0] for line in markers] == [-0.1, 0.01]
    assert [line.get_markerfacecolor() == "white" for line in markers] == [False, True]
    bars = [tuple(_xy(line)[0]) for line in axes.lines if len(_xy(line)[0]) == 2][1:]
    assert bars == [(-0.12, -0.08), (-0.01, 0.03)]
    figure = plots.forest(rows.assign(low=np.nan, high=np.nan, p_holm=np.nan, reason="2 sequences"))
    assert figure.axes[0].get_title(loc="left") == "Kvasir\nnot estimable (2 sequences)"
    assert "nothing is tested" in figure.axes[0].get_xlabel()
    with pytest.raises(BenchError, match="nothing to compare"):
        plots.forest(rows.iloc[:0])


def test_curves_are_means_over_images_and_seeds_with_threshold_one_first() -> None:
    sums = np.arange(256.0)
    archives: list[Any] = [
        {"pranet/kvasir/n": np.array(10), "pranet/kvasir/dice": sums},
        {"pranet/kvasir/n": np.array(30), "pranet/kvasir/dice": 3 * sums},
    ]
    assert plots.mean_curves(archives, protocol="pranet", dataset="kvasir")["dice"][255] == pytest.approx(25.5)
    with pytest.raises(BenchError, match="no curves for half/kvasir; there are pranet/kvasir"):
        plots.mean_curves(archives, protocol="half", dataset="kvasir")
    figure = plots.curves({"unet": _curves(0.5)}, dataset="kvasir")
    thresholds, f = _xy(figure.axes[1].lines[0])
    assert (thresholds[0], f[0]) == (1, 0)
    assert (thresholds[-1], f[-1]) == (0, 0.5)
    with pytest.raises(BenchError, match="lack em"):
        plots.curves({"unet": {k: v for k, v in _curves(0.5).items() if k != "em"}}, dataset="kvasir")


def test_cost_names_every_model_without_covering_another_name(figures: dict[str, Figure]) -> None:
    axes = figures["cost"].axes[0]
    figures["cost"].draw_without_rendering()
    assert sorted(t.get_text() for t in axes.texts) == ["BSANet", "LDNet", "PraNet", "SANet", "U-Net", "Unet++"]
    extents = [Text.get_window_extent(text) for text in axes.texts]  # without lines to their points
    for a, b in itertools.combinations(extents, 2):
        assert not a.overlaps(b)
    for extent, line in itertools.product(extents, axes.lines):
        assert not extent.overlaps(line.get_window_extent().padded(1))
    with pytest.raises(BenchError, match="nothing to draw"):
        plots.cost(pd.DataFrame({"model": ["unet"], "num_params": [1e6], "mDSC": [None]}))


def test_rank_bars_join_models_closer_than_the_critical_difference() -> None:
    found = Ranks({"a": 1.0, "b": 2.0, "c": 2.5, "d": 4.0}, 1.6, 0.01, 12, "")
    assert groups_not_apart(found) == [("a", "c"), ("c", "d")]
    bars = [line for line in plots.ranks(found).axes[0].lines if line.get_linewidth() == 2.2]
    assert [tuple(_xy(bar)[0]) for bar in bars] == [(1.0, 2.5), (2.5, 4.0)]


def test_the_warning_about_few_sets_stands_on_the_rank_plot(figures: dict[str, Figure]) -> None:
    assert "too few for a verdict" in figures["ranks"].get_supxlabel().replace("\n", " ")


def test_a_note_never_takes_room_from_the_axes() -> None:
    short, long = (plots.distribution(_block(), note=note) for note in ("", "A long note. " * 40))
    heights = []
    for figure in (short, long):
        figure.draw_without_rendering()
        heights.append(figure.axes[0].get_window_extent().height)
    assert heights[1] > 0.9 * heights[0]


@pytest.mark.filterwarnings("error")
def test_a_legend_of_many_models_leaves_the_axes_their_room() -> None:
    heights = []
    for number in (6, 40):
        names = tuple(f"network {k:02}" for k in range(number))
        scores = np.random.default_rng(0).uniform(size=(number, 1, 12))
        block = Block("kvasir", names, (0,), scores, np.arange(12), tuple(map(str, range(12))))
        figure = size(block, np.linspace(0.01, 0.5, 12), note="note")
        settle(figure)
        heights.append(figure.axes[0].get_position().height * figure.get_figheight())
    assert heights[1] > 0.9 * heights[0]


def test_rules_choose_the_images_that_they_name() -> None:
    scores = np.array([[[0.9, 0.1, 0.5, 0.9, 0.7]], [[0.9, 0.1, 0.5, 0.1, 0.6]]])
    block = Block("kvasir", ("unet", "bsanet"), (0,), scores, np.arange(5), ("a", "b", "c", "d", "e"))
    assert choose_images(block, ["best", "median", "worst", "disagreement"]) == {
        "a": ["best"],
        "c": ["median"],  # means are .9 .65 .5 .5 .1
        "b": ["worst"],
        "d": ["disagreement"],
    }
    assert list(choose_images(block, ["worst:3"])) == ["b", "d", "c"]
    assert choose_images(block, ["best"], higher_is_better=False) == {"b": ["best"]}
    assert choose_images(block, ["e", "best"]) == {"e": [], "a": ["best"]}
    one = Block("kvasir", ("unet",), (0,), scores[:1, :, :1], np.arange(1), ("a",))
    assert choose_images(one, list(RULES)) == {"a": ["best", "median", "worst"]}  # one model disagrees with nobody
    for bad in ("wrst", "worst:0", "worst:x"):
        with pytest.raises(BenchError, match=r"did you mean 'worst'|expected RULE:COUNT"):
            choose_images(block, [bad])


def test_outlines_have_the_colour_of_their_kind_and_true_negatives_none() -> None:
    mask, pred = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    mask[10:30, 5:25], pred[10:30, 15:35] = True, True
    picture = outlined(np.zeros((40, 40, 3), np.uint8), mask, pred)
    colours = {name: [int(code[i : i + 2], 16) for i in (1, 3, 5)] for name, code in OUTLINES.items()}
    assert picture[20, 15].tolist() == colours["true positive"]
    assert picture[20, 34].tolist() == colours["false positive"]
    assert picture[20, 5].tolist() == colours["false negative"]
    assert picture[20, 20].tolist() == pytest.approx([0.2 * part for part in colours["true positive"]], abs=1)
    assert not picture[~(mask | pred)].any()


def test_size_draws_one_dot_per_image_with_polyp_and_means_of_equal_bins() -> None:
    block = _block()
    area = np.concatenate([[0.0], np.geomspace(0.001, 0.4, 29)])
    axes = size(block, area).axes[0]
    np.testing.assert_allclose(np.asarray(axes.collections[0].get_offsets())[:, 0], 100 * area[1:])
    values = block.scores[0].mean(axis=0)[1:]
    bins = [len(part) for part in np.array_split(values, 5)]
    assert len(_xy(axes.lines[0])[1]) == len(bins)
    assert np.mean(_xy(axes.lines[0])[1]) == pytest.approx(values.mean(), abs=0.01)
    with pytest.raises(BenchError, match="no image of kvasir shows a polyp"):
        size(block, np.zeros(30))


def test_phantom_sets_are_called_synthetic_on_figures() -> None:
    title = plots.distribution(_block("phantom-colondb")).axes[0].get_title(loc="left")
    assert title == "Phantom-ColonDB (synthetic), 30 images"


def test_known_and_unknown_models_look_different() -> None:
    models = [*MODELS, "a", "b"]
    looks = [look(model, models) for model in models]
    assert len({x["color"] for x in looks}) == len(models)
    assert len({x["marker"] for x in looks}) == len(models)


@pytest.mark.parametrize("half", [0.02, 0.05, 0.1, 0.2])
def test_names_in_the_cost_plot_touch_nothing(half: float) -> None:
    """The six's sizes, three of them close together, with intervals that leave little room between them."""
    sizes, scores = (24.4e6, 26.1e6, 30.5e6, 23.9e6, 33.4e6, 6.4e6), (0.70, 0.64, 0.61, 0.60, 0.72, 0.74)
    rows = pd.DataFrame({"model": MODELS, "num_params": sizes, "mDSC": scores})
    figure = plots.cost(rows.assign(low=rows["mDSC"] - half, high=rows["mDSC"] + half), title="Kvasir")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    names = [text for text in axes.texts if text.get_text()]
    extents = [Text.get_window_extent(text) for text in names]  # without lines to their points
    assert len(names) == len(MODELS)
    for number, extent in enumerate(extents):
        assert not any(extent.overlaps(line.get_window_extent()) for line in axes.lines), names[number]
        assert not any(extent.overlaps(other) for other in extents[:number]), names[number]
        assert figure.bbox.contains(*extent.min) and figure.bbox.contains(*extent.max)


def test_seventy_models_look_different_and_in_grey_too() -> None:
    models = [*MODELS, *(f"net{i:02}" for i in range(64))]
    looks = [look(model, models) for model in models]
    assert len({(str(x["linestyle"]), x["marker"]) for x in looks}) == 70
