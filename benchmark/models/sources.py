"""Where a model's code is: its specification, the user's files, entry points, and hashes of the sources."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.models.user_files import source_hash

ENTRY_POINT_GROUP = "bench.models"


@dataclass(frozen=True)
class ModelSpec:
    """One model: its registry name, its name as printed, and where its ``build`` function lives.

    Attributes:
        name: Registry name, for example ``pranet`` or ``smp:segformer:tu-mit_b0``.
        title: Row label in tables.
        target: ``module:function``, imported on first use only.
        summary: One line for ``bench models``.
        options: Options that are part of the name (``unet:classic``, smp's architecture and encoder).
        takes_encoder: Whether the recipe's ``encoder`` applies.
        encoder: Its default encoder; names a file of --weights-dir.
        path: The file, for models given as ``FILE.py:function``.
        loader: ``module:function`` that loads a checkpoint strictly: (model, path, *, key, strip_prefix, say).
    """

    name: str
    title: str
    target: str
    summary: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    takes_encoder: bool = False
    encoder: str | None = None
    path: Path | None = None
    loader: str = "baselines.weights:load_checkpoint"


def file_spec(name: str) -> ModelSpec:
    """Describe a model given as ``FILE.py:function``, without running the file.

    Raises:
        BenchError: The file does not exist.
    """
    file, _, function = name.rpartition(":") if not name.endswith(".py") else (name, "", "build")
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise BenchError(f"model file {file}: not found; expected FILE.py:function, for example ./my_net.py:build")
    return ModelSpec(
        f"file:{path.stem}:{function}",
        path.stem if function == "build" else f"{path.stem} {function}",
        f"{path.stem}:{function}",
        f"from {path.name}",
        path=path,
    )


def entry_points() -> dict[str, str]:
    """Return the models of other installed packages: name -> ``module:function``."""
    return {point.name: point.value for point in metadata.entry_points(group=ENTRY_POINT_GROUP)}


def code_hash(spec: ModelSpec) -> str | None:
    """Return a hash of a model's file and of the user's files that it imports; None for a model by name."""
    return source_hash(spec.path) if spec.path is not None else None


def code_stamp(spec: ModelSpec) -> dict[str, str]:
    """Hash the sources that a model is built from and the harness's own, for the record.

    Unlike ``code_hash`` it is not part of a cell's name: a changed comment must not discard results. It lets a reader
    see whether two records were made by the same code, even without a git commit.

    Returns:
        ``benchmark`` and the model's package (or ``model`` for a user's file) -> 16 hex digits; a package
        whose sources cannot be found is left out.
    """
    if spec.path is not None:
        return {"benchmark": _package_hash("benchmark") or "", "model": str(code_hash(spec))}
    names = dict.fromkeys(("benchmark", spec.target.partition(":")[0].partition(".")[0]))
    return {name: digest for name in names if (digest := _package_hash(name))}


@cache
def _package_hash(name: str) -> str | None:
    found = importlib.util.find_spec(name)
    folders = list(found.submodule_search_locations or []) if found else []
    files = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    if not files and found and found.origin and Path(found.origin).is_file():
        files = [Path(found.origin)]
    if not files:
        return None
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
