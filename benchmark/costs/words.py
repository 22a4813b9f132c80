"""The text around an estimate: the plan, where figures come from, what is assumed."""

from __future__ import annotations

from benchmark.costs.plan_cost import Estimate

FORMULA = (
    "cell = epochs x train x (step + load) + epochs x val x (forward + validate) + test x (forward + predict + score); "
    "step and forward: seconds per image measured on the device, else 2 x multiply-adds / (peak x utilisation)"
)
"""The formula in one line; ``formula.py`` is its code."""


def plan_words(found: Estimate) -> str:
    """Cells, recipes and images of the plan."""
    images = found.images
    counts = [(found.num_cells, "cell"), (len(found.networks), "network"), (len(set(found.request.seeds)), "seed")]
    cells, networks, seeds = (_count(*one) for one in counts)
    said = dict.fromkeys(  # recipes that differ in the starting weights alone read alike
        f"recipe {r.name}: {r.image_size} px, batch {r.batch_size}, {r.epochs} epochs, precision "
        + ("auto (32-true on a CPU, half on CUDA)" if r.precision == "auto" else r.precision)
        for r in found.recipes
    )
    tests = ", ".join(f"{name} {count}" for name, count in images.tests.items())
    return (
        f"{cells}: {networks}, {seeds}; {'; '.join(said)}; split "
        f"{images.split} (seed {images.seed}): {images.train} images to train, {images.val} to validate, to test "
        f"{tests}."
    )


def measured_on(found: Estimate) -> str:
    """The machine that was measured, and whether it was busy."""
    here = found.conditions
    load = ""
    if here.load is not None:
        busy = ", so it was busy and its images/s are too low" if here.load > here.num_threads + 0.5 else ""
        load = f"; load {here.load:.1f}{busy}"
    commit = f", commit {here.commit[:8]}" if here.commit else ""
    threads = f"{here.num_threads} of {here.num_cores} cores"
    return f"Measured on {here.device_name} ({threads}{load}), torch {here.torch}{commit}."


def notes_on(found: Estimate) -> list[str]:
    """Formula, what is measured, what is assumed, what is not counted."""
    host = found.host
    around = {"load": host.load_s, "validate": host.validate_s, "predict": host.predict_s, "score": host.score_s}
    notes = [
        f"Formula, in seconds and images: {FORMULA}",
        "Measured on this machine: multiply-adds, its own images/s, and ms per image around the network, assumed to be "
        "the same on every host: " + ", ".join(f"{name} {1e3 * seconds:.2g}" for name, seconds in around.items()),
    ]
    assumed = [device for device in found.devices if device.utilisation is not None]
    if assumed:
        peaks = "; ".join(f"{device.title}: {device.source}" for device in assumed)
        notes += [
            f"Not measured: peaks are the vendors' ({peaks}); the utilisation is our assumption, low to high",
            "Batch fits: the memory that is counted (a proxy, next table) fills at most 80 % of the device's",
        ]
    images = found.images.sources
    counts = "; ".join(
        f"{source}: {', '.join(name for name in images if images[name] == source)}"
        for source in dict.fromkeys(images.values())
    )
    return [
        *notes,
        f"Counts of images: {counts}",
        "Several devices: every cell, longest first, goes to the device that is free first; no cell is divided, so the "
        f"longest of the {found.num_cells} cells is the least time",
        "Not counted: optimiser steps, augmentation, decoding once into the cache, waiting and repeated work",
        *found.failed,
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
