"""How many one-line faults the tests notice: a random sample of mutants of the pure modules, each with its own tests.

    python tests/perf/mutate.py [--sample 60] [--seed 0] [--out FOLDER] [--minutes 50] [--again]

Copies the working tree, changes one line of the copy at a time, and runs the tests that are related to the module:
those that import it, then the rest of its room, then (`--e2e`) the end-to-end tests of the room. A mutant that no test
fails on survives and is printed as `file:line old -> new`. At the end the tests that failed are run on the unchanged
copy, so that a test which fails anyway kills nothing. Tests are limited in processor time, so that a busy machine
changes no verdict. Results are kept in FOLDER/results.jsonl: the same command goes on where it stopped; `--again` tries
its survivors once more, after tests were added. The checkout is never edited.

Why not a package: mutmut 3 runs every test once for its statistics and instruments whole packages; cosmic-ray has one
test command for all mutants and edits the tree it runs from. Here a run has to be a sample, bounded in time, with the
few tests that concern each module; a fork of one process that has imported the libraries saves seconds for every one.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = (
    *("config.py", "untrusted.py", "costs/*.py", "study/*.py", "store/*.py", "scoring/*.py", "recipes/*.py"),
    *("metrics/*.py", "data/splits/*.py", "data/audit/*.py", "data/listing/*.py"),
    *("report/statistics/*.py", "report/tables/*.py", "report/records/*.py", "report/sheets/*.py"),
    *("execution/order.py", "execution/placement.py", "execution/driver.py", "execution/job.py", "execution/cell.py"),
    *("tuning/space.py", "tuning/plan.py", "tuning/result.py", "tuning/slots.py", "tracking/content.py"),
    *("tracking/command.py", "training/losses.py", "training/optim.py", "training/ledger.py"),
)
"""Below benchmark/. The numba kernels are left out: compiling a changed one takes longer than its tests."""
LEFT_OUT = ("metrics/kernels.py", "metrics/kernels_levels.py", "metrics/kernels_plan.py", "metrics/jit.py")
E2E = {
    "report": "tables compare strata on_request",
    "data": "audit_data data_split data_manifest",
    "costs": "estimate profile",
    "study": "run study own_networks",
    "store": "run study",
    "execution": "run executors",
    "scoring": "evaluate protocols ensemble",
    "metrics": "evaluate protocols on_request",
    "tracking": "tracking",
    "tuning": "tune",
    "training": "run",
    "recipes": "run",
}
SWAPS: dict[type[ast.AST], tuple[str, str]] = {
    **{ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!=")},
    **{ast.NotEq: ("!=", "=="), ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"), ast.Is: ("is", "is not")},
    **{ast.IsNot: ("is not", "is"), ast.And: ("and", "or"), ast.Or: ("or", "and"), ast.Add: ("+", "-")},
    **{ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"), ast.FloorDiv: ("//", "*"), ast.Pow: ("**", "*")},
}
LIMIT_S = 240
"""Seconds of CPU that the tests of a mutant may take: longer means never; a busy machine changes nothing."""
PATIENCE_S = 1800.0
"""Seconds after which tests that wait for something are given up; such a mutant is not judged."""
WAITED, SPENT = -1000, -int(signal.SIGXCPU)
LIBRARIES = (
    *("pytest", "hypothesis", "numpy", "pandas", "pydantic", "pyarrow.parquet", "scipy.stats", "statsmodels.api"),
    *("numba", "torch", "torchvision", "lightning_fabric", "timm", "segmentation_models_pytorch", "PIL.Image", "cv2"),
    *("matplotlib.figure", "optuna", "mlflow", "typer", "sklearn.metrics"),
)


@dataclass(frozen=True)
class Mutant:
    """One changed line.

    Attributes:
        file: Below the root. line: From 1. column: Where the change begins.
        old, new: The line before and after.
    """

    file: str
    line: int
    column: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.old.strip()} -> {self.new.strip()}"


def mutants(root: Path) -> list[Mutant]:
    """Every mutant of the pure modules."""
    files = sorted({path for pattern in MODULES for path in (root / "benchmark").glob(pattern)})
    found = []
    for path in files:
        if str(path.relative_to(root / "benchmark")) not in LEFT_OUT:
            found += list(_of_file(str(path.relative_to(root)), path.read_text(encoding="utf-8")))
    return found


def _of_file(name: str, text: str) -> Iterator[Mutant]:
    lines, tree = text.splitlines(), ast.parse(text)
    seen = set()
    for line, start, end, new in _changes(tree, lines):
        old = lines[line - 1]
        changed = old[:start] + new + old[end:]
        key = (line, changed)
        if changed == old or key in seen or '"""' in old:
            continue
        with contextlib.suppress(SyntaxError):
            ast.parse("\n".join([*lines[: line - 1], changed, *lines[line:]]))
            seen.add(key)
            yield Mutant(name, line, start, old, changed)


