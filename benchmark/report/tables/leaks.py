"""Leaked test images in words, by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from benchmark.store.schema import LeakKind, TestResult

LEAK_KINDS: tuple[LeakKind, ...] = get_args(LeakKind)
CLEAN_TITLE = "↳ without leaked images"

_SAID = {
    "exact": ("also stands in the training set", "also stand in the training set"),
    "near": ("is a near-duplicate of a training image", "are near-duplicates of training images"),
    "sequence": ("is of a sequence that trains", "are of a sequence that trains"),
}


def count_kinds(tests: Sequence[TestResult]) -> dict[str, int]:
    """Return the number of leaked images by kind that records state; empty where none states it."""
    found = [t.leaked for t in tests if t.leaked is not None]
    return {kind: max(len(one.get(kind, ())) for one in found) for kind in LEAK_KINDS} if found else {}


def describe_leaks(num_leaked: int, leaked: Mapping[str, int]) -> str:
    """Return the caption's sentence on leaked test images.

    Args:
        num_leaked: Images with the very pixels of a training image; all that older records state.
        leaked: Images by kind; empty where only the first is known.
    """
    counts = {"exact": num_leaked, **leaked}
    parts: list[str] = []
    for kind, (one, many) in _SAID.items():
        if number := counts.get(kind):
            what = "" if parts else f" test image{'s' if number > 1 else ''}"
            parts.append(f"{number}{what} {one if number == 1 else many}")
    if parts:
        return ", ".join(parts)
    return "No test image stands in the training set" + (", nearly so or by its sequence" if leaked else "")
