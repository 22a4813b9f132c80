"""Intervals and marks of significance in tables: the numbers, the words, and what happens when data are odd."""

from __future__ import annotations

import csv
import io as text_io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats as sps

from benchmark.errors import BenchError
from benchmark.metrics.measures import COLUMNS
from benchmark.report.records.blocks import make_blocks
from benchmark.report.records.frames import load_results
from benchmark.report.records.set_scores import score_reader
from benchmark.report.statistics.comparisons import mean_intervals, paired_comparisons
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.power import power_sheet
from benchmark.report.tables.scores import Table
from benchmark.store import io
from benchmark.store.layout import ResultsLayout

Make = Callable[..., Path]


def _tables(root: Path, **options: Any) -> list[Table]:
    records = io.read_records(root)
    return build_tables(records, read=score_reader(root, "pranet"), **options)


def _long(root: Path) -> pd.DataFrame:
    records = io.read_records(root)
    cells = [(r, io.read_scores(ResultsLayout(root).cell(r.cell).scores)) for r in records]
    return pd.concat([rows.assign(model=r.model, seed=r.seed, cell=r.cell) for r, rows in cells], ignore_index=True)


def test_intervals_are_those_of_the_statistics_over_the_same_rows(make_results: Make) -> None:
    root = make_results(sets={"kvasir": 40, "etis": 30})
    for table in _tables(root, ci=True):
        for measure, column in COLUMNS.items():
            blocks = [b for b in make_blocks(_long(root), column=column) if b.dataset == table.dataset]
            expected = mean_intervals(blocks).set_index("model")
            for i, row in enumerate(table.rows):
                low, high = table.uncertainty.intervals[(i, measure)]
                assert low < (row.values[measure] or 0) < high
                assert (low, high) == pytest.approx(tuple(expected.loc[row.model, ["low", "high"]]))


def test_the_primary_measure_alone_is_tested_with_holm_over_all_tables(make_results: Make) -> None:
    root = make_results(seeds=(0, 1, 2), sets={"kvasir": 40, "etis": 30})
    compared = paired_comparisons(make_blocks(_long(root), column="dice"), reference="bsanet")
    expected = compared.set_index(["dataset", "model"])["p_holm"]
    for table in _tables(root, significance="bsanet"):
        assert table.uncertainty.family == (4, 2)
        for (i, measure), one in table.uncertainty.tested.items():
            if measure == "mDSC":
                assert one.p_holm == pytest.approx(expected.loc[(table.dataset, table.rows[i].model)])
            else:
                assert np.isnan(one.p) and np.isnan(one.p_holm) and one.stars == "" and np.isfinite(one.low)
        assert "Holm's correction over 4 comparisons on 2 test sets" in table.to_markdown()
        assert "mDSC differs from BSANet (ours)'s with p < 0.05, 0.01, 0.001" in table.sheet.caption
        assert "other measures are descriptive" in table.sheet.caption


def test_another_primary_measure(make_results: Make) -> None:
    root = make_results(seeds=(0, 1, 2))
    (table,) = _tables(root, significance="bsanet", primary="MAE")
    assert {m for (_, m), one in table.uncertainty.tested.items() if np.isfinite(one.p)} == {"MAE"}
    assert "MAE differs from" in table.sheet.caption and table.frame["primary"].tolist() == ["MAE"] * 3
    with pytest.raises(BenchError, match="did you mean 'mIoU'"):
        _tables(root, significance="bsanet", primary="mIou")


@pytest.mark.parametrize(("seeds", "said"), [((0,), "one seed"), ((0, 1), "two seeds")])
def test_below_three_seeds_there_are_intervals_but_no_stars(
    make_results: Make, seeds: tuple[int, ...], said: str
) -> None:
    root = make_results({"unet": 0.3, "pranet": 0.82, "bsanet": 0.82}, seeds=seeds)
    (table,) = _tables(root, significance="bsanet", ci=True)
    assert {cell.sup for row in table.sheet.rows for cell in row} == {""}
    assert all(cell.below.startswith("[") for cell in table.sheet.rows[0][1:])
    assert "No difference from BSANet (ours) is tested" in table.sheet.caption and said in table.sheet.caption
    assert "***" not in table.to_markdown().replace("\\", "")
    frame = table.frame
    assert frame["p"].isna().all() and frame["p_holm"].isna().all() and said in frame["not_tested"][0]
    assert frame["mDSC_difference_low"].notna().sum() == 2


def test_stars_stand_at_what_differs_and_nowhere_else(make_results: Make) -> None:
    root = make_results({"unet": 0.70, "pranet": 0.82, "bsanet": 0.82}, seeds=(0, 1, 2))
    (table,) = _tables(root, significance="bsanet", ci=True)
    unet, pranet, bsanet = table.sheet.rows
    assert [cell.sup for cell in unet[1:]] == ["***", "", "", "", "", ""]
    assert {cell.sup for cell in (*pranet[1:], *bsanet[1:])} == {""}
    assert "$^{***}$" in table.to_latex() and r"\*\*\*" in table.to_markdown() and "<sup>***</sup>" in table.to_html()
    assert all(cell.below.startswith("[") for cell in unet[1:])


