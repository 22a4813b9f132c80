"""Atomic writing and strict reading. A file is whole or it is not there."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import secrets
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from pydantic import ValidationError

from benchmark.errors import BenchError
from benchmark.store.layout import CellPaths, ResultsLayout
from benchmark.store.schema import SCHEMA_VERSION, Record
from benchmark.untrusted import read_json

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

T = TypeVar("T")
MAX_ROWS = 5_000_000
MAX_COLUMNS = 1_000
MAX_ARRAY_BYTES = 512 << 20
_UNSAFE = dict.fromkeys(("id", "dataset", "protocol"), re.compile(r"[\x01-\x1f\x7f-\x9f/\\]"))
_UNSAFE["group"] = re.compile(r"[\x01-\x1f\x7f-\x9f]")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
MARKER = ".bench"
"""A results folder that this package writes to holds a file of this name; nothing is removed from a folder without."""

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
        raise BenchError(f"cannot write {path}: {reason.lower()}; choose another folder or mend it") from error


def write_bytes(path: Path, payload: bytes) -> None:
    """Write a file whole or not at all (see ``write_through``)."""

    def write(file: BinaryIO) -> None:
        file.write(payload)

    write_through(path, write)


def write_through(path: Path, write: Callable[[BinaryIO], T]) -> T:
    """Let ``write`` fill a temporary file beside ``path``; then fsync, rename and fsync the folder.

    Who may read it is for the umask and the folder to say, as for any file that a program makes.

    Returns:
        What ``write`` returned.
    Raises:
        BenchError: No space left, no permission; the old file is then unharmed.
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
    """Let a rename in ``folder`` survive a power cut; a no-op where folders cannot be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:  # some network file systems refuse; their rename is as durable as they make it
        return
    finally:
        os.close(handle)


def drop_leftovers(folder: Path) -> None:
    """Remove the temporary files of a killed process; call it only for a cell whose lock is held."""
    for path in folder.rglob(".*.part-*"):
        if is_temporary(path):
            path.unlink(missing_ok=True)


def mark(results: Path) -> None:
    """Mark a results folder as this package's, which also shows that it can be written.

    Raises:
        BenchError: No space left, no permission.
    """
    write_text(results / MARKER, "results of polyp-bench\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, payload: Any) -> None:
    """Write indented JSON atomically; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(payload, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a data frame atomically; floats are split into bytes, which packs them a quarter smaller."""
    floats = [name for name in frame.columns if frame[name].dtype.kind == "f"]
    buffer = io.BytesIO()
    frame.to_parquet(
        buffer,
        index=False,
        compression="zstd",
        use_dictionary=[name for name in frame.columns if name not in floats],
        column_encoding=dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
    )
    write_bytes(path, buffer.getvalue())


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays atomically, compressed, without pickle."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def write_record(paths: CellPaths, record: Record) -> None:
    """Write ``run.json``."""
    write_json(paths.record, _without_nan(record.to_json()))


def read_record(path: Path) -> Record:
    """Read one ``run.json``.

    Raises:
        BenchError: Not JSON, not a record, or of a newer schema.
    """
    try:
        payload = read_json(path)
        schema = payload.get("schema")
        if schema != SCHEMA_VERSION:
            raise BenchError(
                f"{path}: record schema {schema!r}, this version reads {SCHEMA_VERSION}; update polyp-bench"
            )
        return Record.model_validate(payload)
    except (OSError, ValueError, AttributeError) as error:
        where = _first_fault(error)
        raise BenchError(f"{path}: not a readable record ({where}); delete its folder and run the cell again") from None


def read_records(results: Path) -> list[Record]:
    """Read every record below a results folder, sorted by cell.

    Raises:
        BenchError: The folder is missing, or a record cannot be read.
    """
    if not results.is_dir():
        raise BenchError(f"results folder {results}: not found; run 'bench run' first or pass --results")
    found = sorted(ResultsLayout(results).runs.rglob("run.json"))
    return sorted((read_record(path) for path in found), key=lambda record: record.cell)


def read_scores(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read per-image rows.

    Args:
        path: ``scores.parquet``.
        columns: Read these only, which is much faster; every column if None.
    Raises:
        BenchError: The file is missing, unreadable or lacks a column.
    """
    import pandas as pd

    try:
        _check_size(path)
        frame = pd.read_parquet(path, columns=None if columns is None else list(columns))
        _check_names(frame)
        return frame
    except Exception as error:  # arrow and pandas raise what they like on a stranger's bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BenchError(
            f"{path}: unreadable score rows ({reason}); run the cell again with --if-exists overwrite"
        ) from None


def _check_size(path: Path) -> None:
    """Refuse rows that would not fit into memory, by the file's own head: they may be packed a thousandfold."""
    import pyarrow.parquet as pq

    if not path.is_file():
        raise ValueError("no such file")
    head = pq.read_metadata(path)
    if head.num_rows > MAX_ROWS or head.num_columns > MAX_COLUMNS:
        raise ValueError(f"{head.num_rows} rows of {head.num_columns} columns, expected at most {MAX_ROWS} images")


def _check_names(frame: pd.DataFrame) -> None:
    """Names of images and sets are printed and become parts of paths."""
    for column, unsafe in _UNSAFE.items():
        if column in frame.columns and unsafe.search("\0".join(map(str, frame[column].unique()))):
            raise ValueError(f"column {column} holds a name with a slash or a control character")


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read named arrays; pickled content is refused, and so is what would grow beyond ``MAX_ARRAY_BYTES``."""
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > MAX_ARRAY_BYTES:
            raise ValueError(f"{size / 1e6:.0f} MB of arrays, expected at most {MAX_ARRAY_BYTES / 1e6:.0f} MB")
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except Exception as error:  # zipfile, zlib and numpy raise what they like on a stranger's bytes
        raise BenchError(
            f"{path}: unreadable curves ({error}); run the cell again with --if-exists overwrite"
        ) from None


def _first_fault(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
    return str(error)


def _without_nan(payload: Any) -> Any:
    """A number that could not be computed is absent, never NaN."""
    if isinstance(payload, dict):
        return {key: _without_nan(value) for key, value in payload.items() if value == value}
    if isinstance(payload, list):
        return [_without_nan(value) for value in payload]
    return payload
