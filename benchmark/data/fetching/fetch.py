"""Get datasets: download, verify, unpack, record; existing files are never overwritten."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from benchmark.data.fetching.download import download, drop_leftovers, file_checksum
from benchmark.data.fetching.sources import Archive, Source
from benchmark.data.fetching.unpack import ArchiveFault, unpack
from benchmark.data.listing.datasets import DATASETS, dataset_info, list_dataset
from benchmark.data.listing.items import RECORD_NAME
from benchmark.errors import BenchError
from benchmark.runtime.atomic import write_json
from benchmark.untrusted import read_json

DOWNLOADS = ".bench-downloads"
"""Folder below the data root for archives and partial downloads; removed when empty."""

LOCK_NAME = "bench-data.lock.json"
Progress = Callable[[str, int, int | None], None]
"""Called with the current phase, and bytes done and in all."""


@dataclass(frozen=True)
class Fetched:
    """Outcome of one source.

    Attributes:
        name: Its name.
        status: ``fetched``; ``present``: already on disk; ``manual``: steps for the user, nothing done.
        folders: Its folders below the data root.
        counts: Images found now, e.g. "kvasir 1000 of 1000".
        steps: What to do manually.
        terms: The owner's terms.
    """

    name: str
    status: Literal["fetched", "present", "manual"]
    folders: tuple[str, ...]
    counts: tuple[str, ...]
    steps: tuple[str, ...]
    terms: str


def download_root(root: Path | None) -> Path:
    """Return the data root to download into; it need not exist yet.

    Raises:
        BenchError: None is given, or it is a file.
    """
    given = root or os.environ.get("BENCH_DATA_ROOT")
    if not given:
        raise BenchError("no data root: pass --data-root DIR or set BENCH_DATA_ROOT; the datasets are put there")
    path = Path(given).expanduser()
    if path.exists() and not path.is_dir():
        raise BenchError(f"data root {path} is not a folder: pass --data-root DIR")
    return path


def fetch(
    name: str,
    source: Source,
    root: Path,
    *,
    lock: Path | None = None,
    keep_archives: bool = False,
    progress: Progress = lambda *_: None,
) -> Fetched:
    """Bring one source below ``root``.

    Args:
        name: Its name in the address list.
        source: Its addresses.
        root: Data root; created if it does not exist.
        lock: File of checksums of first downloads; None for ``bench-data.lock.json`` in the root.
        keep_archives: Keep the archives in ``.bench-downloads``.
        progress: Told how far it is.
    Raises:
        BenchError: See ``download`` and ``unpack``; a partial download is kept for the next call.
    """
    count, expected = (_count(name, root), dataset_info(name).expected) if name in DATASETS else (0, 0)
    whole = count > 0 and expected in (0, count)
    if source.steps or whole:
        status: Literal["present", "manual"] = "present" if whole else "manual"
        steps = () if whole else tuple(step.replace("{root}", str(root)) for step in source.steps)
        return Fetched(name, status, (), _counts(name, source, root), steps, source.terms)
    absent = [archive for archive in source.files if not (root / archive.folder).exists()]
    locks = LockFile(lock or root / LOCK_NAME)
    for archive in absent:
        _fetch_one(name, source, archive, root, locks, keep_archives, progress)
    folders = tuple(str(root / archive.folder) for archive in source.files)
    state: Literal["fetched", "present"] = "fetched" if absent else "present"
    return Fetched(name, state, folders, _counts(name, source, root), (), source.terms)


def _fetch_one(
    name: str, source: Source, archive: Archive, root: Path, locks: LockFile, keep: bool, progress: Progress
) -> None:
    key = f"{name}/{archive.file}"
    recorded = locks.checksum(key)
    with _workplace(root, archive.file) as folder:
        file = download(
            archive,
            folder,
            checksum=archive.checksum or recorded,
            kind="published" if archive.checksum else f"recorded ({locks.path.name}, first download)",
            progress=lambda done, total: progress(f"download {archive.file}", done, total),
        )
        found = archive.checksum if archive.checksum.startswith("sha256:") else file_checksum(file)
        facts = {
            "checksum": found,
            "bytes": file.stat().st_size,
            "url": archive.url,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        record = {"source": name, "title": source.title, **facts, "published_checksum": archive.checksum}
        record |= {"page": source.page, "terms": source.terms}
        try:
            unpack(
                file,
                root / archive.folder,
                max_bytes=archive.max_unpacked_mb << 20 if archive.max_unpacked_mb else None,
                extra={RECORD_NAME: json.dumps(record, indent=1, ensure_ascii=False) + "\n"},
                progress=lambda done, total: progress(f"unpack {archive.file}", done, total),
            )
        except ArchiveFault:
            file.unlink()  # only another download can help
            raise
        if not recorded:
            locks.add(key, facts)
        if not keep:
            file.unlink()


@contextlib.contextmanager
def _workplace(root: Path, file: str) -> Iterator[Path]:
    """The folder for downloads, locked against a second ``bench`` that fetches the same file."""
    from filelock import FileLock, Timeout

    folder = root / DOWNLOADS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        guard = FileLock(folder / f"{file}.lock", timeout=0)
        guard.acquire()
    except Timeout as error:
        raise BenchError(
            f"another bench data fetch is downloading {file} to {folder}: wait for it or stop it"
        ) from error
    except OSError as error:
        raise BenchError(f"cannot write {folder}: {error.strerror}; check permissions or pass --data-root") from error
    try:
        yield folder
    finally:
        (folder / f"{file}.lock").unlink(missing_ok=True)
        guard.release()
        drop_leftovers(folder)


class LockFile:
    """Checksums of first downloads: a file without a published checksum must not change.

    Raises:
        BenchError: If the file is not a lock file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.archives: dict[str, dict[str, Any]] = {}
        try:
            if path.is_file():
                self.archives = dict(read_json(path)["archives"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchError(
                f"lock file {path} cannot be read ({type(error).__name__}): restore it, or remove it to accept what "
                "the next download brings"
            ) from error

    def checksum(self, key: str) -> str:
        """Return the recorded checksum of "<source>/<file>", "" if there is none."""
        return str(self.archives.get(key, {}).get("checksum", ""))

    def add(self, key: str, facts: dict[str, Any]) -> None:
        """Record an archive atomically."""
        self.archives[key] = facts
        write_json(self.path, {"schema": 1, "archives": dict(sorted(self.archives.items()))})


def _counts(name: str, source: Source, root: Path) -> tuple[str, ...]:
    found = []
    for dataset in source.datasets or (name,):
        number, expected = _count(dataset, root), dataset_info(dataset).expected
        found.append(f"{dataset} {number or 'none'}" + (f" of {expected}" if expected else ""))
    return tuple(found)


def _count(dataset: str, root: Path) -> int:
    if not root.is_dir():
        return 0
    try:
        return len(list_dataset(dataset, root))
    except BenchError:
        return 0
