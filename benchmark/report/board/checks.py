"""Whether a record's figures follow from its per-image scores, and whether it says what a table must know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.errors import BenchError
from benchmark.metrics.measures import MEASURES
from benchmark.report.records.grouping import regrouped
from benchmark.report.records.protocols import rules_of
from benchmark.store import io
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record, TestResult

Floats = npt.NDArray[np.float64]
TOLERANCE = 2e-5
"""Most that a stated figure may differ from the mean of its images; compact exports keep single precision."""
_LOWEST, _HIGHEST = -1e-3, 1.0 + 2e-3  # E exceeds 1 by less than 0.001


@dataclass(frozen=True)
class SetRows:
    """The images of one test set under one protocol.

    Attributes:
        ids: n names. groups: n groups.
        values: Measure -> n scores.
        leaked: n, whether training saw the image, a near copy or its sequence.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    values: Mapping[str, Floats]
    leaked: npt.NDArray[np.bool_]


class UnsoundError(BenchError):
    """Figures that do not follow from the scores, or a record that leaves out what a table must know."""


def read_rows(root: Path, record: Record, *, complete: bool = True) -> dict[tuple[str, str], SetRows]:
    """Per-image scores of a record by test set and protocol, each checked.

    Protocols that count the pixels of all images together are left out: their figures are no means over images.

    Args:
        root: Results folder or export.
        record: Of a cell in it.
        complete: Also refuse partly scored sets and leaks that were not looked for.
    Raises:
        UnsoundError: The first thing that does not hold, in one line.
        BenchError: The rows cannot be read.
    """
    path = ResultsLayout(root).cell(record.cell).scores
    if not path.is_file():
        raise UnsoundError("scores.parquet is missing: its figures cannot be recomputed")
    frame = regrouped(io.read_scores(path))
    found = {}
    for dataset, test in record.tests.items():
        if complete:
            _check_test(dataset, test)
        for protocol in test.scores:
            if protocol not in record.protocols:
                raise UnsoundError(f"{dataset}: protocol {protocol} has scores and no hash in the record")
            rules = rules_of([record], protocol)
            if rules is not None and rules.average == "pixels":
                continue
            rows = frame[(frame["dataset"] == dataset) & (frame["protocol"] == protocol)]
            missing = [measure.column for measure in MEASURES if measure.column not in rows.columns]
            if missing:
                raise UnsoundError(f"{dataset}: scores.parquet lacks the column {missing[0]}")
            values = {measure.key: rows[measure.column].to_numpy(dtype=float) for measure in MEASURES}
            ids = tuple(rows["id"].astype(str))
            leaked = np.isin(np.array(ids, dtype=object), list(_leaked(test)))
            one = SetRows(ids, tuple(rows["group"].astype(str)), values, leaked)
            for reason in _faults(dataset, protocol, test, one):
                raise UnsoundError(reason)
            found[dataset, protocol] = one
    return found


def _check_test(dataset: str, test: TestResult) -> None:
    if test.of is not None and test.of != test.n:
        raise UnsoundError(f"{dataset}: {test.n} of {test.of} images were scored; a board ranks whole sets only")
    if test.leaked is None:
        raise UnsoundError(f"{dataset}: its leaks were not looked for; run 'bench audit data', or score it again")
    if not test.scores:
        raise UnsoundError(f"{dataset}: no scores by any protocol")


def _leaked(test: TestResult) -> set[str]:
    return {name for names in (test.leaked or {}).values() for name in names}


def _faults(dataset: str, protocol: str, test: TestResult, rows: SetRows) -> Iterator[str]:
    where = f"{dataset} by {protocol}"
    if len(rows.ids) != test.num_scored(protocol):
        yield f"{where}: {len(rows.ids)} images in scores.parquet, {test.num_scored(protocol)} in the record"
        return
    if len(set(rows.ids)) < len(rows.ids):
        yield f"{where}: an image stands there twice"
    strangers = sorted(_leaked(test) - set(rows.ids))
    if strangers and test.num_scored(protocol) == test.n:
        yield f"{where}: leaked image {strangers[0]} is not among those scored"
    for key, values in rows.values.items():
        if not np.isfinite(values).all() or values.min() < _LOWEST or values.max() > _HIGHEST:
            yield f"{where}: {key} of an image is no score between 0 and 1"
            return
    for key, stated in test.scores[protocol].items():
        if key in rows.values and abs(stated - rows.values[key].mean()) > TOLERANCE:
            yield f"{where}: {key} is stated as {stated:.4f}, its images give {rows.values[key].mean():.4f}"
