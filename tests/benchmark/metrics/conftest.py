"""Maps and masks to score, made from a seed, and py_sod_metrics run as its own users run it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import py_sod_metrics as sod
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

MASKS = ("noise", "blobs", "one_pixel", "diagonal", "border", "all_but_one")
MAPS = ("noise", "constant", "two_levels", "three_levels", "narrow", "near", "perfect", "inverse")
Pair = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def make_mask(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a mask of a kind: scattered, smooth, one pixel, a slanted half, along one border, nearly full."""
    mask = np.zeros(shape, bool)
    if kind == "noise":
        mask = rng.random(shape) < rng.choice([0.02, 0.5, 0.95])
    elif kind == "blobs":
        mask = gaussian_filter(rng.standard_normal(shape), 3) > 0.05
    elif kind == "one_pixel":
        mask.flat[rng.integers(mask.size)] = True
    elif kind == "diagonal":
        mask = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) < rng.integers(1, sum(shape))
    elif kind == "border":
        edges = (np.s_[-2:, 1:], np.s_[:1, :], np.s_[:, -1:], np.s_[:, :2])
        mask[edges[int(rng.integers(4))]] = True
    elif kind == "all_but_one":
        mask[:] = True
        mask.flat[rng.integers(mask.size)] = False
    return mask


def make_map(kind: str, mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return an 8-bit map of a kind for a mask."""
    shape = mask.shape
    levels = {
        "noise": lambda: rng.integers(0, 256, shape),
        "constant": lambda: np.full(shape, rng.integers(256)),
        "two_levels": lambda: rng.choice(rng.integers(0, 256, 2), shape),
        "three_levels": lambda: rng.choice(rng.integers(0, 256, 3), shape),
        "narrow": lambda: rng.integers(50, 90, shape),
        "near": lambda: gaussian_filter(mask * 255.0, 1.5) + rng.normal(0, 6, shape),
        "perfect": lambda: mask * 255,
        "inverse": lambda: (~mask) * 255,
    }[kind]()
    return np.clip(levels, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def make_pair() -> Callable[..., Pair]:
    """Return a function (seed, shape, mask kind, map kind) -> (map, mask)."""

    def pair(seed: int, shape: tuple[int, int], mask_kind: str, map_kind: str) -> Pair:
        rng = np.random.default_rng(seed)
        mask = make_mask(mask_kind, shape, rng)
        return make_map(map_kind, mask, rng), mask

    return pair


@pytest.fixture(scope="session")
def field() -> Callable[..., dict[str, Any]]:
    """Return a function (map, mask) -> every measure, from py_sod_metrics' own steps and results."""
    return field_measures


def field_measures(levels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> dict[str, Any]:
    on = {"with_dynamic": True, "with_adaptive": True, "with_binary": True}
    handlers = {
        "dice": sod.DICEHandler(**on),
        "iou": sod.IOUHandler(**on),
        "precision": sod.PrecisionHandler(**on),
        "recall": sod.RecallHandler(**on),
        "specificity": sod.SpecificityHandler(**on),
        "f": sod.FmeasureHandler(**on, beta=1),
    }
    steps = sod.FmeasureV2(handlers), sod.Emeasure(), sod.Smeasure(), sod.WeightedFmeasure(), sod.MAE()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in steps:
            step.step(levels, mask.astype(np.uint8) * 255)
    family, em, sm, wfm, mae = (step.get_results() for step in steps)
    found = {"em": em["em"]["curve"], "adp_em": em["em"]["adp"], "sm": sm["sm"], "wfm": wfm["wfm"]}
    found["mae"] = mae["mae"]
    for name, result in family.items():
        found |= {name: result["dynamic"], f"{name}_half": result["binary"], f"adp_{name}": result["adaptive"]}
    return found
