"""Per-image rows of cells, each file read once however many figures ask for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BenchError
from benchmark.report.records.grouping import regrouped
from benchmark.store import io
from benchmark.store.layout import ResultsLayout

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CellScores:
    """The rows of a results folder under one protocol.

    Attributes:
        results: Results folder.
        protocol: Whose scores.
    """

    results: Path
    protocol: str
    _read: dict[str, dict[str, pd.DataFrame]] = field(default_factory=dict, repr=False, compare=False)

    def of(self, cell: str, dataset: str) -> pd.DataFrame:
        """Return one line per image of a test set, every column; none where the cell did not score it.

        Raises:
            BenchError: The file is missing or unreadable.
        """
        if cell not in self._read:
            path = ResultsLayout(self.results).cell(cell).scores
            if not path.is_file():
                raise BenchError(f"{path} is missing; run the cell again with --if-exists overwrite")
            rows = io.read_scores(path)
            rows = regrouped(rows[rows["protocol"] == self.protocol])
            self._read[cell] = {str(name): part for name, part in rows.groupby("dataset", sort=False)}
            self._read[cell][""] = rows.iloc[:0]
        return self._read[cell].get(dataset, self._read[cell][""])
