"""Means over seen and unseen test sets, against sums by hand."""

from __future__ import annotations

from typing import Any

import pytest
from made_results import make_record

from benchmark.errors import BenchError
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.seen import seen_sheet
from benchmark.store.schema import Record


def lines(records: list[Record], **options: Any) -> dict[tuple[str, str], dict[str, Any]]:
    sheet = seen_sheet(build_tables(records, **options), records)
    return {(str(line["part"]), str(line["model"])): dict(line) for line in sheet.data}


SCORES = {"kvasir": 0.9, "clinicdb": 0.8, "colondb": 0.6, "etis": 0.5}
TRAINED = {"train_sets": ["clinicdb", "kvasir"]}


def test_sets_are_parted_by_what_trains() -> None:
    records = [make_record(seed=s, tests={k: v + s / 10 for k, v in SCORES.items()}, **TRAINED) for s in (0, 1)]
    found = lines(records)
    assert {part: line["sets"] for (part, _), line in found.items()} == {
        "all": "kvasir etis colondb clinicdb",
        "seen": "kvasir clinicdb",
        "unseen": "etis colondb",
    }
    means = {part: line["mDSC"] for (part, _), line in found.items()}
    assert means == pytest.approx({"all": 0.75, "seen": 0.9, "unseen": 0.6})
    assert found["seen", "bsanet"]["mDSC_std"] == pytest.approx(0.1 / 2**0.5)
    sheet = seen_sheet(build_tables(records), records)
    assert [(row[0].text, row[2].text) for row in sheet.rows] == [
        (part.capitalize(), f"{means[part]:.3f}") for part in ("all", "seen", "unseen")
    ]
    text = sheet.to_markdown()
    assert "come from the same dataset: Kvasir, clinicdb" in text.replace("\\", "")


def test_a_set_made_of_others_is_seen_where_they_train() -> None:
    found = lines([make_record(tests={"endoscene": 0.7, "etis": 0.5}, **TRAINED)])
    assert found["seen", "bsanet"]["sets"] == "endoscene" and found["unseen", "bsanet"]["sets"] == "etis"


def test_a_row_without_a_set_has_no_mean_over_it() -> None:
    part = {key: SCORES[key] for key in ("kvasir", "clinicdb", "etis")}
    found = lines([make_record(tests=SCORES, **TRAINED), make_record("unet", tests=part, **TRAINED)])
    assert found["seen", "unet"]["mDSC"] == pytest.approx(0.85)
    assert found["unseen", "unet"]["mDSC"] is None and found["all", "unet"]["mDSC"] is None
    assert found["unseen", "bsanet"]["mDSC"] == pytest.approx(0.55)


def test_no_unseen_set_is_a_blank() -> None:
    found = lines([make_record(tests={"kvasir": 0.9, "clinicdb": 0.8}, **TRAINED)])
    assert found["unseen", "bsanet"]["mDSC"] is None and found["unseen", "bsanet"]["note"] == "no such test set"


def test_what_trains_must_be_known() -> None:
    with pytest.raises(BenchError, match="does not say which datasets train"):
        lines([make_record(tests=SCORES)])
    old = [make_record(tests=SCORES, split={"name": "pranet"})]
    assert lines(old)["seen", "bsanet"]["mDSC"] == pytest.approx(0.85)
    with pytest.raises(BenchError, match="nothing here was trained"):
        lines([make_record(tests=SCORES, origin="maps by their authors")])


def test_rows_without_a_mean_are_named_below() -> None:
    records = [make_record(tests={"kvasir": 0.9, "clinicdb": 0.8}, **TRAINED)]
    notes = " ".join(seen_sheet(build_tables(records), records).notes)
    assert "Blank under unseen, BSANet" in notes and "Blank under seen" not in notes
