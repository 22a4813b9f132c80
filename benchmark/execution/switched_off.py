"""The full networks of an ablation with parts switched off: the same trained weights, nothing is trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.models.build import build_network
from benchmark.models.registry import switchable
from benchmark.runtime.device import make_fabric
from benchmark.scoring.test_sets import score_network
from benchmark.store import io
from benchmark.store.checkpoint import load_weights
from benchmark.store.layout import CellPaths
from benchmark.study.events import Events

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.store.schema import Record
    from benchmark.study.cells import Cell
    from benchmark.study.plan import Study


@dataclass(frozen=True)
class SwitchedOff:
    """Attributes:
    parts: What was switched off.
    seed: Of the full network.
    rows: Its per-image rows, as ``scores.parquet`` holds them.
    """

    parts: tuple[str, ...]
    seed: int
    rows: pd.DataFrame


def evaluate_switched_off(
    study: Study, records: Sequence[Record], events: Events, *, further: Sequence[str] = ()
) -> list[SwitchedOff]:
    """Score each full network of an ablation without the parts of each variant, where the model declares that it can.

    A model declares so by ``SWITCHABLE``, names of parts, and by its networks' ``switched_off(parts)``, which returns a
    network with the same weights. Results are kept below the full network's cell and read again while its weights,
    images and protocols are the same.

    Args:
        study: The ablation.
        records: Its finished cells.
        events: Told of progress.
        further: Parts without a variant, each switched off alone.
    """
    found = []
    cells = {cell.id: cell for cell in study.cells}
    for record in records:
        cell = cells[record.cell]
        able = set(switchable(cell.spec))
        wanted = [drop for drop in study.request.ablations if drop and set(drop) <= able]
        wanted += [(part,) for part in further if (part,) not in wanted]
        if record.ablation or not wanted:
            continue
        if not study.layout.cell(cell.id).best.is_file():
            events.notice(f"{cell.id}: best.pt is not there, so no part of its network is switched off")
            continue
        found += [SwitchedOff(drop, cell.seed, _rows(study, cell, record, drop, events)) for drop in wanted]
    return found


def _rows(study: Study, cell: Cell, record: Record, drop: tuple[str, ...], events: Events) -> pd.DataFrame:
    tests, scoring, paths = study.test_images(cell.recipe), study.request.scoring, study.layout.cell(cell.id)
    mine = CellPaths(paths.switched_off(drop))
    state: dict[str, Any] = {
        "weights": record.best_sha256,
        "engine": scoring.engine,
        "protocols": scoring.hashes,
        "tests": {name: chosen.fingerprint for name, chosen in tests.items()},
    }
    stamp = json.dumps(state, indent=1, sort_keys=True)
    if mine.scores.is_file() and mine.stamp.is_file() and mine.stamp.read_text(encoding="utf-8") == stamp:
        return io.read_scores(mine.scores)
    fabric = make_fabric(study.request.device, cell.recipe)
    network = build_network(cell.spec, cell.recipe, pretrained=False)
    network.load_state_dict(load_weights(paths.best, record.best_sha256))
    off: Any = network.switched_off(drop)  # type: ignore[operator]
    score_network(
        off.to(fabric.device).eval(),
        cell.recipe,
        tests,
        fabric=fabric,
        pixels=study.pixels,
        scoring=scoring,
        paths=mine,
        events=events,
    )
    for folder in (mine.folder / "maps", mine.all_worst):
        shutil.rmtree(folder, ignore_errors=True)
    io.write_text(mine.stamp, stamp)
    return io.read_scores(mine.scores)
