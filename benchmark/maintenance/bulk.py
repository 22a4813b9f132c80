"""What an export holds beside records: maps, weights with their cards, package versions, checksums, one archive."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.maintenance.model_card import model_card
from benchmark.store import io
from benchmark.store.layout import CellPaths, ResultsLayout
from benchmark.store.schema import Record

SUMS, ENVIRONMENT, CARD = "SHA256SUMS", "environment.txt", "model-card.md"
_STAMP = (1980, 1, 1, 0, 0, 0)
"""Time of every member of an archive: the same content gives the same bytes."""


def copy_maps(source: CellPaths, copy: CellPaths) -> None:
    """Copy the probability maps of a cell; a cell without any is passed over."""
    for path in sorted((source.folder / "maps").rglob("*.png")):
        io.write_bytes(copy.folder / path.relative_to(source.folder), path.read_bytes())


def copy_weights(source: CellPaths, copy: CellPaths, record: Record) -> None:
    """Copy ``best.pt`` of a finished cell, and write its card.

    Raises:
        BenchError: The file is not the one that the record names.
    """
    if record.best_sha256 is None or not source.best.is_file():
        return
    if sha256(source.best) != record.best_sha256:
        raise BenchError(f"{source.best}: not the weights of its record (SHA-256); run the cell again")
    copy.folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source.best, copy.best)
    io.write_text(copy.folder / CARD, model_card(record))


def num_bytes(results: Path, records: Sequence[Record], *, maps: bool, weights: bool) -> int:
    """Bytes of the maps and weights that an export would hold."""
    cells = [ResultsLayout(results).cell(record.cell) for record in records]
    files = [path for cell in cells if maps for path in (cell.folder / "maps").rglob("*.png")]
    files += [cell.best for cell in cells if weights and cell.best.is_file()]
    return sum(path.stat().st_size for path in files)


def environment(records: Sequence[Record]) -> str:
    """The versions that the records name, as pip reads them; where records differ, each with its number of records."""
    versions: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for record in records:
        for name, version in (record.environment.get("packages") or {}).items():
            versions[str(name)][str(version)] += 1
    lines = ["# versions that the records name"]
    for name, found in sorted(versions.items()):
        usual = max(found, key=lambda version: found[version])
        others = ", ".join(
            f"{version} in {count} records" for version, count in sorted(found.items()) if version != usual
        )
        lines.append(f"{name}=={usual}{f'  # also {others}' if others else ''}")
    return "\n".join(lines) + "\n"


def write_sums(root: Path) -> None:
    """Write ``SHA256SUMS`` over every file below a folder, in the form of ``sha256sum``."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{sha256(path)}  {path.relative_to(root).as_posix()}" for path in files]
    io.write_text(root / SUMS, "\n".join(lines) + "\n")


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pack(root: Path, files: Sequence[Path], archive: Path) -> int:
    """Pack files below a folder into one zip whose bytes depend on their names and content alone; returns its size."""
    part = io.temporary_beside(archive)
    with io.explain_os_errors(archive):
        archive.parent.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
                for path in sorted(files):
                    info = zipfile.ZipInfo(path.relative_to(root).as_posix(), date_time=_STAMP)
                    info.external_attr, info.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
                    with path.open("rb") as source, packed.open(info, "w") as target:
                        shutil.copyfileobj(source, target, 1 << 20)
            part.replace(archive)
        finally:
            part.unlink(missing_ok=True)
    return archive.stat().st_size
