"""Results on corrupted test sets as metrics of a cell's run."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from benchmark.store.robust_results import CLEAN, RobustResult
from benchmark.store.schema import Record

FIGURE = "mDSC"


def robust_means(record: Record, results: Sequence[RobustResult], protocol: str) -> dict[tuple[str, str, str], float]:
    """Return the mean of mDSC over severities, by test set, corruption and denoiser, and over all corruptions.

    The mean over corruptions is named ``all``. Results of other weights than the record's are left out.

    Args:
        record: The cell's.
        results: Its results.
        protocol: Scoring protocol.
    """
    weights = record.pretrained.get("sha256") if record.origin else record.best_sha256
    found: dict[tuple[str, str, str], list[float]] = {}
    for one in results:
        value = one.test.scores.get(protocol, {}).get(FIGURE)
        if value is not None and one.corruption != CLEAN and one.best_sha256 == weights:
            found.setdefault((one.dataset, one.corruption, one.denoise), []).append(value)
    means = {key: fmean(values) for key, values in found.items()}
    whole: dict[tuple[str, str, str], list[float]] = {}
    for (dataset, _, denoise), value in means.items():
        whole.setdefault((dataset, "all", denoise), []).append(value)
    return means | {key: fmean(values) for key, values in whole.items()}
