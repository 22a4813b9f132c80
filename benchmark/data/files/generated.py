"""Where generated files are kept, and folders that appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.runtime.atomic import FULL

_TEMPORARY = re.compile(r"\.building-.+-[a-z0-9_]{8}")
STALE_S = 24 * 3600
"""A temporary folder untouched for this long belongs to a killed process, s."""


def default_cache_dir() -> Path:
    """Return BENCH_CACHE_DIR where set, else the user's cache folder for polyp-bench."""
    given = os.environ.get("BENCH_CACHE_DIR", "")
    if given:
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("polyp-bench"))


def build_folder(final: Path, build: Callable[[Path], None], *, needed_bytes: int = 0) -> Path:
    """Fill a temporary folder beside ``final`` by ``build`` and rename it to ``final``.

    Two processes may do this at once: the first rename wins and the other's work is dropped.

    Args:
        final: The folder to make; returned at once where it exists.
        build: Called with the temporary folder.
        needed_bytes: Refuse in advance if less space is free.
    Raises:
        BenchError: No space left, or no write permission; nothing is left behind then.
    """
    if final.is_dir():
        return final
    with _one_line_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        _drop_stale(final.parent)
        _require_space(final.parent, needed_bytes)
        with _temporary(final) as folder:
            build(folder)
            _rename(folder, final)
    return final


def _rename(folder: Path, final: Path) -> None:
    try:
        folder.rename(final)
    except OSError:
        if not final.is_dir():  # otherwise another process was first
            raise


@contextlib.contextmanager
def _temporary(final: Path) -> Iterator[Path]:
    folder = final.with_name(f".building-{final.name}-{secrets.token_hex(4)}")
    folder.mkdir()  # not mkdtemp, which ignores the umask: a cache may be shared
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _one_line_errors(final: Path) -> Iterator[None]:
    """Turn disk errors into one line."""
    try:
        yield
    except OSError as error:
        what = "no space left" if error.errno in FULL else (error.strerror or str(error))
        raise BenchError(
            f"cannot write {final}: {what}; free some space there or set BENCH_CACHE_DIR to another folder"
        ) from error


def _require_space(parent: Path, needed_bytes: int) -> None:
    if needed_bytes > shutil.disk_usage(parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _drop_stale(parent: Path) -> None:
    for folder in parent.glob(".building-*"):
        with contextlib.suppress(OSError):
            if _TEMPORARY.fullmatch(folder.name) and time.time() - folder.stat().st_mtime > STALE_S:
                shutil.rmtree(folder, ignore_errors=True)
