"""Whether the statistics hold what they promise, on made-up scores whose truth is known.

    python tests/perf/simulate_statistics.py [--trials 2000] [--method package|before] [--hostile]

Six exchangeable models, so that every difference is noise: 2, 3, 5 seeds x {200 images, 20 groups of 10, 5 unequal
groups} x {equal, unequal spread over seeds}. Spreads and sizes of effects are those of mDSC in
results/reference/cpu-study: spread over seeds .0056 to .0362 (`equal`: their root mean square), image .20, model x
image .06, rest .08, group and model x group .03 each where images come in groups. Printed for each cell:

* type-I error of single comparisons at .05 and .001, over all 15 pairs, and the worst pair's at .001;
* family-wise error at .05 after Holm over the 15 comparisons of a command (5 models with the sixth, 3 sets);
* coverage of the 95 % intervals of means and of differences.

Below three seeds the package tests nothing; the p-values that it would have are printed in brackets. ``before`` is what
the package did until then: each model's own seed variance, negative estimates set to 0, G - 1 degrees of freedom.
``--hostile``: designs chosen to break it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import stats as sps

from benchmark.report.statistics.fit import Fit, fit_sums
from benchmark.report.statistics.groups import robust_df
from benchmark.report.statistics.limits import MIN_SEEDS, not_estimable
from benchmark.report.statistics.model import differences, means

MODELS, SETS = 6, 3
UNEQUAL = np.array([0.0229, 0.0232, 0.0067, 0.0062, 0.0362, 0.0056])
EQUAL = np.full(MODELS, np.sqrt((UNEQUAL**2).mean()))
FIVE = np.array([20.0, 30, 40, 50, 60])
LAYOUTS = {"200 images": np.ones(200), "20 groups of 10": np.full(20, 10.0), "5 unequal groups": FIVE}


@dataclass(frozen=True)
class Design:
    """Where scores come from.

    Attributes:
        sizes: Images per group. spread: Standard deviation over seeds by model. shared: Of what a seed does to all
            models alike. group: Standard deviation of group, and of model x group; seed_group: of seed x group.
        tails: ``normal``; ``t3``: seeds and groups by Student's t with 3 degrees of freedom; ``bounded``: scores in
            [0, 1], an eighth of them 0.
        paired: Whether the analysis pairs seeds.
    """

    seeds: int
    sizes: np.ndarray
    spread: np.ndarray = field(default_factory=lambda: EQUAL)
    shared: float = 0.0
    image: float = 0.20
    model_image: float = 0.06
    rest: float = 0.08
    group: float = 0.03
    seed_group: float = 0.0
    tails: str = "normal"
    paired: bool = False


def draw(rng: np.random.Generator, design: Design, trials: int) -> np.ndarray:
    """Return (trials, models, seeds, groups) sums of scores over groups."""
    d, k = design, len(design.sizes)
    size = (trials, len(d.spread), d.seeds)

    def heavy(*shape: int) -> np.ndarray:
        drawn: np.ndarray = rng.standard_t(3, shape) / np.sqrt(3) if d.tails == "t3" else rng.normal(size=shape)
        return drawn

    groups = 0.0 if (d.sizes == 1).all() else d.group * (heavy(trials, 1, 1, k) + heavy(trials, size[1], 1, k))
    groups = np.zeros((*size, k)) + groups + (d.seed_group * heavy(*size, k) if d.seed_group else 0.0)
    effects = groups + (d.spread[:, None] * heavy(*size) + d.shared * heavy(trials, 1, d.seeds))[..., None]
    if d.tails == "bounded":
        return _bounded(rng, d, effects, trials)
    root = np.sqrt(d.sizes)
    single = d.image * rng.normal(size=(trials, 1, 1, k)) + d.model_image * rng.normal(size=(trials, size[1], 1, k))
    return effects * d.sizes + root * (single + d.rest * rng.normal(size=(*size, k)))


def _bounded(rng: np.random.Generator, d: Design, effects: np.ndarray, trials: int) -> np.ndarray:
    """Scores like Dice: most near 0.9, an eighth of the images missed altogether, nothing outside [0, 1]."""
    lab = np.repeat(np.arange(len(d.sizes)), d.sizes.astype(int))
    easy = sps.norm.isf(rng.beta(6, 1.5, size=(trials, 1, 1, len(lab))))  # heavy on the hard side
    latent = 0.15 - 0.2 * easy + effects[..., lab] + d.model_image * rng.normal(size=(*effects.shape[:2], 1, len(lab)))
    scores = np.clip(0.65 + latent + d.rest * rng.normal(size=(*effects.shape[:3], len(lab))), 0, 1)
    scores[scores < 0.45] = 0.0
    starts = np.concatenate([[0], np.cumsum(d.sizes.astype(int))[:-1]])
    return np.add.reduceat(scores, starts, axis=-1)


@dataclass(frozen=True)
class Answer:
    """p-values and half widths, (trials, models)."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def package(fit: Fit, reference: int | None) -> Answer:
    """What the package says; its limits are left to the caller."""
    found = means(fit) if reference is None else differences(fit, reference)
    return Answer(found.value, found.low, found.high, found.p)


