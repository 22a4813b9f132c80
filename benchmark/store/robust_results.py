"""Result of one cell on one corrupted test set: a small record beside the cell's, and its per-image rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.layout import CellPaths
from benchmark.store.schema import TestResult

if TYPE_CHECKING:
    import pandas as pd

CLEAN = "clean"
"""Name of the uncorrupted test set, at severity 0: measured behind a denoiser."""


class RobustResult(BaseModel):
    """One cell, test set, corruption, severity and denoiser."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    schema_version: Literal[1] = Field(default=1, alias="schema")
    cell: str
    best_sha256: str
    dataset: str
    corruption: str
    corruption_hash: str
    severity: int
    denoise: str
    denoise_hash: str
    engine: str
    protocols: dict[str, str]
    test: TestResult
    environment: dict[str, Any] = {}
    timing: dict[str, float] = {}
    created: str

    def same_as(self, other: RobustResult) -> bool:
        """Whether both measure the same thing: weights, images, corruption, denoiser and scoring."""
        return _identity(self) == _identity(other) and other.protocols.items() <= self.protocols.items()


def _identity(result: RobustResult) -> tuple[object, ...]:
    return (
        result.cell,
        result.best_sha256,
        result.dataset,
        result.corruption,
        result.corruption_hash,
        result.severity,
        result.denoise_hash,
        result.engine,
        result.test.fingerprint,
    )


def result_path(paths: CellPaths, dataset: str, corruption: str, severity: int, denoise: str) -> Path:
    """Return the path of the result; its rows have the same name and the suffix ``.parquet``."""
    return paths.robust(dataset, f"{corruption}-{severity}-{denoise}")


def write_result(path: Path, result: RobustResult, rows: pd.DataFrame) -> None:
    """Write rows, then the record: a result counts once its record is there."""
    io.write_parquet(path.with_suffix(".parquet"), rows)
    io.write_json(path, result.model_dump(mode="json", by_alias=True))


def read_result(path: Path) -> RobustResult:
    """Read one result's record.

    Raises:
        BenchError: Not JSON, not a result, or of a newer schema.
    """
    try:
        return RobustResult.model_validate(io.read_json(path))
    except (OSError, ValueError, AttributeError) as error:
        fault = io.first_fault(error)
        raise BenchError(f"{path}: not a readable result ({fault}); delete it and run bench robust again") from None


def read_rows(path: Path, protocol: str) -> pd.DataFrame:
    """Read the per-image rows of a result under one protocol, index ``id``.

    Raises:
        BenchError: They are missing, unreadable, or differ in number from the record.
    """
    rows = io.read_scores(path.with_suffix(".parquet"), ["protocol", "id", "group", "dice"])
    rows = rows[rows["protocol"] == protocol].set_index("id").sort_index()
    wanted = read_result(path).test.num_scored(protocol)
    if len(rows) != wanted or not rows.index.is_unique:
        raise BenchError(
            f"{path.with_suffix('.parquet')}: {len(rows)} rows under {protocol}, its record says {wanted}; "
            "delete it and run bench robust again"
        )
    return rows
