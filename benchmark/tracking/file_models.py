"""A registered network from a file: the file travels with it as code, and builds it wherever it is loaded."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.models.build import build_network
from benchmark.models.registry import ModelSpec, get_spec
from benchmark.models.user_files import imported_files, imported_packages, source_hash
from benchmark.recipes.read import validate_recipe
from benchmark.store.schema import Record
from benchmark.tracking.scored_map import ScoredMap


@dataclass(frozen=True)
class Source:
    """How a network is built again.

    Attributes:
        package: Folder among the model's code; its name is no one else's.
        file: The network's file below it. function: Its function.
        recipe: Options of the network. drop: Parts left out.
    """

    package: str
    file: str
    function: str
    recipe: Mapping[str, Any]
    drop: tuple[str, ...]


class FileMap(ScoredMap):
    """Pickled as its source and weights: classes of a file have no name by which another process could find them.

    Args:
        network: Built from ``source``.
        source: How.
    """

    def __init__(self, network: nn.Module, source: Source) -> None:
        super().__init__(network)
        self.source = source

    def __reduce__(self) -> Any:
        return rebuild, (self.source, dict(self.network.state_dict()))


def rebuild(source: Source, weights: Mapping[str, Tensor], folder: Path | None = None) -> FileMap:
    """Build the network of a registered model from the file that lies among its code.

    Args:
        source: How.
        weights: State dict.
        folder: Where ``source.package`` lies; where Python looks for modules if unset, as MLflow puts it there.
    Raises:
        BenchError: The file is not there, or builds another network.
    """
    if folder is None:
        found = importlib.util.find_spec(source.package)
        places = list(found.submodule_search_locations or []) if found is not None else []
        if not places:
            raise BenchError(f"{source.package}/{source.file}: not among the model's code; load it through MLflow")
        folder = Path(places[0])
    recipe = validate_recipe(dict(source.recipe), where="the registered model")
    spec = get_spec(f"{folder / source.file}:{source.function}")
    network = build_network(spec, recipe, drop=source.drop, pretrained=False)
    network.load_state_dict(dict(weights))
    return FileMap(network.eval(), source)


@contextmanager
def packed(network: nn.Module, spec: ModelSpec, record: Record) -> Iterator[tuple[FileMap, Path]]:
    """Copy a network's file and what it imports, and build the network from the copy.

    Args:
        network: Of the cell, with its weights.
        spec: Its file.
        record: Of the cell.
    Yields:
        What to register, and the folder that goes with it as code.
    Raises:
        BenchError: It imports a file that cannot travel with it, or the copy builds another network.
    """
    path, function = spec.path, spec.target.rpartition(":")[2]
    assert path is not None, "the caller asks for models from files only"
    with TemporaryDirectory(prefix="bench-register-") as temporary:
        folder = Path(temporary) / f"bench_user_{source_hash(path)}"
        copy = _copy(path, folder)
        source = Source(
            folder.name, copy.relative_to(folder).as_posix(), function, dict(record.recipe), tuple(record.ablation)
        )
        try:
            made = rebuild(source, network.state_dict(), folder)
        except (BenchError, RuntimeError) as error:
            reason = " ".join(str(error).replace(str(folder), "").split())[:200]
            hint = "it may need files that it does not import"
            raise BenchError(f"{path.name}: its copy does not build the network ({reason}); {hint}") from None
        image = torch.zeros(2, 3, 64, 64)
        with torch.inference_mode():
            if not torch.equal(made(image), ScoredMap(network)(image)):
                raise BenchError(
                    f"{path.name}: its copy builds another network; it may depend on chance or other files"
                )
        yield made, folder


def requirements(path: Path) -> list[str]:
    """The installed packages that a file imports, each ``name==version``."""
    known = metadata.packages_distributions()
    names = sorted({known[name][0] for name in imported_packages(path) if known.get(name)})
    return [f"{name}=={metadata.version(name)}" for name in names]


def _copy(path: Path, folder: Path) -> Path:
    """Copy a file and the user's files that it imports, as they lie; returns the copy of the file.

    Raises:
        BenchError: One lies where the copy would not find it.
    """
    files = {path, *(file for file in imported_files(path).values() if file.is_file())}
    root = Path(os.path.commonpath([_above_package(file) for file in files]))
    for file in list(files):
        files |= {above / "__init__.py" for above in file.parents if root in above.parents}
    for file in files:
        if file.is_file():
            target = folder / file.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    copy = folder / path.relative_to(root)
    outside = [name for name, file in imported_files(copy).items() if not file.is_relative_to(folder.resolve())]
    if outside:
        raise BenchError(f"{path.name}: imports {min(outside)} from another folder; put it beside the file")
    return copy


def _above_package(file: Path) -> Path:
    """The folder that holds a file, or the outermost package that it belongs to."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder
