"""Atomic writing: a file is complete or absent."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from benchmark.errors import BenchError

T = TypeVar("T")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TEMPORARY = re.compile(r"\..+\.part-[0-9a-f]{12}")


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a missing permission and the like into a one-line ``BenchError`` that names ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise BenchError(f"no space left for {path}: free some space and run the same command again") from error
        reason = error.strerror or str(error)
        raise BenchError(f"cannot write {path}: {reason.lower()}; choose another folder or fix it") from error


def os_error(error: BaseException) -> OSError | None:
    """Return what the operating system said where an error stems from it, else None."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return cause if isinstance(cause, OSError) else None


def write_bytes(path: Path, payload: bytes) -> None:
    """Write a file completely or not at all (see ``write_through``)."""

    def write(file: BinaryIO) -> None:
        file.write(payload)

    write_through(path, write)


def write_through(path: Path, write: Callable[[BinaryIO], T]) -> T:
    """Let ``write`` fill a temporary file beside ``path``; then fsync, rename and fsync the folder.

    Its permissions follow from the umask and the folder, as for any new file.

    Returns:
        What ``write`` returned.
    Raises:
        BenchError: No space left, no permission; the old file is then unchanged.
    """
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(path)
        try:
            with temporary.open("xb") as file:
                result = write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
            return result
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def temporary_beside(path: Path) -> Path:
    """Return an unused hidden name beside ``path``, by which ``is_temporary`` knows what a killed writer left."""
    return path.with_name(f".{path.name}.part-{secrets.token_hex(6)}")


def is_temporary(path: Path) -> bool:
    """Tell whether a file has a name of ``temporary_beside``."""
    return _TEMPORARY.fullmatch(path.name) is not None


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut; does nothing where folders cannot be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:  # some network file systems refuse; then the rename is as durable as they make it
        return
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, payload: Any) -> None:
    """Write indented JSON atomically; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(payload, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
