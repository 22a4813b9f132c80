"""Networks, losses and transforms in files of the user's own: import one with what it imports, and hash them all.

What a file imports is read from its text, so that the hash needs no run and covers imports inside functions. It is
looked for in the file's folder, in the folder above the package that it belongs to, and where Python looks for the
user's modules (``PYTHONPATH``). Flat (``import blocks``), relative (``from .blocks import``) and package imports
(``from lib.blocks import``) work. Installed packages are excluded.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmark.errors import BenchError

_OURS = ("benchmark", "baselines", "bsanet")
_MAX_FILES = 1000


def named_file(name: str, *, what: str) -> Path:
    """Return the file of ``FILE.py:function``, relative to the current folder.

    Raises:
        BenchError: It does not exist; ``what`` says what it was to be.
    """
    path = Path(name.rpartition(":")[0]).expanduser().resolve()
    if not path.is_file():
        raise BenchError(f"{what} {name}: no such file; expected FILE.py:function, looked for in the current folder")
    return path


def named_function(name: str, *, what: str) -> Callable[..., Any]:
    """Import the function of ``FILE.py:function``.

    Raises:
        BenchError: No such file, no such function, or the file raises while it is loaded.
    """
    path, function = named_file(name, what=what), name.rpartition(":")[2]
    found = getattr(import_file(path, what=f"{what} file"), function, None)
    if not callable(found):
        raise BenchError(f"{what} {name}: {path.name} has no function {function!r}")
    return found


def import_file(path: Path, *, what: str = "model file") -> ModuleType:
    """Import a file once; later calls return the same module.

    Raises:
        BenchError: It raises an error while it is loaded; the message names it.
    """
    name = f"{_package(path.parent)}.bench_file_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    _FINDER.serve(path, imported_files(path))
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BenchError(f"{what} {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise BenchError(f"{what} {path}: {type(error).__name__} while loading: {error}") from error
    return module


def source_hash(path: Path) -> str:
    """Return 16 hex digits over a model file and the user's files that it imports; of a single file, over its bytes."""
    digest = hashlib.blake2b(path.read_bytes(), digest_size=8)
    files = {os.path.relpath(file, path.parent): file for file in imported_files(path).values() if file.is_file()}
    for name, file in sorted(files.items()):
        if file != path:
            digest.update(b"\0" + Path(name).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def imported_files(path: Path) -> dict[str, Path]:
    """Return the modules that a file imports, and those that they import: name -> file, or folder of a package.

    Modules of the standard library, of installed packages and of this package are left out; so is a module that is not
    found, which importing the file will report.
    """
    found: dict[str, Path] = {}
    waiting = [(path, _package(path.parent))]
    seen = {path}
    while waiting and len(seen) < _MAX_FILES:
        file, package = waiting.pop()
        for name, where in _resolved(file, package):
            found[name] = where
            if where.is_file() and where not in seen:
                seen.add(where)
                waiting.append((where, name if where.name == "__init__.py" else name.rpartition(".")[0]))
    return found


def imported_packages(path: Path) -> list[str]:
    """Return the top-level names that a file and the user's files that it imports take from installed packages."""
    files = imported_files(path)
    own = {name.partition(".")[0] for name in files}
    named = {
        module[0]
        for file in {path, *(file for file in files.values() if file.is_file())}
        for level, module, _ in _imports(file)
        if not level
    }
    return sorted(named - own - set(sys.stdlib_module_names) - set(_OURS))


def _resolved(file: Path, package: str) -> Iterator[tuple[str, Path]]:
    """Yield the user's modules that one file names in its imports, each with the packages above it."""
    own = package.split(".") if package else []
    for level, module, names in _imports(file):
        if level:
            folder = file.parent
            for _ in range(level - 1):
                folder = folder.parent
            above = own[: len(own) - (level - 1)]
            yield from _walk(above, folder, [*module, *names], len(module))
            if above:
                yield ".".join(above), _init_or_folder(folder)
        elif module[0] not in sys.stdlib_module_names and module[0] not in _OURS:
            for root in _roots(file, module[0]):
                hits = list(_walk([], root, [*module, *names], len(module)))
                if hits:
                    yield from hits
                    break


def _imports(file: Path) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield level, module and imported names of each import in a file; nothing if it is not valid Python."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name.split("."), []
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.level, (node.module or "").split(".") if node.module else [], [alias.name]


def _walk(above: Sequence[str], folder: Path, parts: Sequence[str], needed: int) -> Iterator[tuple[str, Path]]:
    """Follow a dotted name down from a folder; nothing unless its first ``needed`` parts are there."""
    hits: list[tuple[str, Path]] = []
    names = list(above)
    for depth, part in enumerate(parts):
        names.append(part)
        if (folder / f"{part}.py").is_file() and not (folder / part / "__init__.py").is_file():
            hits.append((".".join(names), folder / f"{part}.py"))
            if depth + 1 < needed:
                return
            break
        folder = folder / part
        if not part.isidentifier() or not folder.is_dir():
            if depth < needed:
                return
            break
        hits.append((".".join(names), _init_or_folder(folder)))
    if any(where.is_file() for _, where in hits):  # folders alone are not a module
        yield from hits


def _roots(file: Path, module: str) -> Iterator[Path]:
    """Yield the folders in which an absolute import is looked for."""
    yield file.parent
    top = file.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    yield top
    if module == file.parent.name:
        yield file.parent.parent
    installed = [Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    for entry in sys.path:
        folder = Path(entry or ".").resolve()
        if folder.is_dir() and not any(folder == one or one in folder.parents for one in installed):
            yield folder


def _init_or_folder(folder: Path) -> Path:
    init = folder / "__init__.py"
    return init if init.is_file() else folder


def _package(folder: Path) -> str:
    """Return the dotted name of a folder with ``__init__.py``; for any other folder a name that nothing else has."""
    names: list[str] = []
    top = folder
    while (top / "__init__.py").is_file():
        names.insert(0, top.name)
        top = top.parent
    if names and all(map(str.isidentifier, names)) and names[0] not in (*_OURS, *sys.stdlib_module_names):
        return ".".join(names)
    return f"bench_folder_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


class _Finder(MetaPathFinder):
    """Finds the modules of the user's files; where two files mean different ones by a name, the last one served."""

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}
        self._modules: dict[Path, dict[str, ModuleType]] = {}
        self._owners: dict[str, Path] = {}

    def serve(self, owner: Path, files: dict[str, Path]) -> None:
        """Let imports find the files of ``owner`` from now on, and those of others whose names do not clash."""
        package = _package(owner.parent)
        files = {package: _init_or_folder(owner.parent), **files}
        for name in [name for name, file in files.items() if self._files.get(name, file) != file]:
            module = sys.modules.get(name)
            if module is not None and self._is_mine(module, self._files[name]):
                self._modules.setdefault(self._owners[name], {})[name] = sys.modules.pop(name)
        sys.modules.update(self._modules.get(owner, {}))
        self._files |= files
        self._owners |= dict.fromkeys(files, owner)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """See ``MetaPathFinder``."""
        del path, target
        where = self._files.get(fullname)
        if where is None:
            return None
        if where.is_dir():
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(where)]
            return spec
        places = [str(where.parent)] if where.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(fullname, where, submodule_search_locations=places)

    @staticmethod
    def _is_mine(module: ModuleType, where: Path) -> bool:
        file = getattr(module, "__file__", None)
        return Path(file) == where if file else where.is_dir()


_FINDER = _Finder()
sys.meta_path.insert(0, _FINDER)
