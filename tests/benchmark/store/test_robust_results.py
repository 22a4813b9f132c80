"""Rows of a result on corrupted images are those that its record counts."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmark.errors import BenchError
from benchmark.store.robust_results import RobustResult, read_result, read_rows, write_result
from benchmark.store.schema import TestResult

RESULT = RobustResult(
    cell="unet/q-1/seed0", best_sha256="0", dataset="kvasir", corruption="jpeg", corruption_hash="0", severity=1,
    denoise="none", denoise_hash="0", engine="fast", protocols={}, created="now",
    test=TestResult(title="Kvasir", n=2, fingerprint="0", scores={"pranet": {"mDSC": 0.5}}),
)  # fmt: skip


def rows_of(*ids: str) -> pd.DataFrame:
    return pd.DataFrame({"protocol": "pranet", "id": ids, "group": ids, "dice": 0.5, "dataset": "kvasir"})


def test_rows_that_the_record_does_not_count_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "jpeg-1-none.json"
    write_result(path, RESULT, rows_of("b", "a"))
    assert list(read_rows(path, "pranet").index) == ["a", "b"]
    for wrong in (rows_of("a"), rows_of("a", "b", "c"), rows_of("a", "a")):
        write_result(path, RESULT, wrong)
        with pytest.raises(BenchError, match=f"{len(wrong)} rows under pranet, its record says 2"):
            read_rows(path, "pranet")


def test_a_result_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jpeg-1-none.json"
    write_result(path, RESULT, rows_of("b", "a"))
    written = json.loads(path.read_text())
    assert written["schema"] == 1 and read_result(path) == RESULT
    path.write_text(json.dumps({**written, "schema": 2}))
    with pytest.raises(BenchError, match=r"not a readable result \(schema: input should be 1\)"):
        read_result(path)


def test_a_result_is_the_same_only_if_what_was_measured_and_how_it_was_scored_are() -> None:
    both = {"pranet": "1", "half": "2"}
    kept = RESULT.model_copy(update={"protocols": both})
    assert kept.same_as(kept.model_copy(update={"protocols": {"half": "2"}, "created": "later"}))
    assert not kept.same_as(kept.model_copy(update={"protocols": {"half": "3"}}))
    assert not kept.same_as(kept.model_copy(update={"protocols": {**both, "mine": "4"}}))
    for field in ("best_sha256", "corruption_hash", "denoise_hash", "engine", "dataset"):
        assert not kept.same_as(kept.model_copy(update={field: "another"})), field
