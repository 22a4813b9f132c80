"""What further measures cost beside the scoring that every run does, in one process, on one thread.

    python tests/perf/bench_measures.py [--repeat 11]

Scoring: four protocols from one plan on disk, facts of the mask, sums over images; decoding, which would make every
ratio smaller, is not included. Beside it, in turns: scoring with one more named protocol, and each family of measures
on request. A ratio is the least CPU time per image of all rounds over that of scoring. The script fails where one more
protocol costs over 15 %; the families cost more, and are computed on request only.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from bench_scoring import Pair, make_pair

from benchmark.metrics import PROTOCOLS, PlanCache, mask_facts, score_all
from benchmark.metrics.aggregate import Accumulator
from benchmark.metrics.families import boundary, calibration, lesions
from benchmark.metrics.named import STANDARD

LIMIT = 0.15


def scorer(cache: PlanCache, names: Sequence[str]) -> Callable[[Pair], object]:
    """Return a function that scores one map as a run does."""
    protocols = [PROTOCOLS[name] for name in names]
    sums = {name: Accumulator() for name in names}

    def one(pair: Pair) -> None:
        levels, mask = pair
        facts = mask_facts(mask)
        for name, scores in score_all(levels, mask, plan=cache.get(mask), protocols=protocols).items():
            sums[name].add(scores, **facts)

    return one


def least(functions: Sequence[Callable[[Pair], object]], pairs: Sequence[Pair], repeat: int) -> list[float]:
    """Return each function's least CPU time per image in ms, over rounds in which they take turns.

    The least, because other jobs on the machine can only add to it.
    """
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeat + 1):  # the first round warms up
        for function, spent in zip(functions, times, strict=True):
            start = time.process_time()
            for pair in pairs:
                function(pair)
            spent.append((time.process_time() - start) * 1e3 / len(pairs))
    return [min(spent[1:]) for spent in times]


def main() -> int:
    """Print one line per image size and kind; exit 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=11, help="rounds")
    parser.add_argument("--images", type=int, default=4, help="images per round")
    options = parser.parse_args()
    rng, missed = np.random.default_rng(0), []
    families = [lesions(), calibration(), boundary(PROTOCOLS["half"])]
    with tempfile.TemporaryDirectory() as folder:
        cache = PlanCache(folder)
        extra = [name for name in PROTOCOLS if name not in STANDARD]
        functions = [scorer(cache, STANDARD), *(scorer(cache, (*STANDARD, name)) for name in extra)]
        functions += [lambda pair, f=family: f.of_image(*pair) for family in families]  # type: ignore[misc]
        for height, width in ((500, 574), (966, 1225)):
            for noise in (0.0, 8.0):
                pairs = [make_pair(height, width, rng, noise=noise) for _ in range(options.images)]
                base, *others = least(functions, pairs, options.repeat)
                added = [(time - base) / base for time in others[: len(extra)]]
                asked = [time / base for time in others[len(extra) :]]
                texts = [f"{name} {share:+6.1%}" for name, share in zip(extra, added, strict=True)]
                texts += [f"{f.name} {share:5.0%}" for f, share in zip(families, asked, strict=True)]
                kind = "noisy" if noise else "soft"
                print(f"{width}x{height}, {kind:5} scoring {base:5.2f} ms | {' | '.join(texts)}", flush=True)
                missed += [f"{width}x{height} {kind}"] if max(added) > LIMIT else []
    print("limit of 15 %:", "met" if not missed else f"missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
