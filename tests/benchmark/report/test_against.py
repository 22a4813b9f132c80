"""Our numbers beside printed ones: the verdicts, and every reason for which the two do not compare."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BenchError
from benchmark.report.literature.against import against_published, verdict
from benchmark.report.literature.published import PublishedRow, published_files, published_folder, read_published
from benchmark.report.records.set_scores import score_reader
from benchmark.report.sheets.sheet import Sheet
from benchmark.report.tables.build import build_tables
from benchmark.store import io

HEAD = "dataset,model,mDSC,mIoU,paper,protocol,split,pretrained,recipe,n\n"


def _sheets(root: Path, published: list[PublishedRow], **options: Any) -> list[Sheet]:
    records = io.read_records(root)
    tables = build_tables(records, ci=True, read=score_reader(root, "pranet"), **options)
    return against_published(tables, records, published)


def _rows(tmp_path: Path, *lines: str) -> list[PublishedRow]:
    path = tmp_path / "theirs.csv"
    path.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    return read_published(path)


@pytest.fixture
def root(make_results: Callable[..., Path]) -> Path:
    return make_results({"unet": 0.7, "pranet": 0.8}, recipe_name="mine", split={"name": "pranet"})


@pytest.mark.parametrize(
    ("ours", "printed", "interval", "expected"),
    [
        (0.8984, "0.898", (0.85, 0.93), "reproduced"),
        (0.8986, "0.898", (0.85, 0.93), "within interval"),
        (0.8986, "0.90", (0.85, 0.93), "reproduced"),  # fewer digits stand for more numbers
        (0.8000, "0.898", (0.75, 0.85), "not reproduced"),
        (0.8000, "0.850", (0.75, 0.8496), "within interval"),  # 0.850 may stand for 0.8495
        (0.8000, "0.898", None, "no verdict (no interval)"),
    ],
)
def test_verdicts(ours: float, printed: str, interval: tuple[float, float] | None, expected: str) -> None:
    assert verdict(ours, Decimal(printed), interval) == expected


def test_a_comparable_row_has_difference_interval_and_verdict(root: Path, tmp_path: Path) -> None:
    ours = build_tables(io.read_records(root))[0].rows[1].values["mDSC"]
    assert ours is not None
    lines = [f"Kvasir,PraNet,{ours:.3f},0.100,Theirs,pranet,pranet,no,mine,40"]
    (sheet,) = _sheets(root, _rows(tmp_path, *lines))
    first, second = sheet.data
    assert [row[0].text for row in sheet.rows] == ["PraNet", ""]
    assert (first["verdict"], second["verdict"]) == ("reproduced", "not reproduced")
    assert second["difference"] == pytest.approx(second["ours"] - 0.1)
    assert first["low"] < first["ours"] < first["high"]
    assert sheet.stem == "published-theirs-kvasir" and "Protocol pranet (aa11bb22)" in sheet.caption


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ("half,pranet,no,mine,40", "protocol: half there, pranet here"),
        (",pranet,no,mine,40", "protocol: not stated by the paper"),
        ("pranet,paper,no,mine,40", "split: paper there, pranet here"),
        ("pranet,random 7:1:2,no,mine,40", "split: random 7:1:2 there, whose draw is not published"),
        ("pranet,pranet,yes,mine,40", "pretraining: yes there, no here"),
        ("pranet,pranet,no,native,40", "recipe: native there, mine here"),
        ("pranet,pranet,no,mine,100", "data: 100 test images there, 40 here"),
    ],
)
def test_what_differs_is_said_and_nothing_else(root: Path, tmp_path: Path, facts: str, reason: str) -> None:
    (sheet,) = _sheets(root, _rows(tmp_path, f"Kvasir,PraNet,0.8,0.7,Theirs,{facts}"))
    assert {line["verdict"] for line in sheet.data} == {"not comparable"}
    assert {line["differs"] for line in sheet.data} == {reason}
    assert f"a: {reason}" in sheet.notes and sheet.rows[0][-1].text == "not comparable (a)"
    assert sheet.data[0]["difference"] is not None  # shown all the same


def test_synthetic_and_incomplete_data_do_not_compare(make_results: Callable[..., Path], tmp_path: Path) -> None:
    part = {"kvasir": "90 of 900 images"}
    root = make_results({"pranet": 0.8}, recipe_name="mine", split={"name": "pranet"}, partial=part, synthetic=True)
    (sheet,) = _sheets(root, _rows(tmp_path, "Kvasir,PraNet,0.8,0.7,T,pranet,pranet,no,mine,40"))
    assert "training set incomplete here (kvasir 90 of 900 images)" in sheet.data[0]["differs"]
    assert "data: synthetic here" in sheet.data[0]["differs"]


def test_maps_by_the_authors_count_as_trained_in_their_way(make_results: Callable[..., Path], tmp_path: Path) -> None:
    root = make_results({"pranet": 0.8}, seeds=(0,), recipe_name="", split={"name": ""}, origin="maps by their authors")
    published = _rows(tmp_path, "Kvasir,PraNet,0.9,0.7,T,pranet,pranet,yes,native,40")
    (sheet,) = _sheets(root, published)
    assert {line["differs"] for line in sheet.data} == {""}
    assert sheet.rows[0][0].sup == "†"


def test_a_model_that_was_not_run_is_a_visible_blank(root: Path, tmp_path: Path) -> None:
    lines = ["Kvasir,SANet,0.9,0.8,T,pranet,pranet,no,mine,40", "Kvasir,U-Net,0.7,0.6,T,pranet,pranet,no,mine,40"]
    (sheet,) = _sheets(root, _rows(tmp_path, *lines), models=["unet", "sanet"])
    blank = next(row for row, line in zip(sheet.rows, sheet.data, strict=True) if line["model"] == "sanet")
    assert [cell.text for cell in blank[3:6]] == ["", "", ""]
    assert any("not run with seed 0, 1" in note for note in sheet.notes)


def test_names_in_papers_are_understood_and_papers_stay_apart(root: Path) -> None:
    published = [row for file in published_files(published_folder()) for row in read_published(file)]
    sheets = _sheets(root, published)
    assert [sheet.stem for sheet in sheets] == [f"published-{p}-kvasir" for p in ("bsanet", "pranet", "sanet")]
    assert {line["model"] for line in sheets[0].data} == {"unet", "pranet"}
    assert {line["verdict"] for line in sheets[0].data} == {"not comparable"}
    assert len(sheets[0].rows) == 12 and len(sheets[2].rows) == 4


def test_no_number_to_set_beside_is_refused_in_one_line(make_results: Callable[..., Path], tmp_path: Path) -> None:
    root = make_results({"mynet": 0.7}, sets={"phantom": 10})
    with pytest.raises(BenchError, match="no published number") as caught:
        _sheets(root, _rows(tmp_path, "Kvasir,PraNet,0.8,0.7,T,pranet,pranet,no,mine,40"))
    assert "\n" not in str(caught.value)


def test_the_number_of_images_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="row 2, column 'n': 'many' is not a number of images"):
        _rows(tmp_path, "Kvasir,PraNet,0.8,0.7,T,pranet,pranet,no,mine,many")