def _changes(tree: ast.AST, lines: list[str]) -> Iterator[tuple[int, int, int, str]]:
    """Yield line, first and last column, and what stands there instead."""
    skipped = {id(sub) for node in ast.walk(tree) for sub in _not_run(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Compare):
            for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
                yield from _operator(left, op, right, lines)
        elif isinstance(node, ast.BoolOp):
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from _operator(left, node.op, right, lines)
        elif isinstance(node, ast.BinOp) and not isinstance(node.left, ast.Constant | ast.JoinedStr):
            yield from _operator(node.left, node.op, node.right, lines)
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float) and _one_line(node):
            new = str(not node.value) if isinstance(node.value, bool) else str(node.value + 1)
            yield node.lineno, node.col_offset, node.end_col_offset or 0, new
        elif isinstance(node, ast.If | ast.IfExp | ast.While) and _one_line(node.test):
            condition = lines[node.test.lineno - 1][node.test.col_offset : node.test.end_col_offset]
            yield node.test.lineno, node.test.col_offset, node.test.end_col_offset or 0, f"(not ({condition}))"
        elif isinstance(node, ast.Raise | ast.Expr | ast.AugAssign | ast.Continue) and _one_line(node):
            yield node.lineno, node.col_offset, node.end_col_offset or 0, "pass"


def _operator(left: ast.expr, op: ast.AST, right: ast.expr, lines: list[str]) -> Iterator[tuple[int, int, int, str]]:
    if type(op) not in SWAPS or left.end_lineno != right.lineno:
        return
    old, new = SWAPS[type(op)]
    start, end = left.end_col_offset or 0, right.col_offset
    found = re.search(
        rf"(?<!\w){re.escape(old)}(?!\w)" if old.isalpha() else re.escape(old), lines[right.lineno - 1][start:end]
    )
    if found:
        yield right.lineno, start + found.start(), start + found.end(), new


def _one_line(node: ast.stmt | ast.expr) -> bool:
    return node.lineno == node.end_lineno


def _not_run(node: ast.AST) -> Iterator[ast.AST]:
    """Annotations, docstrings and the options of dataclasses."""
    if isinstance(node, ast.AnnAssign) or (isinstance(node, ast.arg) and node.annotation):
        yield from ast.walk(node.annotation)
    elif isinstance(node, ast.FunctionDef) and node.returns:
        yield from ast.walk(node.returns)
    elif isinstance(node, ast.ClassDef):
        yield from (sub for one in node.decorator_list for sub in ast.walk(one))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield from ast.walk(node)


def stages(root: Path, file: str, *, e2e: bool) -> list[list[str]]:
    """Test files for a module, nearest first by imports: the six nearest, its room's others, end-to-end tests."""
    near = _steps_to(root, file)
    room = file.split("/")[1].removesuffix(".py")
    named = {name: Path(file).stem not in Path(name).stem for name in near}  # the module's own tests come first
    ranked = sorted((name for name in near if near[name] <= 2), key=lambda name: (named[name], near[name], name))
    direct = ranked[:6]
    others = [name for name in near if f"/{room}/" in name and name not in direct]
    e2e = e2e or not (direct or others)
    ends = [f"tests/e2e/test_{name}.py" for name in E2E.get(room, "run bad_input").split()] if e2e else []
    return [files for files in (direct, sorted(others, key=near.__getitem__), ends) if files]