def test_two_sequences_are_not_estimable_in_any_form(make_results: Make) -> None:
    def two(rows: pd.DataFrame) -> pd.DataFrame:
        frames = [str(n + 1) for n in range(len(rows))]
        return rows.assign(id=frames, group=["clinicdb-s01" if n < 20 else "clinicdb-s02" for n in range(len(rows))])

    root = make_results(seeds=(0, 1, 2), sets={"clinicdb": 40}, change=two)
    (table,) = _tables(root, ci=True, significance="bsanet")
    assert not table.uncertainty.intervals and set(table.uncertainty.blank.values()) == {"2 sequences"}
    for text in (table.to_markdown(), table.to_latex(), table.to_html()):
        assert "not estimable (2 sequences)" in text and "n. e." in text and "1.000]" not in text
    assert {cell.sup for row in table.sheet.rows for cell in row} == {""}
    assert table.frame["not_estimable"].tolist() == ["2 sequences"] * 3
    assert table.frame["p_holm"].isna().all() and table.frame["mDSC_low"].isna().all()


def test_what_is_known_of_groups_stands_where_intervals_are(make_results: Make) -> None:
    root = make_results(sets={"etis": 30, "kvasir": 30})
    for plain, full in zip(_tables(root), _tables(root, ci=True), strict=True):
        said = {"etis": "34 sequences", "kvasir": "share a patient"}[full.dataset]
        assert any(said in note for note in full.notes) and not any(said in note for note in plain.notes)


