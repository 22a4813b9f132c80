"""Leaked test images in words, by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.store.schema import LEAK_KINDS as LEAK_KINDS
from benchmark.store.schema import TestResult

CLEAN_TITLE = "↳ without leaked images"

_SAID = {
    "exact": ("also stands in the training set", "also stand in the training set"),
    "near": ("is a near-duplicate of a training image", "are near-duplicates of training images"),
    "sequence": ("is of a training sequence or scene", "are of a training sequence or scene"),
}


def count_kinds(tests: Sequence[TestResult]) -> dict[str, int]:
    """Return the number of leaked images by kind, the most that a record states; without kinds that none looked for."""
    stated = [test.num_leaked_by_kind() for test in tests]
    found = {kind: [number for one in stated if (number := one[kind]) is not None] for kind in LEAK_KINDS}
    return {kind: max(numbers) for kind, numbers in found.items() if numbers}


def total_leaked(tests: Sequence[TestResult]) -> int | None:
    """Return the number of leaked images of every kind, the most that a record states; None where none does."""
    return max((test.num_leaked for test in tests if test.num_leaked is not None), default=None)


def describe_leaks(counts: Mapping[str, int]) -> str:
    """Return the caption's sentence on leaked test images.

    Args:
        counts: Images by kind; older records state the exact copies alone.
    """
    parts: list[str] = []
    for kind, (one, many) in _SAID.items():
        if number := counts.get(kind):
            what = "" if parts else f" test image{'s' if number > 1 else ''}"
            parts.append(f"{number}{what} {one if number == 1 else many}")
    whole = set(counts) == set(LEAK_KINDS)
    if not parts:
        parts = ["No test image stands in the training set" + (", nearly so or by its sequence" if whole else "")]
    return ", ".join(parts) + ("" if whole else " (near-duplicates and sequences were not looked for)")
