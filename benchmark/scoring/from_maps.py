"""Whether the scores of an export follow from its maps: scored again where the masks are at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.errors import BenchError
from benchmark.metrics import Protocol
from benchmark.metrics.measures import MEASURES
from benchmark.report.board.checks import TOLERANCE, SetRows, UnsoundError
from benchmark.report.records.protocols import rules_of
from benchmark.scoring.cell_images import scored_items
from benchmark.scoring.score_maps import score_maps
from benchmark.store.layout import CellPaths, ResultsLayout
from benchmark.store.schema import Record

Rows = Mapping[tuple[str, str], SetRows]


@dataclass(frozen=True)
class MapCheck:
    """Scores the maps of exports again and compares.

    Attributes:
        data_root: Where the masks are. cache_dir: For phantom, and for plans of masks.
        progress: Called with the set in hand, images done and in all.
    """

    data_root: Path | None = None
    cache_dir: Path | None = None
    progress: Callable[[str, int, int], None] = lambda *_: None

    def __call__(self, root: Path, record: Record, rows: Rows) -> dict[str, str]:
        """Compare the scores of a record's images with those of its maps.

        Args:
            root: Results folder or export.
            record: Of a cell in it.
            rows: Its scores by test set and protocol.
        Returns:
            By test set: "" where all scores follow from the maps, else why nothing could be compared.
        Raises:
            UnsoundError: The first score that does not follow, or a map that is missing or cannot be scored.
        """
        paths = ResultsLayout(root).cell(record.cell)
        return {name: self._compare(paths, record, name, rows) for name in record.tests}

    def _compare(self, paths: CellPaths, record: Record, name: str, rows: Rows) -> str:
        if not paths.maps(name).is_dir():
            return "no maps in the export"
        protocols = _known(record, [protocol for dataset, protocol in rows if dataset == name])
        if protocols is None:
            return "a protocol that is not known here"
        try:
            items = scored_items(record, name, paths, data_root=self.data_root, cache_dir=self.cache_dir)
        except BenchError:  # its words name folders of this machine
            return "its masks are not at hand"
        missing = sorted(item.id for item in items if not paths.map(name, item.id).is_file())
        if missing:
            raise UnsoundError(f"{name}: {len(missing)} of its {len(items)} maps are missing ({missing[0]})")
        found = score_maps(
            items,
            lambda item: paths.map(name, item.id),
            dataset=name,
            protocols=protocols,
            cache_dir=self.cache_dir,
            progress=lambda done, total: self.progress(f"{record.cell} {name}", done, total),
        ).rows
        for protocol in protocols:
            again = found[found["protocol"] == protocol.name].set_index("id")
            stated = rows[name, protocol.name]
            for measure in MEASURES:
                values = again.loc[list(stated.ids), measure.column].to_numpy(dtype=float)
                wrong = ~(np.abs(values - stated.values[measure.key]) <= TOLERANCE)
                if wrong.any():
                    i = int(wrong.argmax())
                    told = f"{measure.key} of {stated.ids[i]} is {stated.values[measure.key][i]:.4f}"
                    more = f", and {wrong.sum() - 1} more" if wrong.sum() > 1 else ""
                    raise UnsoundError(f"{name} by {protocol.name}: {told}, its map gives {values[i]:.4f}{more}")
        return ""


def _known(record: Record, names: list[str]) -> list[Protocol] | None:
    """Return the protocols with their rules; None if those of one are not known, or are another version's."""
    rules = [rules_of([record], name) for name in names]
    if not names or any(one is None or one.hash != record.protocols[one.name] for one in rules):
        return None
    return [one for one in rules if one is not None]