def test_earlier_records_of_colondb_take_its_scenes(make_results: Make) -> None:
    def frames(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(id=[str(n) for n in range(150, 210)], group=[f"colondb-{n}" for n in range(150, 210)])

    root = make_results(seeds=(0, 1, 2), sets={"colondb": 60}, change=frames)
    (table,) = _tables(root, ci=True)
    assert set(table.uncertainty.blank.values()) == {"3 scenes"}
    assert set(load_results(root, per_image=True)["group"]) == {"colondb-s06", "colondb-s07", "colondb-s08"}


def test_the_split_of_the_variance_stands_beside_the_intervals(make_results: Make) -> None:
    (table,) = _tables(make_results(seeds=(0, 1, 2)), ci=True)
    shares = table.frame[["share_image", "share_seed", "share_rest"]]
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert (shares["share_image"] > 0.5).all()


def test_wilcoxon_beside_the_t_test(make_results: Make) -> None:
    root = make_results(seeds=(0, 1, 2))
    (table,) = _tables(root, significance="bsanet", signed_rank=True)
    wide = _long(root).groupby(["model", "group"])["dice"].mean().unstack("model")
    expected = [sps.wilcoxon(wide[model] - wide["bsanet"]).pvalue for model in ("unet", "pranet")]
    assert table.frame["p_wilcoxon"][:2].tolist() == pytest.approx(expected, abs=1e-6)
    assert "p_wilcoxon" not in _tables(root, significance="bsanet")[0].frame


def test_csv_has_the_extra_columns_only_when_asked(make_results: Make) -> None:
    root = make_results(seeds=(0, 1, 2))
    (plain,), (full,) = _tables(root), _tables(root, ci=True, significance="pranet")
    assert not [c for c in plain.frame.columns if c.endswith(("_low", "p_holm"))]
    rows = list(csv.DictReader(text_io.StringIO(full.to_csv())))
    assert rows[1]["model"] == "pranet" and rows[1]["p_holm"] == rows[1]["reference"] == ""
    assert float(rows[0]["mDSC_difference"]) == pytest.approx(-0.1, abs=0.02) and float(rows[0]["p_holm"]) < 0.001
    assert float(rows[0]["mDSC_low"]) < float(rows[0]["mDSC"]) < float(rows[0]["mDSC_high"])


def test_power_says_what_could_have_been_seen(make_results: Make) -> None:
    root = make_results(seeds=(0, 1, 2), sets={"kvasir": 40, "etis": 30})
    sheet = power_sheet(_tables(root, significance="bsanet"))
    frame = sheet.frame.set_index("dataset")
    assert frame["family"].tolist() == [4, 4] and "80 % power" in sheet.caption
    assert frame.loc["kvasir", "detectable"] == pytest.approx(frame.loc["kvasir", "detectable_3_seeds"])
    assert (frame["detectable_10_seeds"] < frame["detectable_3_seeds"]).all()
    two = power_sheet(_tables(root, significance="bsanet", seeds=[0, 1]))
    assert two.frame["detectable"].isna().all() and two.frame["detectable_5_seeds"].notna().all()
    assert any("two seeds" in note for note in two.notes)


def test_the_reference_is_bsanet_unless_named(make_results: Make) -> None:
    root = make_results()
    (table,) = _tables(root, significance="")
    assert {one.reference for one in table.uncertainty.tested.values()} == {"BSANet (ours)"}
    with pytest.raises(BenchError, match="did you mean 'pranet'"):
        _tables(root, significance="prane")
    with pytest.raises(BenchError, match="--significance unet"):
        _tables(root, significance="", models=["unet", "pranet"])


def test_variants_are_compared_with_their_own_full_model(make_results: Make) -> None:
    make_results({"bsanet": 0.8}, seeds=(0, 1, 2))
    for seed in (0, 1, 2):
        cell = f"bsanet-no-isam/quick-1/seed{seed}"
        root = make_results({"bsanet": 0.7}, seeds=(seed,), ablation=["isam"], cell=cell)
    (table,) = _tables(root, significance="", kind="ablation")
    assert {i for i, _ in table.uncertainty.tested} == {1}
    assert [cell.sup for cell in table.sheet.rows[1][1:]] == ["***", "", "", "", "", ""]
    long = _long(root)
    variants = long["cell"].str.contains("-no-").map({True: "pranet", False: "unet"})
    block = replace(make_blocks(long.assign(model=variants), column="dice")[0], paired=True)
    expected = paired_comparisons([block], reference="unet").iloc[0]
    assert table.uncertainty.tested[(1, "mDSC")].p == pytest.approx(expected["p"])


def test_maps_by_others_are_compared_where_the_images_are_the_same(make_results: Make) -> None:
    make_results({"bsanet": 0.8}, seeds=(0, 1))
    theirs = {"recipe_name": "", "recipe_hash": "", "origin": "maps by their authors"}
    make_results({"pranet": 0.7}, seeds=(0,), cell="pranet/maps-1/seed0", **theirs)
    fewer = lambda rows: rows.iloc[:-2]  # noqa: E731
    root = make_results({"unet": 0.7}, seeds=(0,), cell="unet/maps-1/seed0", change=fewer, **theirs)
    (table,) = _tables(root, significance="", ci=True)
    assert [row.model for row in table.rows] == ["unet", "pranet", "bsanet"]
    assert {i for i, _ in table.uncertainty.tested} == {1}
    assert "U-Net: not compared with BSANet (ours), which was scored on other images" in table.notes
    assert any(note.startswith("Two seeds: what seeds add") for note in table.notes)


def test_a_number_that_an_image_lacks_is_named_and_the_rest_stays(make_results: Make) -> None:
    def broken(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(sm=np.where(rows.index == 3, np.nan, rows["sm"]))

    make_results({"unet": 0.7}, change=broken)
    root = make_results({"bsanet": 0.8})
    path = next((root / "runs" / "unet").rglob("run.json"))
    text = json.loads(path.read_text(encoding="utf-8"))
    del text["tests"]["kvasir"]["scores"]["pranet"]["S_alpha"]
    path.write_text(json.dumps(text), encoding="utf-8")
    (table,) = _tables(root, ci=True, significance="")
    assert table.rows[0].values["S_alpha"] is None
    assert "U-Net: no interval for S_alpha: an image has no number" in table.notes
    assert (0, "S_alpha") not in table.uncertainty.tested and (0, "mDSC") in table.uncertainty.tested
    assert "nan" not in table.to_markdown() + table.to_latex() + table.to_csv()


@pytest.mark.parametrize("means", [{"bsanet": 0.8}, {"bsanet": 0.8, "unet": 0.8}])
def test_a_single_image_gives_a_table_without_intervals_and_says_why(
    make_results: Make, means: dict[str, float]
) -> None:
    (table,) = _tables(make_results(means, seeds=(0,), sets={"kvasir": 1}), ci=True, significance="")
    assert not table.uncertainty.intervals and all(np.isnan(one.p) for one in table.uncertainty.tested.values())
    assert "interval not estimable (1 image)" in table.sheet.caption and "95 %" not in table.sheet.caption
    assert "***" not in table.to_markdown()


def test_rows_that_do_not_fit_their_record_are_refused(make_results: Make) -> None:
    root = make_results({"bsanet": 0.8})
    path = next(root.rglob("scores.parquet"))
    rows = pd.read_parquet(path)
    rows.iloc[:-1].to_parquet(path)
    with pytest.raises(BenchError, match=r"39 images.*overwrite"):
        _tables(root, ci=True)
    rows.drop(columns="wfm").to_parquet(path)
    with pytest.raises(BenchError, match=r"scores.parquet: unreadable.*wfm") as caught:
        _tables(root, ci=True)
    assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(BenchError, match=r"scores.parquet: unreadable"):
        _tables(root, ci=True)
