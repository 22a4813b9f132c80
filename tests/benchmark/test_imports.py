"""No import circle of more than one file in any of the three packages, imports for type checkers included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("benchmark", "baselines", "bsanet")


def modules(package: str, root: Path = ROOT) -> dict[str, Path]:
    """Name -> file of every module of a package."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules that a file names in any import statement: at its head, in functions, for type checkers."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                if full in known:
                    yield full
                elif base in known:
                    yield base


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one node (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return [members for members in found if len(members) > 1]


def graph_of(package: str, root: Path = ROOT) -> dict[str, set[str]]:
    known = modules(package, root)
    return {name: set(imports(name, path, known)) - {name} for name, path in known.items()}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_of_files(package: str) -> None:
    graph = graph_of(package)
    if package == "benchmark":  # ``benchmark.__getattr__`` loads the API; it is named there for type checkers
        graph["benchmark"].discard("benchmark.api")
    assert sum(map(len, graph.values())) > len(graph) / 2, "the imports were not read"
    assert not circles(graph), "\n".join(" <-> ".join(members) for members in circles(graph))


def test_a_circle_is_found_also_where_only_type_checkers_see_it(tmp_path: Path) -> None:
    folder = tmp_path / "pack" / "inner"
    folder.mkdir(parents=True)
    for path in (folder.parent / "__init__.py", folder / "__init__.py", folder / "c.py"):
        path.write_text("")
    (folder / "a.py").write_text("from .b import f\nfrom pack.inner import c\n")
    (folder / "b.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack.inner.a import g\n"
    )
    assert circles(graph_of("pack", tmp_path)) == [["pack.inner.a", "pack.inner.b"]]