def before(fit: Fit, reference: int | None) -> Answer:
    """What the package said before: no pooling, G - 1 degrees of freedom."""
    s, g, n = fit.num_seeds, len(fit.sizes), fit.sizes.sum()
    noise = g / ((g - 1) * (s - 1)) * (fit.rest**2).sum(axis=(-2, -1)) / n**2
    own = np.maximum(fit.by_seed.var(axis=-1, ddof=1) - noise, 0) / s
    apart = fit.by_group if reference is None else fit.by_group - fit.by_group[:, [reference]]
    image = g / (g - 1) * (apart**2).sum(axis=-1) / n**2
    other = 0 * own if reference is None else own[:, [reference]]
    value = fit.mean if reference is None else fit.mean - fit.mean[:, [reference]]
    total = np.maximum(image + own + other, 1e-30)
    df = total**2 / np.maximum(image**2 / (g - 1) + (own**2 + other**2) / (s - 1), 1e-60)
    half = np.sqrt(total) * sps.t.isf(0.025, df)
    return Answer(value, value - half, value + half, 2 * sps.t.sf(np.abs(value) / np.sqrt(total), df))


Method = Callable[[Fit, "int | None"], Answer]
METHODS: dict[str, Method] = {"package": package, "before": before}


@dataclass(frozen=True)
class Found:
    """Error rates and coverage of one cell."""

    type1_05: float
    type1_001: float
    worst_001: float
    family: float
    means: float
    differences: float
    worst_difference: float


