"""Phantom-faulty: what was planted is what `bench data check` and `bench audit data` find, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmark.data.audit.check import check_dataset
from benchmark.data.audit.report import to_text
from benchmark.data.audit.search import audit_items
from benchmark.data.listing.datasets import DATASETS, GROUPS, expand_datasets, list_dataset
from benchmark.data.phantom.faults import FAULTS, PREFIX
from benchmark.errors import BenchError


def _report(name: str, cache: Path) -> str:
    """All that the two commands say of one dataset."""
    text = check_dataset(name, cache_dir=cache).to_text()
    try:
        items = list_dataset(name, cache_dir=cache)
    except BenchError:
        return text
    return f"{text}\n{to_text(audit_items({name: items}, cache_dir=cache))}"


@pytest.mark.parametrize("name", FAULTS)
def test_planted_is_found_and_nothing_else(name: str, shared_cache: Path) -> None:
    report = _report(name, shared_cache)
    known = {pattern for fault in FAULTS.values() for pattern in fault.shows}
    found = {pattern for pattern in known if re.search(pattern, report, re.MULTILINE)}
    assert found == set(FAULTS[name].shows), report


def test_every_message_names_file_or_folder(shared_cache: Path) -> None:
    for name in FAULTS:
        for fault in check_dataset(name, cache_dir=shared_cache).faults:
            assert name in fault, fault


def test_they_are_asked_for_by_name_only() -> None:
    assert expand_datasets(["phantom-faulty"]) == list(FAULTS) == list(GROUPS["phantom-faulty"])
    assert expand_datasets([PREFIX + "inverted"]) == [PREFIX + "inverted"]
    assert not FAULTS.keys() & DATASETS.keys() and not FAULTS.keys() & set(GROUPS["phantom"])
