"""Bring somebody's export into a results folder: checked file by file, never run, each cell whole or not at all."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.fetching.download import download
from benchmark.data.fetching.sources import Archive
from benchmark.data.fetching.unpack import unpack
from benchmark.errors import BenchError
from benchmark.maintenance.bulk import CARD, ENVIRONMENT, SUMS, sha256
from benchmark.report.board.checks import TOLERANCE, read_rows
from benchmark.report.records.protocols import rules_of
from benchmark.store import io
from benchmark.store.layout import CellPaths, ResultsLayout
from benchmark.store.robust_pack import MEASURE, find_rows, packed_results
from benchmark.store.schema import Record

MAX_UNPACKED = 20 << 30
_CELL = r"runs/[^/]+/[^/]+/[^/]+/"
_FILES = (
    rf"{_CELL}(run\.json|history\.csv|scores\.parquet|curves\.npz|best\.pt|{re.escape(CARD)})",
    rf"{_CELL}metrics/[^/]+\.parquet",
    rf"{_CELL}maps/[^/]+/[^/]+\.png",
    rf"{_CELL}robust/packed\.(json|parquet)",
    r"(splits|commands|robust)/[^/]+\.json",
    rf"profile\.csv|{SUMS}|{re.escape(ENVIRONMENT)}",
)
_KNOWN = re.compile("|".join(f"(?:{one})" for one in _FILES))
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Imported:
    """What was brought in.

    Attributes:
        cells: New cells.
        kept: Cells that were there already, with the same record.
        num_files: Files written.
    """

    cells: list[str]
    kept: list[str]
    num_files: int


def import_export(source: str, results: Path, *, progress: Progress = lambda *_: None) -> Imported:
    """Check an archive of ``bench export --archive`` and put its cells into a results folder.

    Nothing in it is run; weights are compared with their record's SHA-256 and loaded as tensors only when they are
    used. Commands and profiles stay out, since they are another machine's.

    Args:
        source: A zip, a folder, or an http(s) address of a zip.
        results: Results folder; made if it is missing.
        progress: Called with the bytes done.
    Raises:
        BenchError: In one line, before any cell is moved: a bad archive, a file that no export holds, a wrong or
            missing checksum, a record whose figures do not follow from its scores, weights of another record, or a
            cell that is there with another record.
    """
    with io.explain_os_errors(results):
        results.mkdir(parents=True, exist_ok=True)
    stage = results / f".import-{secrets.token_hex(6)}"
    try:
        with io.explain_os_errors(stage):
            stage.mkdir()
        root = unpack_export(source, stage, progress)
        records, files = check_export(root, source)
        return _move(root, records, files, results)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def check_export(root: Path, source: str) -> tuple[list[Record], list[str]]:
    """Check an unpacked export: every file by name and checksum, every figure from its scores.

    Args:
        root: Folder of the export.
        source: What messages call it.
    Returns:
        Its records, and the names of its files below ``root``.
    Raises:
        BenchError: The first thing that does not hold, in one line.
    """
    files = _checked_files(root, source)
    records = io.read_records(root)
    for record in records:
        _check_record(root, record, source)
    return records, files


def unpack_export(source: str, stage: Path, progress: Progress = lambda *_: None) -> Path:
    """Return the folder of an export; a zip, or the address of one, is unpacked below ``stage``.

    Raises:
        BenchError: Nothing is there, or the zip is damaged or malicious.
    """
    if re.match(r"https?://", source):
        archive = Archive.model_validate({"file": "export.zip", "url": source, "folder": "content"})
        path = download(archive, stage, checksum="", progress=progress)
    else:
        path = Path(source)
        if path.is_dir():
            return path
        if not path.is_file():
            raise BenchError(f"{source}: not found; expected a zip or folder made by 'bench export', or its address")
    unpack(path, stage / "content", max_bytes=MAX_UNPACKED, pictures=False)
    return stage / "content"


def _checked_files(root: Path, source: str) -> list[str]:
    """Names of all files, each known to exports and with the checksum that ``SHA256SUMS`` gives it."""
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() or path.is_symlink())
    for name in found:
        if (root / name).is_symlink() or not (root / name).resolve().is_relative_to(root.resolve()):
            raise BenchError(f"{source}: {name} is a link; exports hold plain files")
        if not _KNOWN.fullmatch(name):
            raise BenchError(f"{source}: {name} is no file of an export; it was not imported")
    if SUMS not in found:
        raise BenchError(f"{source}: {SUMS} is missing; ask for an export made by 'bench export' of this version")
    stated = _stated(root / SUMS, source)
    for name in found:
        if name == SUMS:
            continue
        if name not in stated:
            raise BenchError(f"{source}: {name} has no checksum in {SUMS}")
        if sha256(root / name) != stated[name]:
            raise BenchError(f"{source}: {name} does not have the checksum of {SUMS}; fetch it again")
    for name in sorted(stated.keys() - set(found)):
        raise BenchError(f"{source}: {name} is named in {SUMS} and missing")
    return found


def _stated(path: Path, source: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line)
        if match is None:
            raise BenchError(f"{source}: {SUMS} holds a line that is no checksum and name")
        found[match[2]] = match[1]
    return found


def _check_record(root: Path, record: Record, source: str) -> None:
    cell = ResultsLayout(root).cell(record.cell)
    if not cell.record.is_file():
        raise BenchError(f"{source}: a record says that it is {record.cell}, and does not lie there")
    if cell.best.is_file() and sha256(cell.best) != record.best_sha256:
        raise BenchError(f"{source}: best.pt of {record.cell} is not the one of its record (SHA-256)")
    if record.tests:
        try:
            read_rows(root, record, complete=False)
            _check_packed(cell, record)
        except BenchError as error:
            raise BenchError(f"{source}: {record.cell}: {str(error).replace(f'{root}/', '')}") from None


def _check_packed(cell: CellPaths, record: Record) -> None:
    """Refuse results on corrupted images whose means do not follow from their rows."""
    for one in packed_results(cell):
        where = f"{one.dataset}, {one.corruption} {one.severity}, {one.denoise}"
        if one.cell != record.cell or one.dataset not in record.tests:
            raise BenchError(f"robust/packed.json: {where}: not of this cell and its test sets")
        for protocol in one.protocols:
            rules = rules_of([record], protocol)
            if rules is not None and rules.average == "pixels":
                continue
            rows = find_rows(cell, one.dataset, one.corruption, one.severity, one.denoise, protocol)
            mean, stated = float(rows[MEASURE].mean()), one.test.scores.get(protocol, {}).get("mDSC")
            if stated is None or not abs(mean - stated) <= TOLERANCE:
                raise BenchError(
                    f"robust/packed.json: {where} by {protocol}: mDSC is stated as {stated}, its images give {mean:.4f}"
                )


def _move(root: Path, records: list[Record], files: list[str], results: Path) -> Imported:
    """Move the checked cells; every clash is found before the first is moved."""
    layout = ResultsLayout(results)
    new: list[str] = []
    kept: list[str] = []
    for record in records:
        cell = layout.cell(record.cell)
        if cell.record.is_file() and io.read_record(cell.record) != record:
            raise BenchError(
                f"{cell.record}: this cell is there with another record; import into another folder (--results)"
            )
        if cell.folder.exists() and not cell.record.is_file():
            raise BenchError(f"{cell.folder}: an unfinished cell is in the way; 'bench clean' shows it")
        (kept if cell.record.is_file() else new).append(record.cell)
    written = 0
    for name in new:
        target = layout.cell(name).folder
        with io.explain_os_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part-{secrets.token_hex(4)}")
            try:
                shutil.copytree(ResultsLayout(root).cell(name).folder, part)
                part.replace(target)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        written += sum(file.startswith(f"runs/{name}/") for file in files)
    for name in files:
        if name.startswith(("splits/", "robust/")) and not (layout.root / name).exists():
            io.write_bytes(layout.root / name, (root / name).read_bytes())
            written += 1
    return Imported(new, kept, written)