@cache
def _steps_to(root: Path, file: str) -> dict[str, int]:
    """How many imports lead from each test file to a module."""
    imported_by: dict[str, list[str]] = {}
    for name, found in _imports(root).items():
        for module in found:
            imported_by.setdefault(module, []).append(name)
    steps, edge = {file: 0}, [file]
    while edge:
        edge = [
            name
            for one in edge
            for name in imported_by.get(one, ())
            if name not in steps and not steps.update({name: steps[one] + 1})
        ]
    return {name: n for name, n in steps.items() if name.startswith("tests/")}


@cache
def _imports(root: Path) -> dict[str, set[str]]:
    """Files of benchmark that each file of benchmark and of its tests imports, wherever in the file."""
    files = [
        *(root / "benchmark").rglob("*.py"),
        *(root / "tests/benchmark").rglob("test_*.py"),
        *(root / "tests/safety").glob("test_*.py"),
    ]
    found: dict[str, set[str]] = {}
    for path in files:
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("benchmark"):
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names if alias.name.startswith("benchmark")}
        paths = {
            form for name in names for form in (f"{name.replace('.', '/')}.py", f"{name.replace('.', '/')}/__init__.py")
        }
        found[str(path.relative_to(root))] = {one for one in paths if (root / one).is_file()}
    return found


def run_tests(root: Path, files: Iterable[str], *, log: Path) -> tuple[int, float]:
    """Run tests in a fork of this process, from a copy of the tree; return its exit code, ``WAITED`` or ``SPENT``."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _run_here(root, list(files), log)
    while time.monotonic() - start < PATIENCE_S:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - start
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return WAITED, time.monotonic() - start


def _run_here(root: Path, files: list[str], log: Path) -> None:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S + 10))
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(root)
    os.environ["PYTHONPATH"] = str(root)
    sys.path[0] = str(root)
    sys.dont_write_bytecode = True  # a changed line of the same length and second would be taken for the old one
    import pytest

    code = 3
    try:
        code = pytest.main(
            ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=line", "-rf", *files]
        )
    finally:
        os._exit(int(code))


def copy_tree(target: Path) -> None:
    """Copy what git tracks, as it lies in the working tree."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def judge(copy: Path, mutant: Mutant, log: Path, *, e2e: bool) -> tuple[str, str, float]:
    """Return killed or survived, the test that failed or why none did, and the seconds it took."""
    taken = 0.0
    for files in stages(copy, mutant.file, e2e=e2e):
        with _changed(copy / mutant.file, mutant):
            code, seconds = run_tests(copy, files, log=log)
        taken += seconds
        failed = re.findall(r"^(?:FAILED|ERROR) ([^ \n]+)", log.read_text(errors="replace"), re.MULTILINE)
        if code in (1, 2, 3) and failed:
            return "killed", failed[0].partition("[")[0], taken  # a parameter may hold anything
        if code == WAITED:
            return "not judged", "tests wait", taken
        if code == SPENT and run_tests(copy, files, log=log)[0] in (0, 5):
            return "killed", "tests never end", taken
        if code not in (0, 5):  # they cannot even be collected; unless that is so on the unchanged copy
            sound = run_tests(copy, files, log=log)[0] in (0, 5)
            return ("killed", "tests do not start", taken) if sound else ("not judged", f"tests end with {code}", taken)
    return "survived", "", taken


