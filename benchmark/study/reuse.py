"""What of an earlier record is still valid: a finished cell, a finished training, scores of other test sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.data.audit.leaks import leak_facts
from benchmark.data.splits.partition import Split
from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.layout import CellPaths
from benchmark.store.schema import Record, TestResult
from benchmark.study.cells import Cell
from benchmark.study.images import TestImages
from benchmark.study.plan import IfExists, Study
from benchmark.study.scoring import Scoring


def is_finished(study: Study, cell: Cell) -> bool:
    """Return whether nothing is left to do for a cell; False where its folder cannot be read."""
    try:
        old = old_record(study.layout.cell(cell.id), study.request.if_exists)
    except (BenchError, OSError) as error:
        if io.os_error(error) is None:
            raise
        return False
    return old is not None and covers(old, study.test_images(cell.recipe), study.request.scoring)


def old_record(paths: CellPaths, if_exists: IfExists) -> Record | None:
    """Return the existing record that may be reused; None if there is none or the user wants it overwritten."""
    if if_exists == "overwrite" or not paths.record.is_file():
        return None
    return io.read_record(paths.record)


def covers(old: Record, tests: Mapping[str, TestImages], scoring: Scoring) -> bool:
    """Return whether a record is finished, with these very images scored under these protocols as they are now."""
    if old.status != "ok" or old.engine != scoring.engine or not scoring.hashes.items() <= old.protocols.items():
        return False
    scored = {name: result.fingerprint for name, result in old.tests.items()}
    return all(scored.get(name) == chosen.fingerprint for name, chosen in tests.items())


def agrees(old: Record, scoring: Scoring) -> bool:
    """Return whether an old record's scores may be kept beside new ones: no protocol name has two meanings."""
    shared = {name: digest for name, digest in scoring.hashes.items() if name in old.protocols}
    return old.engine == scoring.engine and shared.items() <= old.protocols.items()


def is_trained(old: Record | None, paths: CellPaths, if_exists: IfExists) -> bool:
    """Return whether ``best.pt`` is the finished training of this very cell."""
    if old is None or old.best_epoch is None or not paths.best.is_file():
        return False
    return old.status == "ok" or (if_exists == "resume" and old.status in ("interrupted", "failed"))


def refreshed(
    paths: CellPaths,
    old: Record,
    tests: Mapping[str, TestImages],
    *,
    split: Split,
    train_sets: list[str],
) -> Record:
    """Return a kept record that also says why test sets asked for now are blank, and which datasets train."""
    gaps: dict[str, Mapping[str, Any]] = {
        "missing": split.missing,
        "partial": split.partial,
        "tests": _newly_leaked(old, tests),
    }
    merged: dict[str, Any] = {key: {**getattr(old, key), **found} for key, found in gaps.items()}
    merged["train_sets"] = train_sets if old.train_sets is None else old.train_sets
    if all(getattr(old, key) == found for key, found in merged.items()):
        return old
    record = old.model_copy(update=merged)
    io.write_record(paths, record)
    return record


def _newly_leaked(old: Record, tests: Mapping[str, TestImages]) -> dict[str, TestResult]:
    """Return the test results of a kept record that does not list its leaked images yet, with the list."""
    return {
        name: old.tests[name].model_copy(update=leak_facts(chosen.leaks, chosen.items))
        for name, chosen in tests.items()
        if name in old.tests and old.tests[name].leaked is None
    }
