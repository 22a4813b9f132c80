"""What an earlier record still stands for: a finished cell, a finished training, scores of other test sets."""

from __future__ import annotations

from typing import Any

from benchmark.data.audit.leaks import leak_facts
from benchmark.data.pixels.cache import fingerprint
from benchmark.store import io
from benchmark.store.layout import CellPaths
from benchmark.store.schema import Record, TestResult
from benchmark.study.plan import Cell, IfExists, Study, subset


def is_finished(study: Study, cell: Cell) -> bool:
    """Whether nothing is left to do for a cell."""
    old = old_record(study.layout.cell(cell.id), study.request.if_exists)
    return old is not None and old.status == "ok" and covers(old, study, cell)


def old_record(paths: CellPaths, if_exists: IfExists) -> Record | None:
    """The record that is there and may be built on; None where the user wants it overwritten."""
    if if_exists == "overwrite" or not paths.record.is_file():
        return None
    return io.read_record(paths.record)


def covers(old: Record, study: Study, cell: Cell) -> bool:
    """Whether the very images asked for have been scored already, under the protocols as they are now."""
    wanted = {n: fingerprint(subset(i, cell.recipe.max_test_images)) for n, i in study.split.tests.items()}
    scored = {name: result.fingerprint for name, result in old.tests.items()}
    return wanted.items() <= scored.items() and _same_scoring(old, study)


def _same_scoring(old: Record, study: Study) -> bool:
    request = study.request
    return old.engine == request.engine and request.protocol_hashes.items() <= old.protocols.items()


def agrees(old: Record, study: Study) -> bool:
    """Whether scores of other test sets in an old record may stand beside new ones: no name means two things."""
    shared = {name: digest for name, digest in study.request.protocol_hashes.items() if name in old.protocols}
    return old.engine == study.request.engine and shared.items() <= old.protocols.items()


def is_trained(old: Record | None, paths: CellPaths, if_exists: IfExists) -> bool:
    """Whether ``best.pt`` is the finished training of this very cell."""
    if old is None or old.best_epoch is None or not paths.best.is_file():
        return False
    return old.status == "ok" or (if_exists == "resume" and old.status in ("interrupted", "failed"))


def refreshed(paths: CellPaths, old: Record, study: Study, cell: Cell) -> Record:
    """A kept record that also says why test sets asked for now are blank."""
    gaps: dict[str, dict[str, Any]] = {
        "missing": study.split.missing,
        "partial": study.split.partial,
        "tests": _newly_leaked(old, study, cell),
    }
    merged = {key: {**getattr(old, key), **found} for key, found in gaps.items()}
    if all(getattr(old, key) == found for key, found in merged.items()):
        return old
    record = old.model_copy(update=merged)
    io.write_record(paths, record)
    return record


def _newly_leaked(old: Record, study: Study, cell: Cell) -> dict[str, TestResult]:
    """The test results of a kept record that does not list its leaked images yet, with the list."""
    limit = cell.recipe.max_test_images
    return {
        name: old.tests[name].model_copy(update=leak_facts(study.leaks.get(name, ()), subset(items, limit)))
        for name, items in study.split.tests.items()
        if name in old.tests and old.tests[name].leaked is None
    }
