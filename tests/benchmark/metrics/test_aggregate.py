"""From images to a dataset: the mean curve's mean and maximum, never the mean of each image's best."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmark.errors import BenchError
from benchmark.metrics import Accumulator, Scores, aggregate, score


@pytest.fixture
def images(make_pair: Callable) -> list[tuple[np.ndarray, np.ndarray]]:
    return [make_pair(seed, (24, 30 + seed), "blobs", kind) for seed, kind in enumerate(["near", "noise", "narrow"])]


def test_figures_are_those_of_the_mean_curve(images: list, field: Callable) -> None:
    figures = aggregate(score(p, m) for p, m in images)
    each = [field(p, m) for p, m in images]
    curve = {name: np.mean([e[name] for e in each], axis=0) for name in ("dice", "iou", "em", "recall", "specificity")}
    means = {"mDSC": "dice", "mIoU": "iou", "meanEm": "em", "meanSen": "recall", "meanSpe": "specificity"}
    tops = {"maxDSC": "dice", "maxIoU": "iou", "E_phi_max": "em", "maxSen": "recall", "maxSpe": "specificity"}
    for key, name in means.items():
        assert figures[key] == pytest.approx(curve[name].mean(), abs=1e-12)
    for key, name in tops.items():
        assert figures[key] == pytest.approx(curve[name].max(), abs=1e-12)
    assert figures["maxDSC"] < np.mean([e["dice"].max() for e in each]) - 1e-6
    for key, name in {"S_alpha": "sm", "F_beta_w": "wfm", "MAE": "mae", "dice_half": "dice_half"}.items():
        assert figures[key] == pytest.approx(np.mean([e[name] for e in each]), abs=1e-9)
    assert list(figures)[:6] == ["mDSC", "mIoU", "S_alpha", "F_beta_w", "E_phi_max", "MAE"]


def test_half_has_one_threshold_only(images: list) -> None:
    figures = aggregate(score(p, m, protocol="half") for p, m in images)
    assert figures["mDSC"] == figures["maxDSC"] == pytest.approx(figures["dice_half"], abs=1e-15)
    assert figures["E_phi_max"] == pytest.approx(figures["em_half"], abs=1e-15)


@pytest.mark.parametrize("protocol", ["pranet", "half"])
def test_rows_average_to_the_figures(protocol: str, images: list) -> None:
    accumulator = Accumulator()
    for i, (p, m) in enumerate(images):
        accumulator.add(score(p, m, protocol=protocol), dataset="toy", id=str(i))
    rows, figures = accumulator.rows(), aggregate(accumulator)
    assert [(r["dataset"], r["id"]) for r in rows] == [("toy", "0"), ("toy", "1"), ("toy", "2")]
    columns = {"dice": "mDSC", "iou": "mIoU", "sm": "S_alpha", "wfm": "F_beta_w", "em_max": "E_phi_max"}
    columns |= {"em": "meanEm", "mae": "MAE", "iou_half": "iou_half", "adp_em": "adp_em"}
    for column, key in columns.items():
        assert np.mean([r[column] for r in rows]) == pytest.approx(figures[key], abs=1e-12), column
    assert accumulator.rows() == rows  # asking twice changes nothing
    accumulator.add(score(*images[0], protocol=protocol))
    again = accumulator.rows()
    assert len(again) == accumulator.n == 4 and again[3]["em_max"] == again[0]["em_max"]


def test_curve_sums_are_what_the_store_keeps(images: list) -> None:
    accumulator = Accumulator()
    all_scores = [score(p, m) for p, m in images]
    for scores in all_scores:
        accumulator.add(scores)
    sums = accumulator.curve_sums()
    assert int(sums["n"]) == 3
    assert {k for k, v in sums.items() if v.shape == (256,)} == {
        "em",
        "dice",
        "iou",
        "precision",
        "recall",
        "specificity",
        "f",
    }
    for name in ("em", "precision"):
        np.testing.assert_allclose(sums[name], sum(getattr(s, name) for s in all_scores), rtol=1e-15)


def test_rows_beyond_memory_are_kept_in_a_file(images: list) -> None:
    """4200 images exceed the 8 MB that the E curves may hold in memory."""
    first, second = (score(p, m) for p, m in images[:2])
    accumulator = Accumulator()
    for i in range(4200):
        accumulator.add(first if i % 3 else second)
    rows = accumulator.rows()
    peak = int(accumulator.curve_sums()["em"].argmax())
    assert rows[4199]["em_max"] == first.em[peak] if 4199 % 3 else second.em[peak]
    assert rows[3]["em_max"] == second.em[peak] and rows[4]["em_max"] == first.em[peak]


def test_mixing_is_refused(images: list) -> None:
    (p, m), accumulator = images[0], Accumulator()
    accumulator.add(score(p, m))
    with pytest.raises(BenchError, match=r"half \(.{8}\) cannot join those under pranet \(.{8}\)"):
        accumulator.add(score(p, m, protocol="half"))
    with pytest.raises(BenchError, match="boundary"):
        accumulator.add(score(p, m, boundary=True))
    assert accumulator.n == 1


def test_nothing_has_no_mean() -> None:
    with pytest.raises(BenchError, match="no image"):
        aggregate([])
    assert Accumulator().rows() == []


def test_scores_are_streamed(images: list) -> None:
    """Each image's scores may go before the next are made."""
    alive: list[int] = []

    def produce() -> object:
        import weakref

        for p, m in images:
            scores: Scores | None = score(p, m)
            alive.append(1)
            weakref.finalize(scores, alive.pop)
            yield scores
            scores = None
            assert len(alive) <= 1

    aggregate(produce())  # type: ignore[arg-type]
    assert alive == []
