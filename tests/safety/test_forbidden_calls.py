"""Calls that could run a stranger's bytes stand nowhere in the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for package in ("benchmark", "baselines", "bsanet") for path in (ROOT / package).rglob("*.py"))

NEVER = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp", "input"}
NEVER |= {
    f"{module}.{call}" for module in ("pickle", "marshal", "shelve", "dill", "joblib") for call in ("load", "loads")
}
NEVER |= {"pickle.Unpickler", "shelve.open", "yaml.load", "yaml.unsafe_load", "pd.read_pickle", "pandas.read_pickle"}
NEVER |= {"jinja2.Template", "Template", "Markup", "zipfile.ZipFile.extractall", "shutil.unpack_archive"}
METHODS = {"extractall", "extract"}
MODULES = {"dill", "joblib", "marshal", "shelve", "yaml", "xml", "telnetlib"}
DEMANDED = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
FORBIDDEN = {"shell": True, "allow_pickle": True, "weights_only": False, "autoescape": False, "verify": False}


def name_of(node: ast.expr) -> str:
    """``a.b.c`` for a dotted call; what is no name is ``?``."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def faults(source: str) -> Iterator[str]:
    """Every forbidden call and import of one file, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"{node.lineno}: import {name}" for name in names if name.partition(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        name = name_of(node.func)
        given = {word.arg: getattr(word.value, "value", "?") for word in node.keywords if word.arg}
        if name in NEVER or (isinstance(node.func, ast.Attribute) and node.func.attr in METHODS):
            yield f"{node.lineno}: {name}"
        if name in DEMANDED and given.get(DEMANDED[name][0], "unset") is not DEMANDED[name][1]:
            yield f"{node.lineno}: {name} without {DEMANDED[name][0]}={DEMANDED[name][1]}"
        if name.endswith("Environment") and given.get("autoescape") is not True:
            yield f"{node.lineno}: {name} without autoescape=True"
        bad = {key: value for key, value in given.items() if key in FORBIDDEN and FORBIDDEN[key] is value}
        yield from (f"{node.lineno}: {name}({key}={value})" for key, value in bad.items())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_forbidden_call(path: Path) -> None:
    assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pickle.load(file)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
        "yaml.load(text)",
        "import joblib",
        "archive.extractall(folder)",
        "Environment(loader=loader)",
        "requests.get(url, verify=False)",
    ],
)
def test_the_search_finds_what_it_is_for(line: str) -> None:
    assert list(faults(line))
