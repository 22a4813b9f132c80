"""Strict reading and atomic writing of the files in a results folder (``runtime.atomic`` writes the bytes)."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from benchmark.errors import BenchError
from benchmark.runtime.atomic import (
    FULL,
    explain_os_errors,
    is_temporary,
    os_error,
    sync_folder,
    temporary_beside,
    write_bytes,
    write_json,
    write_text,
    write_through,
)
from benchmark.store.layout import CellPaths, ResultsLayout
from benchmark.store.schema import SCHEMA_VERSION, Record
from benchmark.untrusted import read_json

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pyarrow.parquet import ParquetFile

__all__ = [
    "FULL",
    "explain_os_errors",
    "is_temporary",
    "os_error",
    "sync_folder",
    "temporary_beside",
    "write_bytes",
    "write_json",
    "write_text",
    "write_through",
]

MAX_ROWS = 5_000_000
MAX_COLUMNS = 1_000
MAX_ARRAY_BYTES = 512 << 20
_UNSAFE = dict.fromkeys(("id", "dataset", "protocol"), re.compile(r"[\x01-\x1f\x7f-\x9f/\\]"))
_UNSAFE["group"] = re.compile(r"[\x01-\x1f\x7f-\x9f]")
MARKER = ".bench"
"""Marker file of results folders; nothing is removed from a folder without it."""


def drop_leftovers(folder: Path) -> None:
    """Remove the temporary files of a killed process; call it only for a cell whose lock is held."""
    for path in folder.rglob(".*.part-*"):
        if is_temporary(path):
            path.unlink(missing_ok=True)


def mark(results: Path) -> None:
    """Mark a results folder as this package's, which also checks that it is writable.

    Raises:
        BenchError: No space left, no permission.
    """
    write_text(results / MARKER, "results of polyp-bench\n")


def concerns_all(error: Exception, results: Path) -> bool:
    """Tell whether an error would meet every other cell of a results folder too: a full disk, a folder now read-only.

    What one cell's own folder or lock refuses concerns that cell alone.
    """
    said = os_error(error)
    if said is None or said.errno in FULL:
        return said is not None
    try:
        mark(results)
    except BenchError:
        return True
    return False


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a data frame atomically; floats are split into bytes, which compresses them a quarter better."""
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
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(f"cannot read {path}: {reason.lower()}; mend it or choose another folder") from error
    except (ValueError, AttributeError) as error:
        where = first_fault(error)
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

    with _explain_rows(path), _opened(path):
        frame = pd.read_parquet(path, columns=None if columns is None else list(columns))
        _check_names({name: frame[name].unique() for name in _UNSAFE if name in frame.columns})
        return frame


def read_score_arrays(path: Path, columns: Sequence[str], *, optional: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Read columns of per-image rows without pandas, which for a few hundred rows takes most of the time.

    Args:
        path: ``scores.parquet``.
        columns: Which.
        optional: Those that may be absent, and are then left out.
    Raises:
        BenchError: As ``read_scores``.
    """
    with _explain_rows(path), _opened(path) as file:
        held = _remembered(path, file)
        wanted = [name for name in columns if name in held or name not in optional]
        table = file.read(columns=wanted, use_threads=False)
        found = {name: table.column(name).to_numpy() for name in wanted}
        _check_names({name: values for name, values in found.items() if name in _UNSAFE})
        return found


def score_columns(path: Path) -> set[str]:
    """Return the names of the columns of per-image rows; only the file's header is read, and that once.

    Raises:
        BenchError: As ``read_scores``.
    """
    with _explain_rows(path):
        found = _HEADERS.get(_state(path))
        if found is not None:
            return set(found)
        with _opened(path) as file:
            return set(_remembered(path, file))


_HEADERS: dict[tuple[str, int, int], frozenset[str]] = {}
"""Columns of the files that were opened, by path, time of change in ns and size: a report asks twice."""


def _state(path: Path) -> tuple[str, int, int]:
    facts = path.stat()
    return str(path), facts.st_mtime_ns, facts.st_size


def _remembered(path: Path, file: ParquetFile) -> frozenset[str]:
    found = _HEADERS[_state(path)] = frozenset(file.schema_arrow.names)
    return found


@contextmanager
def _explain_rows(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # arrow and pandas raise anything on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BenchError(
            f"{path}: unreadable score rows ({reason}); run the cell again with --if-exists overwrite"
        ) from None


@contextmanager
def _opened(path: Path) -> Iterator[ParquetFile]:
    """Refuse rows that would not fit into memory, by the file's header: they may be compressed a thousandfold."""
    import pyarrow.parquet as pq

    if not path.is_file():
        raise ValueError("no such file")
    with pq.ParquetFile(path) as file:
        head = file.metadata
        if head.num_rows > MAX_ROWS or head.num_columns > MAX_COLUMNS:
            raise ValueError(f"{head.num_rows} rows of {head.num_columns} columns, expected at most {MAX_ROWS} images")
        yield file


def _check_names(columns: Mapping[str, Iterable[Any]]) -> None:
    """Check names of images and sets, which are printed and become parts of paths."""
    for column, values in columns.items():
        if _UNSAFE[column].search("\0".join(map(str, set(values)))):
            raise ValueError(f"column {column} holds a name with a slash or a control character")


def read_npz(path: Path, *, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Read named arrays; pickled content is refused, and so is what would grow beyond ``MAX_ARRAY_BYTES``.

    Args:
        path: The file.
        names: Read these only, where they are there; every array if None.
    Raises:
        BenchError: The file is missing or unreadable.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            size = sum(info.file_size for info in arrays.zip.infolist())
            if size > MAX_ARRAY_BYTES:
                raise ValueError(f"{size / 1e6:.0f} MB of arrays, expected at most {MAX_ARRAY_BYTES / 1e6:.0f} MB")
            return {key: arrays[key] for key in arrays.files if names is None or key in names}
    except Exception as error:  # zipfile, zlib and numpy raise anything on damaged bytes
        raise BenchError(
            f"{path}: unreadable curves ({error}); run the cell again with --if-exists overwrite"
        ) from None


def first_fault(error: Exception) -> str:
    """Return what is wrong with content, in words: the first field that does not fit, or the error's own."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
    return str(error)


def _without_nan(payload: Any) -> Any:
    """Return None for a number that could not be computed; records hold no NaN."""
    if isinstance(payload, dict):
        return {key: _without_nan(value) for key, value in payload.items() if value == value}
    if isinstance(payload, list):
        return [_without_nan(value) for value in payload]
    return payload
