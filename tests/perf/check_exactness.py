"""How far the fast engine's digits are from py_sod_metrics', measure by measure, and from its own numpy path's.

    python tests/perf/check_exactness.py [--seeds 3]

Cases: the grid of the tests (tests/benchmark/metrics/conftest.py): masks scattered, smooth, of one pixel, slanted,
along a border, all but one pixel; maps of noise, constant, of two and three levels, narrow, near, perfect, inverse;
sizes from 1x1 to 226x301. Printed is the greatest absolute difference: thresholded measures must be equal, the others
within 1e-9. Cases for which the reference gives NaN for S (an empty quadrant) are counted apart. HD95 is compared with
medpy.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.metrics import PROTOCOLS, hd95, score, score_all

CASES = Path(__file__).parents[1] / "benchmark" / "metrics" / "conftest.py"
SHAPES = ((1, 1), (1, 40), (37, 1), (2, 3), (16, 33), (97, 70), (226, 301))
NOT_THRESHOLDED = ("mae", "sm", "wfm")
LIMIT = 1e-9


def load_cases() -> Any:
    """Return the module that makes the tests' cases and runs py_sod_metrics as its users do."""
    spec = importlib.util.spec_from_file_location("cases", CASES)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numpy_rows(levels: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Score without numba, under every protocol."""
    os.environ["BENCH_NO_NUMBA"] = "1"
    try:
        return score_all(levels, mask, protocols=tuple(PROTOCOLS))
    finally:
        del os.environ["BENCH_NO_NUMBA"]


def main() -> int:
    """Print the greatest differences; exit 1 if one is beyond its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="cases per size, mask and map")
    seeds = parser.parse_args().seeds
    cases = load_cases()
    worst: dict[str, float] = {}
    num_cases = num_nan = num_unequal = 0
    hausdorff = 0.0
    for shape, mask_kind, map_kind, seed in product(SHAPES, cases.MASKS, cases.MAPS, range(seeds)):
        rng = np.random.default_rng([seed, *shape])
        mask = cases.make_mask(mask_kind, shape, rng)
        levels = cases.make_map(map_kind, mask, rng)
        ours = score_all(levels, mask, protocols=tuple(PROTOCOLS))
        for name, value in cases.field_measures(levels, mask).items():
            if name == "sm" and math.isnan(value):
                num_nan += 1
                continue
            gap = float(np.max(np.abs(np.asarray(getattr(ours["pranet"], name)) - value)))
            worst[name] = max(worst.get(name, 0.0), gap)
        plain = numpy_rows(levels, mask)
        num_unequal += sum(plain[name].row() != ours[name].row() for name in PROTOCOLS)
        hausdorff = max(hausdorff, boundary_gap(levels, mask))
        num_cases += 1
    wrong = [n for n, gap in worst.items() if gap > (LIMIT if n in NOT_THRESHOLDED else 0)]
    print(f"{num_cases} cases, greatest difference to py_sod_metrics:")
    for name, gap in worst.items():
        print(f"  {name:16} {gap:.1e}")
    print(f"S is NaN in the reference in {num_nan} cases")
    print(f"hd95 against medpy: {hausdorff:.1e}")
    print(f"rows that differ in any bit without numba: {num_unequal} of {num_cases * len(PROTOCOLS)}")
    failed = bool(wrong or num_unequal or hausdorff > LIMIT)
    print("limits:", f"exceeded: {', '.join(wrong) or 'see above'}" if failed else "all kept")
    return int(failed)


def boundary_gap(levels: np.ndarray, mask: np.ndarray) -> float:
    """Return the difference of HD95 to medpy's, for the map at 0.5; 0 where medpy has no answer."""
    from medpy.metric import binary

    pred = levels >= 128
    if not pred.any() or not mask.any():
        return 0.0
    ours = score(levels, mask, protocol="half", boundary=True).hd95
    assert ours is not None and ours == hd95(pred, mask)
    return abs(ours - float(binary.hd95(pred, mask)))


if __name__ == "__main__":
    sys.exit(main())
