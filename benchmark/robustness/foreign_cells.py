"""Cells that were not trained here: released checkpoints, and maps that others predicted on corrupted images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.data.listing.datasets import dataset_info
from benchmark.data.listing.items import Item
from benchmark.errors import BenchError
from benchmark.scoring.map_folders import FOLDER_NAMES, MapSet, collect, find_folder
from benchmark.scoring.map_records import ORIGIN_MAPS
from benchmark.store.cells import find_cell
from benchmark.store.schema import Record

_SHOWN = 3


def foreign_files(records: Sequence[Record], checkpoints: Sequence[Path], maps: Mapping[str, Path]) -> dict[str, Path]:
    """Return the checkpoint, or the folder of maps, of each cell that was not trained here.

    Args:
        records: Of the results folder.
        checkpoints: Files; a cell is found by the SHA-256 in its record.
        maps: Folders by cell, or by a part of its name that fits one.
    Raises:
        BenchError: A file or folder that is not there, or that no such cell was scored with.
    """
    found: dict[str, Path] = {}
    for path in checkpoints:
        if not path.is_file():
            raise BenchError(f"--checkpoint {path}: not found; give the file that bench evaluate scored")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        cells = [r.cell for r in records if r.origin and r.pretrained.get("sha256") == digest]
        if not cells:
            raise BenchError(
                f"--checkpoint {path}: no cell was scored with it; run bench evaluate --checkpoint {path} first"
            )
        found |= dict.fromkeys(cells, path)
    drawn = sorted(record.cell for record in records if record.origin == ORIGIN_MAPS)
    for part, folder in maps.items():
        if not folder.is_dir():
            raise BenchError(f"--maps {part}={folder}: not a folder; expected one folder of maps per corruption")
        if not drawn:
            raise BenchError(f"--maps {part}: no cell of others' maps; score their clean maps first (bench evaluate)")
        found[find_cell(part, drawn, option="--maps")] = folder
    return found


def maps_of(folder: Path, dataset: str, corruption: str, severity: int, items: Sequence[Item]) -> tuple[MapSet, str]:
    """Return the maps of one corrupted test set, and a digest of their files.

    They lie in ``folder/<corruption>-<severity>``, or in a folder below it that is called like the test set.

    Raises:
        BenchError: No such folder, or maps that are missing or unusable. Surplus ones are left aside.
    """
    here = folder / f"{corruption}-{severity}"
    if not here.is_dir():
        raise BenchError(f"--maps {folder}: no folder {here.name}; bench data corrupt writes such folders")
    names = (dataset, dataset_info(dataset).title, *FOLDER_NAMES.get(dataset, ()))
    try:
        found = collect(find_folder(here, names, [item.id for item in items]), items)
    except BenchError as error:
        raise BenchError(str(error).replace("--predictions", "--maps")) from None
    faults = {kind: ids for kind, ids in found.faults.items() if kind != "surplus"}  # the cell scored fewer images
    if faults:
        kind, ids = next(iter(faults.items()))
        shown = ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
        raise BenchError(f"--maps {here}: {dataset}: {len(ids)} maps {kind} ({shown}); restore them")
    digest = hashlib.sha256()
    for item in items:
        digest.update(item.id.encode() + b"\0" + hashlib.sha256(found.paths[item.id].read_bytes()).digest())
    return found, digest.hexdigest()
