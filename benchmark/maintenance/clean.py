"""Files in a results and a cache folder that can be removed: listed first, removed only on request."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.data.files.generated import default_cache_dir
from benchmark.data.phantom.dataset import VERSION as PHANTOM_VERSION
from benchmark.data.phantom.faults import VERSION as FAULTY_VERSION
from benchmark.errors import BenchError, unknown_name
from benchmark.store import io
from benchmark.store.cells import find_cell
from benchmark.store.layout import ResultsLayout
from benchmark.store.locks import Lock
from benchmark.store.schema import Record

KINDS = ("unfinished", "failed", "locks", "leftovers", "outdated", "caches")
GRACE_S = 3600.0
"""Temporary files and locks younger than this may belong to a running process."""

_CACHED_PIXELS = re.compile(r"[0-9a-f]{32}")
_CACHED_PHANTOM = re.compile(r"phantom(-faulty)?-v\d+")
_BUILDING = re.compile(r"\.building-.+-[a-z0-9_]{8}")
_PLAN = re.compile(r"[0-9a-f]{32}\.plan")
_PART = re.compile(r"tmp[a-z0-9_]{8}\.part")
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")
_UNITS_S = {"": 86400, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class Clutter:
    """One file or folder that can be removed.

    Attributes:
        kind: One of ``KINDS``, or ``cell`` for a record that was named.
        path: What is removed, with everything in it.
        num_bytes: Its size.
        why: What is lost with it.
        cell: The cell whose lock must be held during removal; None for the rest.
        parts: The only contents of the folder ``path`` that are removed; empty for all of it.
    """

    kind: str
    path: Path
    num_bytes: int
    why: str
    cell: str | None = None
    parts: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Found:
    """What can be removed, and what was skipped, one line each."""

    items: list[Clutter] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def parse_age(text: str) -> float:
    """Return seconds of ``12h``, ``7d``, ``2w``, ``30m``; a bare number counts days.

    Raises:
        BenchError: The text is anything else.
    """
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise BenchError(f"--older-than {text}: expected a number with s, m, h, d or w, for example 12h or 7d")
    return float(match[1]) * _UNITS_S[match[2]]


def find_clutter(
    results: Path,
    cache_dir: Path | None = None,
    *,
    kinds: Sequence[str] | None = None,
    cells: Sequence[str] = (),
    min_age_s: float = 0.0,
    caches: bool = False,
) -> Found:
    """Find what can be removed; nothing is changed.

    Args:
        results: Results folder; it need not exist.
        cache_dir: Cache folder; None for the user's.
        kinds: Only these of ``KINDS``; None for all but ``caches``.
        cells: Cells to remove whatever their status.
        min_age_s: Only what was last written at least this long ago, s; cells that are named go at any age.
        caches: Also caches in use: pixels, plans, phantom.
    Raises:
        BenchError: An unknown kind or cell.
    """
    for kind in kinds or ():
        if kind not in KINDS:
            raise unknown_name("kind", kind, KINDS)
    wanted = set(kinds or KINDS[:-1]) | ({"caches"} if caches else set())
    layout, left = ResultsLayout(results), list[str]()
    found = list(_cached(cache_dir))
    if (results / io.MARKER).is_file():
        found += [*_cells(layout, left), *_locks(layout), *_leftovers(layout)]
    elif results.is_dir():
        left.append(f"{results}: no {io.MARKER} file, so it is not a results folder of 'bench run'")
    now = time.time()
    items = [one for one in found if one.kind in wanted and now - _last_written(one.path) >= min_age_s]
    named = [_named(layout, cell) for cell in dict.fromkeys(cells)]
    inside = [one.path for one in named]
    return Found([*named, *(i for i in items if not any(p in (i.path, *i.path.parents) for p in inside))], left)


def remove(items: Sequence[Clutter], results: Path) -> list[Path]:
    """Remove what was found; a cell's files only while its lock is held.

    Returns:
        What was removed.
    Raises:
        BenchError: The system refuses; what was removed before stays removed.
    """
    layout, gone = ResultsLayout(results), []
    for item in items:
        with ExitStack() as stack:
            if item.cell is not None and not stack.enter_context(Lock(layout.lock(item.cell)).attempt()):
                continue
            stack.enter_context(io.explain_os_errors(item.path))
            for path in item.parts or (item.path,):
                _remove(path)
            if item.parts and not any(item.path.iterdir()):
                item.path.rmdir()
            gone.append(item.path)
        if item.cell is not None:
            _drop_empty(item.path.parent, layout.runs)
    return gone


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _cells(layout: ResultsLayout, left: list[str]) -> Iterator[Clutter]:
    folders = {path.parent for name in ("run.json", "last.pt") for path in layout.runs.rglob(name)}
    for folder in sorted(folders):
        cell, paths = (
            folder.relative_to(layout.runs).as_posix(),
            layout.cell(folder.relative_to(layout.runs).as_posix()),
        )
        if _is_held(layout, cell):
            left.append(f"{cell} is locked by {Lock(layout.lock(cell)).holder()}")
            continue
        try:
            record = io.read_record(paths.record) if paths.record.is_file() else None
        except BenchError as error:
            left.append(str(error))
            continue
        yield from _of_cell(cell, paths.last, folder, record)


def _of_cell(cell: str, last: Path, folder: Path, record: Record | None) -> Iterator[Clutter]:
    if record is not None and record.status in ("failed", "diverged"):
        reason = f"{record.status}: {record.error}"
        yield Clutter("failed", folder, _size(folder), reason, cell)
    elif last.is_file():
        why = (
            "of a finished cell"
            if record is not None and record.status == "ok"
            else "the cell starts again from epoch 1"
        )
        yield Clutter("unfinished", last, _size(last), why, cell)


def _is_held(layout: ResultsLayout, cell: str) -> bool:
    """Whether another process has locked the cell; the check leaves no lock file behind."""
    folder = layout.lock(cell)
    return folder.is_dir() and Lock(folder).is_held()


def _named(layout: ResultsLayout, name: str) -> Clutter:
    known = sorted(path.parent.relative_to(layout.runs).as_posix() for path in layout.runs.rglob("run.json"))
    cell = find_cell(name.removeprefix(f"{layout.runs}/"), known, option="--cell")
    folder = layout.runs / cell
    return Clutter("cell", folder, _size(folder), "named by --cell; its scores and weights are lost", cell)


def _locks(layout: ResultsLayout) -> Iterator[Clutter]:
    root = layout.root / "locks"
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.is_dir() and time.time() - _last_written(folder) > GRACE_S and not Lock(folder).is_held():
            yield Clutter("locks", folder, _size(folder), "not in use")


def _leftovers(layout: ResultsLayout) -> Iterator[Clutter]:
    """Temporary files of killed processes, where this package writes."""
    parts = (layout.runs, layout.tables, layout.figures, layout.splits, layout.commands, layout.tuning)
    places = [*layout.root.glob(".*"), *(path for part in parts for path in part.rglob(".*"))]
    for path in sorted(places):
        if io.is_temporary(path) and path.is_file() and _is_old(path):
            yield Clutter("leftovers", path, _size(path), "left by a process that was killed while writing")


def _cached(cache_dir: Path | None) -> Iterator[Clutter]:
    """What this package keeps in a cache folder, by the exact names it gives; the folder may hold other files."""
    root = cache_dir or default_cache_dir()
    if not root.is_dir():
        return
    yield from _halves(root)
    for path in _matching(root, _CACHED_PHANTOM):
        current = path.name in (f"phantom-v{PHANTOM_VERSION}", f"phantom-faulty-v{FAULTY_VERSION}")
        why = "drawn again on use" if current else "of a different version of this package"
        yield Clutter("caches" if current else "outdated", path, _size(path), why)
    for name, pattern, why in (("pixels", _CACHED_PIXELS, "decoded"), ("plans", _PLAN, "made")):
        if parts := tuple(_matching(root / name, pattern)):
            size = sum(map(_size, parts))
            yield Clutter("caches", root / name, size, f"{why} again on use", parts=parts)


def _halves(root: Path) -> Iterator[Clutter]:
    """Parts of a cache folder that a killed process left unfinished."""
    building = (path for place in (root, root / "pixels") for path in _matching(place, _BUILDING))
    for path in (*building, *_matching(root / "plans", _PART)):
        if _is_old(path):
            yield Clutter("leftovers", path, _size(path), "left by a process that was killed while writing")


def _matching(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name)) if folder.is_dir() else []


def _is_old(path: Path) -> bool:
    return time.time() - path.lstat().st_mtime > GRACE_S


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


def _last_written(path: Path) -> float:
    """Time of the newest file in it, s since the epoch."""
    inner = (one.stat().st_mtime for one in path.rglob("*") if one.is_file()) if path.is_dir() else ()
    return max(inner, default=path.stat().st_mtime)


def _drop_empty(folder: Path, stop: Path) -> None:
    while folder != stop and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
