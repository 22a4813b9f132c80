"""Rows of a result on corrupted images are those that its record counts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmark.errors import BenchError
from benchmark.store.robust_results import RobustResult, read_rows, write_result
from benchmark.store.schema import TestResult


def rows_of(*ids: str) -> pd.DataFrame:
    return pd.DataFrame({"protocol": "pranet", "id": ids, "group": ids, "dice": 0.5, "dataset": "kvasir"})


def test_rows_that_the_record_does_not_count_are_refused(tmp_path: Path) -> None:
    test = TestResult(title="Kvasir", n=2, fingerprint="0", scores={"pranet": {"mDSC": 0.5}})
    result = RobustResult(
        cell="unet/q-1/seed0", best_sha256="0", dataset="kvasir", corruption="jpeg", corruption_hash="0", severity=1,
        denoise="none", denoise_hash="0", engine="fast", protocols={}, test=test, created="now",
    )  # fmt: skip
    path = tmp_path / "jpeg-1-none.json"
    write_result(path, result, rows_of("b", "a"))
    assert list(read_rows(path, "pranet").index) == ["a", "b"]
    for wrong in (rows_of("a"), rows_of("a", "b", "c"), rows_of("a", "a")):
        write_result(path, result, wrong)
        with pytest.raises(BenchError, match=f"{len(wrong)} rows under pranet, its record says 2"):
            read_rows(path, "pranet")


def test_a_result_is_the_same_only_if_what_was_measured_and_how_it_was_scored_are() -> None:
    test = TestResult(title="Kvasir", n=2, fingerprint="0", scores={"pranet": {"mDSC": 0.5}})
    both = {"pranet": "1", "half": "2"}
    kept = RobustResult(
        cell="unet/q-1/seed0", best_sha256="0", dataset="kvasir", corruption="jpeg", corruption_hash="0", severity=1,
        denoise="none", denoise_hash="0", engine="fast", protocols=both, test=test, created="now",
    )  # fmt: skip
    assert kept.same_as(kept.model_copy(update={"protocols": {"half": "2"}, "created": "later"}))
    assert not kept.same_as(kept.model_copy(update={"protocols": {"half": "3"}}))
    assert not kept.same_as(kept.model_copy(update={"protocols": {**both, "mine": "4"}}))
    for field in ("best_sha256", "corruption_hash", "denoise_hash", "engine", "dataset"):
        assert not kept.same_as(kept.model_copy(update={field: "another"})), field
