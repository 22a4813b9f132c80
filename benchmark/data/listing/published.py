"""Published lists of file names (facts), kept as text files beside this module."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

PRANET_LISTS = {
    ("kvasir", "train"): "pranet_kvasir_train900.txt",
    ("kvasir", "test"): "pranet_kvasir_test100.txt",
    ("clinicdb", "train"): "pranet_clinicdb_train550.txt",
    ("clinicdb", "test"): "pranet_clinicdb_test62.txt",
    ("cvc300", "test"): "pranet_cvc300_test60.txt",
}
"""Source: the folders of PraNet's training and test bundles (MICCAI 2020)."""


@cache
def published_ids(dataset: str, part: str) -> tuple[str, ...]:
    """Return the ids that PraNet's bundle holds of a dataset's ``part`` ("train" or "test"); () where none."""
    name = PRANET_LISTS.get((dataset, part))
    if name is None:
        return ()
    return tuple((files("benchmark.data.listing") / "lists" / name).read_text(encoding="utf-8").split())
