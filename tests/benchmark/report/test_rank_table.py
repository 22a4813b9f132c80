"""Average ranks as a table: against counting by hand, and what stays blank."""

from __future__ import annotations

from typing import Any

import pytest
from made_results import changed, with_test

from benchmark.errors import BenchError
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.ranks import rank_sheet

SETS = ("kvasir", "etis", "colondb")


def _records(make_record: Any, scores: dict[str, tuple[float, ...]]) -> list[dict[str, Any]]:
    return [make_record(model, tests=dict(zip(SETS, values, strict=False))) for model, values in scores.items()]


def test_ranks_by_hand_with_shared_places_on_printed_digits(make_record: Any) -> None:
    # places on mDSC: kvasir 3, 1.5, 1.5 (equal in print); etis 1, 2, 3; colondb 3, 2, 1
    scores = {"unet": (0.7, 0.9, 0.5), "pranet": (0.80004, 0.8, 0.6), "bsanet": (0.79996, 0.7, 0.7)}
    sheet = rank_sheet(build_tables(_records(make_record, scores)))
    frame = sheet.frame.set_index("model")
    expected = {"unet": 7 / 3, "pranet": 5.5 / 3, "bsanet": 5.5 / 3}
    for key in ("mDSC_rank", "MAE_rank"):
        assert frame[key].to_dict() == pytest.approx(expected)
    assert [row[1].text for row in sheet.rows] == ["2.33", "1.83", "1.83"]
    assert [row[1].mark for row in sheet.rows] == [None, "best", "best"]
    assert "over 3 test sets (Kvasir, etis, CVC-ColonDB)" in sheet.caption
    assert any("3 test sets are too few for a verdict" in note for note in sheet.notes)
    assert "1.91 apart" in sheet.caption  # Demsar: 2.343 * sqrt(3 * 4 / (6 * 3))


def test_a_model_that_lacks_a_set_is_blank_and_a_set_without_numbers_is_left_out(make_record: Any) -> None:
    records = _records(make_record, {"unet": (0.7, 0.8), "pranet": (0.6,), "bsanet": (0.8, 0.9)})
    records = [changed(record, missing={"colondb": "colondb: not found"}) for record in records]
    sheet = rank_sheet(build_tables(records))
    assert [[cell.text for cell in row[1:2]] for row in sheet.rows] == [["2.00"], [""], ["1.00"]]
    assert "Blank, PraNet: no whole row on etis" in sheet.notes
    assert "Left out, no numbers: CVC-ColonDB" in sheet.notes


def test_maps_of_a_part_are_not_ranked(make_record: Any) -> None:
    theirs = make_record("pranet", tests={"kvasir": 0.9}, n=62, fingerprint="x", origin="maps by their authors")
    theirs = with_test(theirs, "kvasir", of=100)
    records = [make_record("unet", tests={"kvasir": 0.7}), make_record("bsanet"), theirs]
    sheet = rank_sheet(build_tables(records))
    assert [row[1].text for row in sheet.rows] == ["2.00", "", "1.00"]


def test_one_model_cannot_be_ranked(make_record: Any) -> None:
    with pytest.raises(BenchError, match="ranks need two") as caught:
        rank_sheet(build_tables([make_record()]))
    assert "\n" not in str(caught.value)
