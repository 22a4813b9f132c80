"""Seconds that the trial pass of `bench run`, `ablate` and `tune` takes for each network, at smoke size on the CPU.

    python tests/perf/trial_pass.py [--models all] [--recipe smoke] [--repeats 3]

Limit: 2 s per model. Networks of this package are only built while planning; here each is also passed through, as a
network of the user's is, which costs more. What is imported once is not counted. Seconds are the processor's, which a
busy machine leaves alone; the clock's stand behind them.
"""

from __future__ import annotations

import argparse
import time

import torch

from benchmark.execution.trial_pass import try_network, try_recipe
from benchmark.models.build import build_network
from benchmark.models.registry import expand_models
from benchmark.recipes.read import load_recipe

LIMIT_S = 2.0


def main() -> int:
    """Print one line per network and the slowest; exit code 1 where one is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", default="all")
    parser.add_argument("--recipe", default="smoke")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    specs = expand_models(options.models.split(","))
    recipes = [load_recipe(options.recipe, model=spec.name, overrides={"pretrained": False}) for spec in specs]
    build_network(specs[0], recipes[0], pretrained=False)  # imports
    slowest = 0.0
    print(f"{torch.get_num_threads()} threads, {recipes[0].image_size} px, best of {options.repeats}")
    for spec, recipe in zip(specs, recipes, strict=True):
        times = []
        for _ in range(options.repeats):
            clock, begun = time.perf_counter(), time.process_time()
            try_recipe(recipe)
            network = build_network(spec, recipe, pretrained=False)
            built = time.process_time() - begun
            try_network(network, recipe, spec.name)
            times.append((time.process_time() - begun, built, time.perf_counter() - clock))
        whole, built, clock = min(times)
        slowest = max(slowest, whole)
        print(f"{spec.title:24} {whole:6.2f} s, of which building {built:5.2f} s ({clock:.2f} s by the clock)")
    print(f"slowest {slowest:.2f} s, limit {LIMIT_S:g} s")
    return int(slowest > LIMIT_S)


if __name__ == "__main__":
    raise SystemExit(main())
