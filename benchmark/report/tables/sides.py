"""The two sides of a comparison: results folders, or the records of one commit in a folder."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import BenchError
from benchmark.report.records.protocols import require_image_means
from benchmark.report.records.select import choose
from benchmark.report.records.set_scores import score_reader
from benchmark.report.tables.compare import Compared, Side, compare_results
from benchmark.store import io


def compare_folders(
    a: str,
    b: str,
    *,
    results: Path,
    protocol: str,
    recipe: str | None,
    split: str | None,
    top: int,
    recipe_b: str | None = None,
) -> Compared:
    """Compare two sides.

    Args:
        a: Before: ``FOLDER``, ``FOLDER@COMMIT``, or ``@COMMIT`` of ``results``.
        b: After: the same.
        results: Folder of a side that names none.
        protocol: Scoring protocol of the numbers.
        recipe: Only this recipe.
        recipe_b: The recipe of B, where it is another.
        split: Only this split.
        top: Images to name per model and test set.
    Raises:
        BenchError: No records, an unknown commit, or a negative ``top``.
    """
    if top < 0:
        raise BenchError(f"--top {top}: expected a number of images from 0 on")
    sides = []
    for text, wanted in ((a, recipe), (b, recipe_b or recipe)):
        folder, commit = _split(text, results)
        records = io.read_records(folder)
        mine = [r for r in records if str(r.environment.get("commit") or "").startswith(commit)]
        if commit and not mine:
            commits = {str(r.environment.get("commit") or "unknown")[:8] for r in records}
            raise BenchError(f"{text}: no record of commit {commit}; the folder holds {', '.join(sorted(commits))}")
        require_image_means(mine, protocol, "compare")
        sides.append(Side(text, choose(mine, recipe=wanted, split=split), score_reader(folder, protocol)))
    return compare_results(*sides, protocol=protocol, top=top)


def _split(text: str, results: Path) -> tuple[Path, str]:
    """``FOLDER``, ``FOLDER@COMMIT`` or ``@COMMIT`` -> folder and the beginning of a commit."""
    if Path(text).is_dir() or "@" not in text:
        return Path(text), ""
    folder, _, commit = text.rpartition("@")
    return (Path(folder) if folder else results), commit
