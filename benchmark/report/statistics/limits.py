"""Limits of a design: when no interval is given, when nothing is tested, and the texts for both."""

from __future__ import annotations

import numpy as np

from benchmark.report.records.blocks import Floats
from benchmark.report.statistics.groups import robust_df

MIN_GROUPS = 5
"""With fewer groups of images no interval is given."""
MIN_GROUP_DF = 1.5
"""Nor where one group holds so many of the images that fewer degrees of freedom than this are left."""
MIN_SEEDS = 3
"""With fewer seeds nothing is tested."""
FEW_GROUPS = 10
LARGE_SHARE = 0.25


def not_estimable(sizes: Floats, word: str = "groups of images") -> str:
    """Return why no interval can be given, such as ``2 sequences``; empty if one can.

    Args:
        sizes: (G,) images per group.
        word: What the groups are, in the plural.
    """
    num = len(sizes)
    if num == int(sizes.sum()) and num < MIN_GROUPS:
        return f"{num} image{'s' if num != 1 else ''}"
    if num < MIN_GROUPS:
        one = "group of images" if word == "groups of images" else word.removesuffix("s")
        return f"{num} {word if num != 1 else one}"
    if robust_df(sizes) < MIN_GROUP_DF:
        return f"{int(sizes.max())} of {int(sizes.sum())} images in one of {num} {word}"
    return ""


def not_tested(num_seeds: int) -> str:
    """Return why differences are not tested, empty if they are. Rows without seeds of their own do not count."""
    if num_seeds >= MIN_SEEDS:
        return ""
    if num_seeds == 1:
        return "one seed: how much another training would differ is not known, so no difference is tested"
    return (
        "two seeds: they may agree by chance, and then any difference seems certain, so none is tested; "
        f"{MIN_SEEDS} seeds or more are"
    )


def caution(sizes: Floats, num_seeds: int, word: str = "groups of images") -> str:
    """Return the caveats of an interval; empty if there are none."""
    notes = []
    reason = not_estimable(sizes, word)
    if reason:
        notes.append(f"no interval can be given: {reason}")
    elif len(sizes) < FEW_GROUPS:
        notes.append(f"{len(sizes)} {word} only: take the interval as a rough guide")
    if not reason and sizes.max() > LARGE_SHARE * sizes.sum():
        notes.append(f"{int(sizes.max())} of {int(sizes.sum())} images are in one of the {word}")
    if num_seeds == 1:
        notes.append("one seed: how much another training would differ is not in the interval")
    elif 1 < num_seeds < MIN_SEEDS:
        notes.append("two seeds: what seeds add is mostly borrowed from the other models")
    return "; ".join(notes)


def blank(values: Floats, reason: str) -> Floats:
    """Return the values, or NaN for all where there is a reason to give none."""
    return np.full_like(values, np.nan) if reason else values
