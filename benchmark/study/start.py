"""What a training starts from in place of random or ImageNet weights: a checkpoint, or a finished cell's best weights.

A cell that continues another is a new one beside it. Optimiser and schedule start over: its recipe's ``epochs`` are the
further ones, and its draws are others than those that the first training has seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.models.registry import ModelSpec
from benchmark.store import io
from benchmark.store.cells import find_cell
from benchmark.store.layout import CellPaths, ResultsLayout
from benchmark.store.schema import Record, SplitInfo


@dataclass(frozen=True)
class Start:
    """Weights to start from.

    Attributes:
        path: The file.
        sha256: Of its content; part of the cell's hash.
        cell: The finished cell whose best weights they are; None for any other file.
        epoch: That cell's best epoch.
        split: The split that cell was trained on.
    """

    path: Path
    sha256: str
    cell: str | None = None
    epoch: int | None = None
    split: SplitInfo | None = None

    def to_record(self) -> dict[str, Any]:
        """Return what a record states as ``pretrained``."""
        facts = {"used": True, "name": self.path.name, "sha256": self.sha256}
        return {**facts, "start": "file"} if self.cell is None else {**facts, "start": self.cell, "epoch": self.epoch}


class Starts:
    """Finds the weights that each cell of a study starts from.

    Args:
        asked: ``--init-from``: a file; a folder with run.json; or a cell below ``results/runs``, or the beginning of
            its parts. Each model and seed then starts from its own.
        results: Results folder.
    """

    def __init__(self, asked: str, results: Path) -> None:
        self._asked, self._layout = asked, ResultsLayout(results)
        self._records: Mapping[str, Record] | None = None

    def of(self, spec: ModelSpec, seed: int) -> Start:
        """Return what a model starts from.

        Raises:
            BenchError: No such file or cell, or one without trained weights of this model.
        """
        path = Path(self._asked).expanduser()
        if path.is_file():
            return Start(path.resolve(), _sha256(path.resolve()))
        if (path / "run.json").is_file():
            return _of_cell(io.read_record(path / "run.json"), CellPaths(path.resolve()), spec)
        if self._records is None:
            self._records = {record.cell: record for record in io.read_records(self._layout.root)}
        cell = self._cell(spec, seed, self._records.values())
        return _of_cell(self._records[cell], self._layout.cell(cell), spec)

    def _cell(self, spec: ModelSpec, seed: int, records: Iterable[Record]) -> str:
        """Find the cell that is meant; one that itself goes on from another has to be named by its whole path."""
        mine = [record for record in records if (record.model, record.seed) == (spec.name, seed)]
        mine = [record for record in mine if record.status == "ok" and not record.origin and not record.ablation]
        named = [record.cell for record in mine if self._asked in (record.cell, record.cell.rpartition("/")[0])]
        if named:
            return named[0]
        first = [record.cell for record in mine if record.pretrained.get("start") is None]
        if not first:
            raise BenchError(
                f"--init-from {self._asked}: no such file, and no finished cell of {spec.title} with seed {seed} in "
                f"{self._layout.root}; give a checkpoint, or a finished cell of the same model and seed"
            )
        return find_cell(self._asked, first, option="--init-from")


def _of_cell(record: Record, paths: CellPaths, spec: ModelSpec) -> Start:
    where = f"--init-from {record.cell}"
    if record.model != spec.name:
        raise BenchError(f"{where}: a cell of {record.model}; {spec.title} cannot start from it")
    if record.status != "ok" or record.origin or not paths.best.is_file():
        why = record.origin or (f"status {record.status}" if record.status != "ok" else "its best.pt is gone")
        raise BenchError(f"{where}: holds no trained weights ({why}); name a finished cell")
    if record.ablation:
        raise BenchError(f"{where}: trained without {', '.join(record.ablation)}; name a cell of the full model")
    sha256 = _sha256(paths.best)
    if record.best_sha256 not in (None, sha256):
        raise BenchError(f"{paths.best}: not the file of its record (SHA-256); restore it")
    return Start(paths.best, sha256, record.cell, record.best_epoch, record.split)


@lru_cache(maxsize=64)
def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}; check the file") from error
