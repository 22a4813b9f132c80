"""The records of a results folder as one pandas table, for notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.report.records.grouping import regrouped
from benchmark.store import io
from benchmark.store.layout import ResultsLayout

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.store.schema import Record, TestResult


def load_results(results: str | Path = "results", *, protocol: str = "pranet", per_image: bool = False) -> pd.DataFrame:
    """Read the records of a results folder.

    Args:
        results: Results folder.
        protocol: Scoring protocol.
        per_image: One row per cell and test image (columns of scores.parquet) instead of one per cell and test set.
    Returns:
        Cell, model, title, ablation, recipe, split, seed, status, synthetic, dataset, then n, num_leaked (every kind),
        num_leaked_exact, _near and _sequence (None where not looked for) with the set's scores (mDSC, mIoU, ...), or
        id and that image's scores. A cell without scores has one row with ``dataset`` None in the table of sets, and
        none in that of images.
    Raises:
        BenchError: No such folder, or an unreadable record.
    Example:
        >>> import benchmark as bench
        >>> scores = bench.load_results("results/reference/cpu-study/main")
        >>> scores = scores[(scores["dataset"] == "kvasir") & (scores["ablation"] == "")]
        >>> print(scores.groupby("title")["mDSC"].mean().round(3).to_dict())
        {'BSANet': 0.486, 'LDNet': 0.464, 'PraNet': 0.403, 'SANet': 0.365, 'U-Net': 0.474, 'Unet++': 0.485}
    """
    import pandas as pd

    records = io.read_records(Path(results))
    if not per_image:
        return pd.DataFrame([row for record in records for row in _set_rows(record, protocol)])
    layout, frames = ResultsLayout(Path(results)), []
    for record in records:
        if record.tests:
            frame = regrouped(io.read_scores(layout.cell(record.cell).scores))
            frame = frame[(frame["protocol"] == protocol) & frame["dataset"].isin(list(record.tests))]
            frames.append(frame.drop(columns="protocol").assign(**_facts(record)))
    if not frames:
        return pd.DataFrame()
    joined = pd.concat(frames, ignore_index=True)
    first = list(_facts(records[0]))
    return joined[[*first, *(column for column in joined if column not in first)]]


def _facts(record: Record) -> dict[str, Any]:
    return {
        "cell": record.cell,
        "model": record.model,
        "title": record.model_title,
        "ablation": ",".join(record.ablation),
        "recipe": record.recipe_name,
        "split": record.split.name,
        "seed": record.seed,
        "status": record.status,
        "synthetic": record.synthetic,
    }


def _set_rows(record: Record, protocol: str) -> list[dict[str, Any]]:
    facts = _facts(record)
    rows = [
        {**facts, "dataset": name, "n": test.n, **_leaks(test), **test.scores[protocol]}
        for name, test in record.tests.items()
        if protocol in test.scores
    ]
    return rows or [{**facts, "dataset": None}]


def _leaks(test: TestResult) -> dict[str, int | None]:
    by_kind = {f"num_leaked_{kind}": number for kind, number in test.num_leaked_by_kind().items()}
    return {"num_leaked": test.num_leaked, **by_kind}
