"""The door that others use: `from benchmark.metrics import plan, score`, names and kinds of input as documented."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import BenchError
from benchmark.metrics import PROTOCOLS, Plan, Scores, aggregate, plan, score, score_all

NUMBERS = ("mae", "sm", "wfm")
CURVES = ("em", "dice", "iou", "precision", "recall", "specificity", "f")


@pytest.mark.parametrize("protocol", [*PROTOCOLS, *PROTOCOLS.values()], ids=str)
@pytest.mark.parametrize("kind", ["uint8", "float64", "float32", "bool"])
def test_every_kind_of_map_and_protocol(kind: str, protocol: object, make_pair: Callable) -> None:
    levels, mask = make_pair(7, (33, 41), "blobs", "near")
    prob = {
        "uint8": levels,
        "float64": levels / 255,
        "float32": (levels / 255).astype(np.float32),
        "bool": levels > 127,
    }[kind]
    known = plan(mask)
    assert isinstance(known, Plan)
    scores = score(prob, mask, plan=known, protocol=protocol)  # type: ignore[arg-type]
    assert isinstance(scores, Scores)
    assert all(isinstance(getattr(scores, name), float) for name in NUMBERS)
    for name in CURVES:
        curve = getattr(scores, name)
        assert curve.shape == (256,) and curve.dtype == np.float64 and np.isfinite(curve).all()
    assert scores.recall[0] <= scores.recall[-1]  # threshold 255 first
    assert score(prob, mask, protocol=protocol).row() == scores.row()  # type: ignore[arg-type]
    if kind.startswith("float"):
        assert scores.row() == score(levels, mask, protocol=protocol).row()  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("protocol", ["pranet", "half"])
def test_counts_at_every_threshold(engine: str, protocol: str, make_pair: Callable) -> None:
    levels, mask = make_pair(3, (21, 34), "blobs", "narrow")
    scores = score(levels, mask, protocol=protocol, engine=engine)
    p = levels / 255
    if protocol == "pranet":
        p = (p - p.min()) / (p.max() - p.min())
    cut = (p * 255).astype(np.uint8)  # the reference's own bins
    for i, k in enumerate(range(255, -1, -1)):
        assert scores.tp[i] == np.count_nonzero((cut >= k) & mask)
        assert scores.fp[i] == np.count_nonzero((cut >= k) & ~mask)
    assert scores.tp[-1] == mask.sum() and scores.fp[-1] == (~mask).sum()
    both = scores.tp + scores.fp
    expected = np.divide(2 * scores.tp, mask.sum() + both)
    np.testing.assert_allclose(scores.dice, expected, atol=1e-15)


def test_without_numba_the_door_gives_the_same_digits(make_pair: Callable, tmp_path: Path) -> None:
    """The whole door in a process in which numba cannot be imported."""
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np\n"
        "from benchmark.metrics import PROTOCOLS, plan, score\n"
        "data = np.load(sys.argv[1]); out = {}\n"
        "for i in range(int(data['n'])):\n"
        "    levels, mask = data[f'levels{i}'], data[f'mask{i}']\n"
        "    for name in PROTOCOLS:\n"
        "        s = score(levels, mask, plan=plan(mask), protocol=name)\n"
        "        out[f'{i}/{name}'] = np.concatenate([*s.curves().values(), s.tp, s.fp, list(s.row().values())])\n"
        "assert 'benchmark.metrics.kernels' not in sys.modules\n"
        "np.savez(sys.argv[2], **out)\n"
    )
    kinds = [("blobs", "near"), ("one_pixel", "noise"), ("border", "two_levels"), ("noise", "constant")]
    pairs = [make_pair(i, (37, 52), *kind) for i, kind in enumerate(kinds)]
    arrays = {f"{part}{i}": pair[j] for i, pair in enumerate(pairs) for j, part in enumerate(("levels", "mask"))}
    np.savez(tmp_path / "in.npz", n=len(pairs), **arrays)
    subprocess.run([sys.executable, "-c", code, tmp_path / "in.npz", tmp_path / "out.npz"], check=True)
    plain = np.load(tmp_path / "out.npz")
    for i, (levels, mask) in enumerate(pairs):
        for name in PROTOCOLS:
            s = score(levels, mask, protocol=name)
            mine = np.concatenate([*s.curves().values(), s.tp, s.fp, list(s.row().values())])
            np.testing.assert_array_equal(plain[f"{i}/{name}"], mine, err_msg=name)


def test_floats_are_quantised_as_the_protocol_says() -> None:
    prob = np.array([[0.0, 100.6 / 255, 1.0]])
    mask = np.array([[False, True, True]])
    cut = replace(PROTOCOLS["half"], name="cut", quantise="truncate")
    both = score_all(prob, mask, protocols=("half", cut))
    assert both["half"].mae == pytest.approx((1 - 101 / 255) / 3)
    assert both["cut"].mae == pytest.approx((1 - 100 / 255) / 3)
    assert cut.hash != PROTOCOLS["half"].hash
    levels = np.array([[0, 100, 255]], np.uint8)
    assert score(levels, mask, protocol=cut).row() == score(levels, mask, protocol="half").row()
    with pytest.raises(BenchError, match="round, truncate"):
        replace(cut, quantise="ceil")


def test_what_the_reference_cannot_follow_is_said_in_words() -> None:
    levels, mask = np.zeros((6, 6), np.uint8), np.eye(6, dtype=bool)
    for name, words in {"pranet-matlab": "MATLAB's threshold list", "ldnet": "IoU of polyp and background"}.items():
        with pytest.raises(BenchError, match=words):
            score(levels, mask, protocol=name, engine="reference")
    assert PROTOCOLS["pranet"].reference_gap == PROTOCOLS["half"].reference_gap == ""


def test_miss_rate_counts_images_below_a_tenth() -> None:
    mask = np.zeros((20, 20), bool)
    mask[:10] = True
    hit, missed = mask.astype(np.uint8) * 255, np.zeros((20, 20), np.uint8)
    figures = aggregate(score(prob, mask, protocol="half") for prob in (hit, missed, hit, hit))
    assert figures["miss_rate"] == 0.25
