"""`bench compare`: two results folders, or two commits of one; no torch."""

from __future__ import annotations

from pathlib import Path

from benchmark.commands.printing import print_json
from benchmark.errors import BenchError
from benchmark.store import io


def compare(
    a: str, b: str, *, results: Path, protocol: str, recipe: str | None, split: str | None, top: int, as_json: bool
) -> None:
    """Print what changed from A to B."""
    from benchmark.report.records.select import choose
    from benchmark.report.tables.compare import Side, compare_results, to_markdown
    from benchmark.report.tables.uncertainty import score_reader

    if top < 0:
        raise BenchError(f"--top {top}: expected a number of images from 0 on")
    sides = []
    for text in (a, b):
        folder, commit = _split(text, results)
        records = io.read_records(folder)
        mine = [r for r in records if str(r.environment.get("commit") or "").startswith(commit)]
        if commit and not mine:
            commits = {str(r.environment.get("commit") or "unknown")[:8] for r in records}
            raise BenchError(f"{text}: no record of commit {commit}; the folder holds {', '.join(sorted(commits))}")
        sides.append(Side(text, choose(mine, recipe=recipe, split=split), score_reader(folder, protocol)))
    found = compare_results(*sides, protocol=protocol, top=top)
    if as_json:
        print_json({"a": a, "b": b, **found.to_json()})
    else:
        print(to_markdown(found, a, b))


def _split(text: str, results: Path) -> tuple[Path, str]:
    """``FOLDER``, ``FOLDER@COMMIT`` or ``@COMMIT`` -> folder and the beginning of a commit."""
    if Path(text).is_dir() or "@" not in text:
        return Path(text), ""
    folder, _, commit = text.rpartition("@")
    return (Path(folder) if folder else results), commit