@contextlib.contextmanager
def _changed(path: Path, mutant: Mutant) -> Iterator[None]:
    whole = path.read_text(encoding="utf-8")
    lines = whole.splitlines(keepends=True)
    places = [i for i, line in enumerate(lines) if line.rstrip("\n") == mutant.old]
    nearest = min(places, key=lambda i: abs(i - mutant.line + 1))  # lines above it may have come or gone since
    lines[nearest] = mutant.new + "\n"
    path.write_text("".join(lines), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(whole, encoding="utf-8")


def false_alarms(copy: Path, failed: list[str], log: Path) -> set[str]:
    """Which of the tests fail on the unchanged copy too."""
    nodes = sorted({node for node in failed if ".py" in node})
    if not nodes:
        return set()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "-rf", *nodes]
    with log.open("w") as file:
        done = subprocess.run(command, cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, stdout=file, stderr=file)
    text = log.read_text(errors="replace")
    if done.returncode not in (0, 1):
        raise SystemExit(f"the tests that failed cannot be run on the unchanged copy: see {log}")
    return {node.partition("[")[0] for node in re.findall(r"^(?:FAILED|ERROR) ([^ \n]+)", text, re.MULTILINE)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "polyp-bench-mutants")
    parser.add_argument("--minutes", type=float, default=50.0, help="no further mutant is begun after this")
    parser.add_argument("--e2e", action="store_true", help="try survivors with the end-to-end tests of their room, too")
    parser.add_argument("--again", action="store_true", help="try the kept survivors again, after tests were added")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    kept_file, log = args.out / "results.jsonl", args.out / "pytest.log"
    every = mutants(ROOT)
    sample = random.Random(args.seed).sample(every, min(args.sample, len(every)))
    kept = {}
    if kept_file.is_file():
        rows = [json.loads(line) for line in kept_file.read_text().splitlines()]
        kept = {(r["file"], r["old"], r["new"]): r for r in rows}
    sample = _kept_first(sample, kept) if kept else sample
    end = time.monotonic() + 60 * args.minutes
    for library in LIBRARIES:  # once, for all forks
        with contextlib.suppress(ImportError):
            importlib.import_module(library)

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        copy_tree(copy)
        for mutant in sample:
            key = (mutant.file, mutant.old, mutant.new)
            state = kept[key]["state"] if key in kept else "not judged"
            if state == "killed" or (state == "survived" and not args.again):
                continue
            if mutant.old not in (copy / mutant.file).read_text(encoding="utf-8").splitlines():
                print(f"left out, the line is not there any more: {mutant}")
                kept.pop(key, None)
                continue
            if time.monotonic() > end:
                print("time is up; the same command goes on from here")
                break
            state, why, seconds = judge(copy, mutant, log, e2e=args.e2e)
            kept[key] = {**asdict(mutant), "state": state, "by": why, "seconds": round(seconds, 1)}
            print(f"{state} ({seconds:.0f} s) {mutant}  {why}", flush=True)
            kept_file.write_text("".join(json.dumps(row) + "\n" for row in kept.values()))
        _report(copy, sample, kept, log)


def _kept_first(sample: list[Mutant], kept: dict[tuple[str, str, str], dict[str, object]]) -> list[Mutant]:
    """The sample that was begun: a later state of the code has other mutants, of which other ones would be drawn."""
    begun = [
        Mutant(str(r["file"]), int(str(r["line"])), int(str(r["column"])), str(r["old"]), str(r["new"]))
        for r in kept.values()
    ]
    known = {(m.file, m.old, m.new) for m in begun}
    return [*begun, *(m for m in sample if (m.file, m.old, m.new) not in known)][: len(sample)]


def _report(copy: Path, sample: list[Mutant], kept: dict[tuple[str, str, str], dict[str, object]], log: Path) -> None:
    done = [kept[k] for m in sample if (k := (m.file, m.old, m.new)) in kept]
    done = [row for row in done if row["state"] != "not judged"]
    alarms = false_alarms(copy, [str(r["by"]).partition("[")[0] for r in done if r["state"] == "killed"], log)
    killed = [r for r in done if r["state"] == "killed" and str(r["by"]).partition("[")[0] not in alarms]
    for row in done:
        if row not in killed:
            what = "not shown to be killed, its test fails anyway" if row["state"] == "killed" else row["state"]
            print(f"{what}: {row['file']}:{row['line']} {str(row['old']).strip()} -> {str(row['new']).strip()}")
    print(f"killed {len(killed)} of {len(done)} mutants: {len(killed) / max(len(done), 1):.0%}")


if __name__ == "__main__":
    main()
