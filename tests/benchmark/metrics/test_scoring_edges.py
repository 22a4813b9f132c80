"""Where the reference fails or the field's definition leaves a hole, ours is defined; and input is refused in words."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmark.errors import BenchError
from benchmark.metrics import plan, score, score_all


@pytest.mark.parametrize("edge", [np.s_[-1:, :], np.s_[:, -1:], np.s_[-1:, -1:]])
@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_empty_quadrant_of_s_contributes_nothing(edge: Any, engine: str, field: Callable) -> None:
    mask = np.zeros((12, 17), bool)
    mask[edge] = True
    levels = (np.arange(12 * 17).reshape(12, 17) % 200).astype(np.uint8)
    assert np.isnan(field(levels, mask)["sm"])  # the fault that we do not share
    assert score(levels, mask, engine=engine).sm == pytest.approx(plain_s(levels, mask), abs=1e-12)


def plain_s(levels: np.ndarray, mask: np.ndarray) -> float:
    """S by its formula, quadrants without pixels left out."""
    p = levels / 255
    p = (p - p.min()) / (p.max() - p.min())
    u = mask.mean()

    def of_object(v: np.ndarray) -> float:
        return float(2 * v.mean() / (v.mean() ** 2 + 1 + (v.std(ddof=1) if v.size > 1 else 0)))

    cy, cx = (int(np.round(i.mean())) + 1 for i in np.nonzero(mask))
    region = 0.0
    for part in (np.s_[:cy, :cx], np.s_[:cy, cx:], np.s_[cy:, :cx], np.s_[cy:, cx:]):
        x, y = p[part].ravel(), mask[part].ravel().astype(float)
        if x.size == 0:
            continue
        vx, vy, c = np.cov(x, y).ravel()[[0, 3, 1]] if x.size > 1 else (0.0, 0.0, 0.0)
        a, b = 4 * x.mean() * y.mean() * c, (x.mean() ** 2 + y.mean() ** 2) * (vx + vy)
        region += x.size / p.size * (a / b if a else float(b == 0))
    return float(0.5 * (u * of_object(p[mask]) + (1 - u) * of_object(1 - p[~mask])) + 0.5 * region)


def test_empty_and_full_masks_are_scored() -> None:
    levels = np.array([[0, 51], [102, 255]], np.uint8)
    empty = score(levels, np.zeros((2, 2), bool))
    assert empty.row()["dice"] == empty.row()["iou"] == empty.wfm == 0
    assert empty.sm == pytest.approx(1 - 0.4)
    assert empty.mae == pytest.approx(0.4)
    full = score(levels, np.ones((2, 2), bool))
    assert full.sm == pytest.approx(0.4)
    assert full.recall[-1] == 1 and full.specificity.max() == 0


def test_empty_map_of_an_empty_mask_scores_zero_dice() -> None:
    scores = score(np.zeros((5, 5), np.uint8), np.zeros((5, 5), bool))
    assert scores.dice.max() == 0 and scores.sm == 1 and scores.mae == 0


def test_perfect_map_is_a_little_off_one_as_in_the_field() -> None:
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    scores = score(mask.astype(np.uint8) * 255, mask)
    assert scores.em[0] == pytest.approx(400 / 399)
    assert scores.row()["dice"] == pytest.approx((255 + 2 * 100 / 500) / 256)
    assert scores.wfm == pytest.approx(1) and scores.dice_half == 1


@pytest.mark.parametrize(
    ("prob", "words"),
    [
        (np.full((4, 4), np.nan), "NaN"),
        (np.full((4, 4), np.inf), "infinite"),
        (np.full((4, 4), 1.5), r"from 1\.5 to 1\.5"),
        (np.full((4, 4), -0.1), r"\[0, 1\]"),
        (np.zeros((4, 4), np.int64), "int64"),
        (np.zeros((4, 4), np.uint16), "uint16"),
        (np.zeros((4, 4, 3), np.uint8), "one channel"),
        (np.zeros((0, 4), np.uint8), "not empty"),
        (np.zeros((4, 5), np.uint8), r"map is 5x4 and mask is 4x4"),
    ],
)
@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_bad_map_is_refused_in_words(prob: np.ndarray, words: str, engine: str) -> None:
    with pytest.raises(BenchError, match=words):
        score(prob, np.eye(4, dtype=bool), engine=engine)


def test_one_nan_among_good_values_is_found() -> None:
    prob = np.full((4, 4), 0.5)
    prob[2, 3] = np.nan
    with pytest.raises(BenchError, match="NaN"):
        score(prob, np.eye(4, dtype=bool))


@pytest.mark.parametrize("mask", [np.eye(4, dtype=np.uint8), np.eye(4) * 255, np.ones((4, 4, 1), bool)])
def test_bad_mask_is_refused_in_words(mask: np.ndarray) -> None:
    with pytest.raises(BenchError, match=r"mask has (type|shape)"):
        score(np.zeros((4, 4), np.uint8), mask)
    with pytest.raises(BenchError, match=r"mask has (type|shape)"):
        plan(mask)


def test_plan_of_another_mask_is_refused() -> None:
    mask = np.eye(6, dtype=bool)
    levels = np.zeros((6, 6), np.uint8)
    for other in (np.eye(7, dtype=bool), ~mask):
        with pytest.raises(BenchError, match="another mask"):
            score(levels, mask, plan=plan(other))


def test_unknown_names_are_answered_with_the_nearest() -> None:
    levels, mask = np.zeros((6, 6), np.uint8), np.eye(6, dtype=bool)
    with pytest.raises(BenchError, match="did you mean 'pranet'"):
        score(levels, mask, protocol="pra-net")
    with pytest.raises(BenchError, match="did you mean 'reference'"):
        score(levels, mask, engine="refrence")
    with pytest.raises(BenchError, match="may be given once"):
        score_all(levels, mask, protocols=("half", "half"))


def test_reference_engine_refuses_what_it_cannot_follow() -> None:
    for protocol in ("pranet-matlab", "ldnet"):
        with pytest.raises(BenchError, match="use engine 'fast'"):
            score(np.zeros((6, 6), np.uint8), np.eye(6, dtype=bool), protocol=protocol, engine="reference")


def test_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, benchmark.metrics;"
        "print([m for m in ('torch', 'numba', 'scipy', 'PIL', 'pandas', 'py_sod_metrics') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_numba_absent_means_numpy(make_pair: Callable) -> None:
    levels, mask = make_pair(4, (30, 30), "blobs", "near")
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np; from benchmark.metrics import score\n"
        "levels, mask = np.load(sys.argv[1]).values()\n"
        "print(score(levels, mask).wfm.hex(), 'benchmark.metrics.kernels' in sys.modules)"
    )
    done = _run_on(levels, mask, code)
    assert done == f"{score(levels, mask).wfm.hex()} False"


def test_kernels_compile_where_no_cache_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read-only installation and home: numba then finds no place for its cache and says so by an exception."""
    numba = pytest.importorskip("numba")
    caching = pytest.importorskip("numba.core.caching")
    from benchmark.metrics.jit import compiled

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(lambda x: x + 1)
    assert compiled(numba.types.int64)(lambda x: x + 1)(3) == 4


def _run_on(levels: np.ndarray, mask: np.ndarray, code: str) -> str:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.npz"
        np.savez(path, levels=levels, mask=mask)
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    return done.stdout.strip()
