"""A study's records to publish: without images always, without maps and weights unless asked for."""

from __future__ import annotations

import secrets
import shutil
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BenchError, unknown_name
from benchmark.maintenance.bulk import ENVIRONMENT, SUMS, copy_maps, copy_weights, environment, pack, write_sums
from benchmark.report.records.identity import is_foreign
from benchmark.runtime.source_tree import commits_in_no_history
from benchmark.store import io
from benchmark.store.commands import read_commands, write_command
from benchmark.store.layout import CellPaths, ResultsLayout
from benchmark.store.robust_pack import pack_results
from benchmark.store.schema import Record

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        cells: Cells, whatever their status.
        files: Every file, below the export's folder.
        num_bytes: Their size.
        commits: A note on the commits that the records name; empty if all are in the history.
        archive_bytes: Size of the archive, if there is one.
    """

    cells: list[str]
    files: list[Path]
    num_bytes: int
    commits: str = ""
    archive_bytes: int | None = None


def export_records(
    results: Path,
    out: Path,
    *,
    protocols: Sequence[str] | None = None,
    compact: bool = False,
    maps: bool = False,
    weights: bool = False,
    archive: Path | None = None,
) -> Exported:
    """Copy the records of a results folder so that tables, figures, comparisons and the page come from the copy alone.

    Of each cell: ``run.json`` without the machine's name, ``history.csv``, ``scores.parquet``, ``curves.npz``, values
    of custom metrics, scores with parts switched off, and the results of ``bench robust``, packed into one table.
    Curves of single images, needed only for scores without leaked images, are kept where a test set has leaked images.
    Splits, commands, comparisons of ``bench robust`` and profiles come along; worst images and locks do not.
    ``SHA256SUMS`` lists every file, for ``sha256sum -c`` and ``bench import``; ``environment.txt`` the packages that
    the records name.

    Args:
        results: Results folder.
        out: Folder of the export; it must not hold records yet.
        protocols: Keep these scoring protocols; all if None.
        maps: Also the probability maps of the test images.
        weights: Also ``best.pt`` of each finished cell, with a model card made from its record.
        archive: Also pack all into this zip.
        compact: Keep scores of single images and curves in single precision; ``run.json`` keeps its figures.
    Raises:
        BenchError: No records; ``out`` holds records; a record lacks a protocol; a file cannot be read or written.
    """
    if archive is not None and archive.exists():
        raise BenchError(f"--archive {archive}: is there already; remove it, or choose another name")
    source, staging = ResultsLayout(results), ResultsLayout(out / f".export-{secrets.token_hex(6)}")
    records = io.read_records(results)
    if not records:
        raise BenchError(f"results folder {results}: no records; run 'bench run' first or pass --results")
    known = sorted({name for record in records for name in record.protocols})
    for name in protocols or ():
        if name not in known:
            raise unknown_name("protocol of these records", name, known)
    _refuse_clash(ResultsLayout(out))
    kept = set(known if protocols is None else protocols)
    for record in records if protocols is not None else ():
        if record.tests and (lacking := kept - set(record.protocols)):
            found = f"cell {record.cell}: no scores by protocol {', '.join(sorted(lacking))}"
            raise BenchError(f"{found}; run it again, or keep others by --protocols")
    with io.explain_os_errors(out):
        try:
            for record in records:
                _export_cell(source.cell(record.cell), staging.cell(record.cell), record, kept, compact)
                if maps:
                    copy_maps(source.cell(record.cell), staging.cell(record.cell))
                if weights:
                    copy_weights(source.cell(record.cell), staging.cell(record.cell), record)
            _export_rest(source, staging)
            io.write_text(staging.root / ENVIRONMENT, environment(records))
            write_sums(staging.root)
            parts = sorted(staging.root.iterdir())
            files = [out / path.relative_to(staging.root) for path in sorted(staging.root.rglob("*")) if path.is_file()]
            for part in parts:
                part.replace(out / part.name)
        finally:
            shutil.rmtree(staging.root, ignore_errors=True)
    size = sum(path.stat().st_size for path in files)
    packed = None if archive is None else pack(out, files, archive)
    return Exported([record.cell for record in records], files, size, _judge_commits(records), packed)


def _judge_commits(records: Sequence[Record]) -> str:
    """Return one line on the records whose code cannot be looked up."""
    ours = [record.environment for record in records if not is_foreign(record)]
    named = Counter(str(one["commit"]) for one in ours if one.get("commit"))
    lost = commits_in_no_history(named)
    said = []
    if lost is None and named:
        said.append(f"the commits of {_records(named.total())} could not be checked: no whole git history is here")
    said += [f"commit {commit[:8]} is in no history here ({_records(named[commit])})" for commit in lost or ()]
    if unnamed := sum(not one.get("commit") for one in ours):
        said.append(f"{_records(unnamed)} without a commit")
    if changed := sum(bool(one.get("commit") and one.get("dirty")) for one in ours):
        said.append(f"{_records(changed)} made with local changes to the commit")
    return "; ".join(said)


def _records(number: int) -> str:
    return f"{number} record{'s' if number > 1 else ''}"


def _refuse_clash(copy: ResultsLayout) -> None:
    for path in (
        copy.runs,
        copy.commands,
        copy.splits,
        copy.robust,
        copy.profile,
        copy.root / SUMS,
        copy.root / ENVIRONMENT,
    ):
        if path.exists():
            raise BenchError(f"{path} is there already: remove it, or pass another folder to --out")


def _export_cell(source: CellPaths, copy: CellPaths, record: Record, protocols: Collection[str], compact: bool) -> None:
    io.write_record(copy, _without(record, protocols))
    for path in (source.history, *sorted(source.folder.glob("metrics/*.parquet"))):
        if path.is_file():
            io.write_bytes(copy.folder / path.relative_to(source.folder), _bytes(path))
    pack_results(source, copy, protocols=protocols, compact=compact)
    if source.scores.is_file():
        _export_rows(source.scores, copy.scores, protocols, compact)
    for path in sorted(source.folder.glob("switched-off/*/scores.parquet")):
        _export_rows(path, copy.folder / path.relative_to(source.folder), protocols, compact)
    if source.curves.is_file():
        leaked = {name for name, test in record.tests.items() if any((test.leaked or {}).values())}
        arrays = io.read_npz(source.curves)
        wanted = {key: arrays[key] for key in arrays if _wanted(key, protocols, leaked)}
        io.write_npz(copy.curves, {key: _single(array) if compact else array for key, array in wanted.items()})


def _export_rows(source: Path, copy: Path, protocols: Collection[str], compact: bool) -> None:
    rows = io.read_scores(source)
    rows = rows[rows["protocol"].isin(protocols)]
    io.write_parquet(copy, rows.astype(dict.fromkeys(_doubles(rows), "float32")) if compact else rows)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BenchError(f"cannot read {path}: {reason}; fix its permissions or run the cell again") from None


def _doubles(rows: pd.DataFrame) -> list[str]:
    return [name for name in rows.columns if rows[name].dtype == "float64"]


def _single(array: np.ndarray) -> np.ndarray:
    return array.astype("float32") if array.dtype == "float64" else array


def _without(record: Record, protocols: Collection[str]) -> Record:
    """The record without the machine's name and without other protocols."""
    tests = {
        name: test.model_copy(
            update={
                "scores": {key: test.scores[key] for key in test.scores if key in protocols},
                "empty_masks": {key: test.empty_masks[key] for key in test.empty_masks if key in protocols},
            }
        )
        for name, test in record.tests.items()
    }
    environment = {key: value for key, value in record.environment.items() if key != "host"}
    named = {key: value for key, value in record.protocols.items() if key in protocols}
    own = {key: value for key, value in record.own_protocols.items() if key in protocols}
    kept = {"tests": tests, "environment": environment, "protocols": named, "own_protocols": own}
    return record.model_copy(update=kept)


def _wanted(key: str, protocols: Collection[str], leaked: Collection[str]) -> bool:
    protocol, dataset, array = key.split("/", 2)
    return protocol in protocols and (array != "em_images" or dataset in leaked)


def _export_rest(source: ResultsLayout, copy: ResultsLayout) -> None:
    """Splits, comparisons of ``bench robust`` and profiles as they are; commands without the files that stay here."""
    plain = (*source.splits.glob("*.json"), *source.robust.glob("*.json"))
    for path in (*sorted(plain), source.profile):
        if path.is_file():
            io.write_bytes(copy.root / path.relative_to(source.root), _bytes(path))
    for command in read_commands(source):
        write_command(copy, command.model_copy(update={"files": []}))