def measure(design: Design, method: Method = package, *, trials: int = 2000, seed: int = 0) -> Found:
    """Simulate one cell of the design."""
    rng = np.random.default_rng(seed)
    truth = _truth(design)
    p_values, covered, means_covered = [], [], []
    chunk = max(1, min(trials, int(2_000_000 / (MODELS * design.seeds * len(design.sizes)))))
    for start in range(0, trials, chunk):
        fit = fit_sums(draw(rng, design, min(chunk, trials - start)), design.sizes, paired=design.paired)
        found = method(fit, None)
        means_covered.append((found.low <= truth) & (truth <= found.high))
        for reference in range(MODELS):
            found = method(fit, reference)
            later = list(range(reference + 1, MODELS)) if reference else list(range(1, MODELS))
            p_values.append((reference, start, found.p[:, later]))
            covered.append((reference, ((found.low <= 0) & (found.high >= 0))[:, later]))
    pairs = [np.concatenate([p for r, _, p in p_values if r == k]) for k in range(MODELS - 1)]
    p = np.concatenate(pairs, axis=1)
    hits = np.concatenate([np.concatenate([c for r, c in covered if r == k]) for k in range(MODELS - 1)], axis=1)
    whole = pairs[0][: len(pairs[0]) // SETS * SETS].reshape(-1, SETS * (MODELS - 1))
    return Found(
        type1_05=float((p < 0.05).mean()),
        type1_001=float((p < 0.001).mean()),
        worst_001=float((p < 0.001).mean(axis=0).max()),
        family=float((whole.min(axis=1) * whole.shape[1] < 0.05).mean()),
        means=float(np.concatenate(means_covered).mean()),
        differences=float(hits.mean()),
        worst_difference=float(hits.mean(axis=0).min()),
    )


def _truth(design: Design) -> np.ndarray:
    if design.tails != "bounded":
        return np.zeros(MODELS)
    many = replace(design, sizes=np.ones(400), seeds=1)  # groups add to a score's spread, not to its shape here
    rng = np.random.default_rng(99)
    one = np.sqrt(2) * design.group if (design.sizes > 1).any() else 0.0
    wide = replace(many, spread=np.sqrt(design.spread**2 + one**2 + design.seed_group**2), group=0.0)
    total = sum(draw(rng, wide, 500).mean(axis=(0, 2, 3)) for _ in range(40))
    return np.asarray(total / 40)


def cells() -> Iterator[tuple[str, Design]]:
    """The cells that the package is held to."""
    for seeds in (2, 3, 5):
        for layout, sizes in LAYOUTS.items():
            for name, spread in (("equal", EQUAL), ("unequal", UNEQUAL)):
                yield f"{seeds} seeds, {layout}, {name}", Design(seeds, sizes, spread)


def hostile() -> Iterator[tuple[str, Design]]:
    """Designs chosen to break the package."""
    small = np.full(MODELS, 0.006)
    one = np.where(np.arange(MODELS) == 0, 0.036, 0.012)
    study = np.array([48.0, 22, 21, 7, 5, 3, 2])  # CVC-ColonDB's scenes in the reference study
    mixed = np.array([1.0, 1, 1, 1, 2, 2, 3, 5, 8, 16, 30, 40, 40, 50])
    for seeds in (3, 5):
        twenty = Design(seeds, LAYOUTS["20 groups of 10"])
        alone = Design(seeds, LAYOUTS["200 images"])
        yield f"{seeds} seeds, one model spreads 3 x as far", replace(alone, spread=one)
        yield f"{seeds} seeds, no spread over seeds", replace(alone, spread=0 * EQUAL)
        yield f"{seeds} seeds, seed x group .06", replace(twenty, spread=small, seed_group=0.06)
        yield (
            f"{seeds} seeds, seed x group .06, 5 groups",
            replace(twenty, sizes=FIVE, seed_group=0.06),
        )
        yield f"{seeds} seeds, 14 very unequal groups", replace(twenty, sizes=mixed)
        yield f"{seeds} seeds, 7 groups, one of 44 %", replace(twenty, sizes=study)
        yield f"{seeds} seeds, t3 seeds and groups", replace(twenty, tails="t3")
        yield f"{seeds} seeds, scores in [0, 1]", replace(alone, tails="bounded")
        yield f"{seeds} seeds, scores in [0, 1], 20 groups", replace(twenty, tails="bounded")
        yield f"{seeds} seeds, scores in [0, 1], unequal", replace(alone, tails="bounded", spread=UNEQUAL)
        tied = replace(alone, spread=small, shared=0.03)
        yield f"{seeds} seeds, ablation: seeds shared .03", replace(tied, paired=True)
        yield f"{seeds} seeds, the same, not paired", tied
        yield f"{seeds} seeds, ablation, unequal", replace(tied, spread=UNEQUAL, paired=True)


def line(name: str, design: Design, found: Found) -> str:
    """One printed row."""
    tested = design.seeds >= MIN_SEEDS and not not_estimable(design.sizes)
    type1 = f"{found.type1_05:.3f} {found.type1_001:.4f} {found.worst_001:.4f} {found.family:.3f}"
    return (
        f"{name:46s} {type1 if tested else f'({type1})':30s} {found.means:.3f} {found.differences:.3f} "
        f"{found.worst_difference:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--method", choices=list(METHODS), default="package")
    parser.add_argument("--hostile", action="store_true")
    options = parser.parse_args()
    print(f"{'':46s} {'p<.05 p<.001 worst family':30s} means differences worst")
    start = time.perf_counter()
    for name, design in hostile() if options.hostile else cells():
        print(line(name, design, measure(design, METHODS[options.method], trials=options.trials)), flush=True)
    print(
        f"{options.trials} trials a cell, {time.perf_counter() - start:.0f} s; df of the 5 unequal groups: "
        f"{robust_df(LAYOUTS['5 unequal groups']):.2f}"
    )


if __name__ == "__main__":
    main()
