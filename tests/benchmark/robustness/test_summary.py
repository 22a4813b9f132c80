"""Robustness summaries: intervals and tests by the tables' model of variance, and looks that can be told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmark.robustness.comparisons import against, find_pairs, with_intervals
from benchmark.robustness.figures import _looks, by_severity
from benchmark.robustness.rows import Figure, Row, Summary
from benchmark.robustness.tables import _tested

SEEDS, IMAGES = (0, 1, 2), 60
BLANK = Figure(0.0)


def row(model: str, scores: np.ndarray, *, denoise: str = "none", groups: np.ndarray | None = None) -> Row:
    """One network whose images score ``scores`` (S, n) under one corruption, and 0.1 more without it."""
    stack = np.stack([scores + 0.1, scores + 0.1, scores, scores, scores / (scores + 0.1)])
    name = model if denoise == "none" else f"{model} + {denoise}"
    return Row(
        name=name, model=model, title=name, ablation=(), recipe="quick", trained_with=(), base="{}", noise=(),
        denoise=denoise, seeds=SEEDS[: len(scores)], n=scores.shape[1], clean=BLANK, clean_denoised=BLANK,
        by_corruption={"contrast": Figure(float(scores.mean()))}, by_severity={1: float(scores.mean())},
        corrupted=BLANK, retention=BLANK, scores=stack, cells=(),
        groups=np.arange(scores.shape[1]) if groups is None else groups,
        ids=tuple(map(str, range(scores.shape[1]))),
    )  # fmt: skip


@pytest.fixture
def one() -> np.ndarray:
    """Three trainings that score every image alike: what is left is the images' variance."""
    return np.tile(np.random.default_rng(0).uniform(0.2, 0.8, IMAGES), (3, 1))


def test_without_seed_variance_intervals_and_tests_are_those_of_a_t_test_over_images(one: np.ndarray) -> None:
    other = one + np.tile(np.random.default_rng(1).normal(0.02, 0.05, IMAGES), (3, 1))
    rows = with_intervals([row("unet", one), row("bsanet", other)], "images")
    low, high = stats.t.interval(0.95, IMAGES - 1, one[0].mean(), stats.sem(one[0]))
    assert (rows[0].corrupted.low, rows[0].corrupted.high) == pytest.approx((low, high), abs=1e-3)
    _, second = against(rows, rows[0], ["contrast"], "images")
    assert second.versus is not None and second.versus.difference == pytest.approx((other - one).mean())
    assert second.versus.p == pytest.approx(stats.ttest_rel(other[0], one[0]).pvalue, rel=0.1)
    assert second.p_holm == second.versus.p, "one comparison"


def test_a_denoiser_is_compared_with_seeds_paired(one: np.ndarray) -> None:
    """Trainings that differ much, a denoiser that adds the same to each: only pairing finds that."""
    spread = one + np.array([[-0.1], [0.0], [0.1]])
    gain = np.random.default_rng(2).normal(0.01, 0.01, IMAGES)
    (pair,) = find_pairs([row("unet", spread), row("unet", spread + gain, denoise="median")], "images")
    assert pair.change == "denoised by median" and pair.corrupted.low > 0 and pair.corrupted.p < 1e-3
    rows = [row("unet", spread), row("bsanet", spread + gain)]
    _, apart = against(rows, rows[0], ["contrast"], "images")
    assert apart.versus is not None and apart.versus.low < 0, "two networks' trainings are not paired"


@pytest.mark.parametrize(("seeds", "groups"), [(2, 60), (3, 4)])
def test_few_seeds_and_few_groups_are_not_tested(one: np.ndarray, seeds: int, groups: int) -> None:
    codes = np.arange(IMAGES) % groups
    rows = [row("unet", one[:seeds], groups=codes), row("bsanet", one[:seeds] + 0.3, groups=codes)]
    done = with_intervals(rows, "images")
    _, second = against(done, done[0], ["contrast"], "images")
    assert second.versus is not None and np.isnan(second.versus.p) and np.isnan(second.p_holm)
    assert np.isnan(second.corrupted.low) == (groups < 5)
    assert _tested([second.versus]) == "nothing is tested (see the notes)"
    assert _tested([replace(second.versus, p=0.2)]).endswith("(Holm over 1)")


def test_every_row_of_a_figure_looks_different(one: np.ndarray) -> None:
    models = ("unet", "unetplusplus", "pranet", "sanet", "ldnet", "bsanet")
    rows = [row(model, one, denoise=denoise) for model in models for denoise in ("none", "median", "tv")]
    looks = [(x["color"], x["marker"], str(x["linestyle"])) for x in _looks(rows)]
    assert len(set(looks)) == len(rows)
    assert len({x[:2] for x in looks}) == len(models), "a network keeps its colour and marker behind a denoiser"
    assert _looks(rows)[0]["color"] == _looks([rows[0]])[0]["color"], "and has those of other figures"


def test_long_titles_stay_inside_the_figure(one: np.ndarray) -> None:
    names = ["U-Net, trained with noise", "BSANet (ours), trained with noise", "BSANet (ours) w/o isam, fsam"]
    summary = Summary(
        "kvasir", "Kvasir", "pranet", "0", ("contrast",), (1,), tuple(row(name, one) for name in names), (), None,
        synthetic=False, how_made=("Protocol pranet",),
    )  # fmt: skip
    figure = by_severity(summary)
    figure.canvas.draw()
    (legend,) = figure.legends
    frame, extent = figure.bbox, legend.get_window_extent()
    assert frame.x0 <= extent.x0 and extent.x1 <= frame.x1 and extent.y1 <= frame.y1
