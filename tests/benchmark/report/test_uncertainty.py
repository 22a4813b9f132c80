"""Intervals and marks of significance in tables: the numbers, the words, and what happens when data are odd."""

from __future__ import annotations

import csv
import io as text_io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats as sps

from benchmark.errors import BenchError
from benchmark.metrics.measures import COLUMNS
from benchmark.report.records.blocks import make_blocks
from benchmark.report.statistics.resampling import holm, mean_intervals, paired_comparisons
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.scores import Table
from benchmark.report.tables.uncertainty import score_reader
from benchmark.store import io
from benchmark.store.layout import ResultsLayout

Make = Callable[..., Path]


def _tables(root: Path, **options: Any) -> list[Table]:
    records = io.read_records(root)
    return build_tables(records, read=score_reader(root, "pranet"), **options)


def _long(root: Path) -> pd.DataFrame:
    records = io.read_records(root)
    cells = [(r, io.read_scores(ResultsLayout(root).cell(r.cell).scores)) for r in records]
    return pd.concat([rows.assign(model=r.model, seed=r.seed) for r, rows in cells], ignore_index=True)


def test_intervals_are_those_of_the_statistics_over_the_same_rows(make_results: Make) -> None:
    root = make_results(sets={"kvasir": 40, "etis": 30})
    for table in _tables(root, ci=True):
        for measure, column in COLUMNS.items():
            blocks = [b for b in make_blocks(_long(root), column=column) if b.dataset == table.dataset]
            expected = mean_intervals(blocks).set_index("model")
            for i, row in enumerate(table.rows):
                low, high = table.uncertainty.intervals[(i, measure)]
                assert low < (row.values[measure] or 0) < high
                # groups are drawn alike; the seeds' draws depend on the row's name
                assert (low, high) == pytest.approx(tuple(expected.loc[row.model, ["low", "high"]]), abs=2e-3)


def test_one_seed_is_scipys_paired_test_with_holm_over_the_printed_table(make_results: Make) -> None:
    def alone(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(group=rows["id"])

    root = make_results(seeds=(0,), change=alone)
    (table,) = _tables(root, significance="bsanet")
    long = _long(root)
    wide = {c: long.pivot(index="id", columns="model", values=c) for c in COLUMNS.values()}
    keys = [(model, m) for model in ("unet", "pranet") for m in COLUMNS]
    p = [sps.ttest_rel(wide[COLUMNS[m]][model], wide[COLUMNS[m]]["bsanet"]).pvalue for model, m in keys]
    expected = dict(zip(keys, holm(p), strict=True))
    found = {(table.rows[i].model, m): one.p_holm for (i, m), one in table.uncertainty.tested.items()}
    assert found == pytest.approx(expected)
    assert table.uncertainty.num_tested == 12
    assert "Holm's correction over the 12 comparisons of this table" in table.to_markdown()
    assert "differs from BSANet (ours) with p < 0.05, 0.01, 0.001" in table.sheet.caption


def test_clusters_and_seeds_enter_the_test(make_results: Make) -> None:
    root = make_results(seeds=(0, 1, 2))
    (table,) = _tables(root, significance="bsanet")
    compared = paired_comparisons(make_blocks(_long(root), column="dice"), reference="bsanet").set_index("model")
    for i, row in enumerate(table.rows):
        if row.model != "bsanet":
            one = table.uncertainty.tested[(i, "mDSC")]
            assert one.found.p == pytest.approx(compared.loc[row.model, "p"])
            assert one.found.difference == pytest.approx(compared.loc[row.model, "difference"])
    assert "and over seeds" in table.sheet.caption


def test_stars_stand_at_what_differs_and_nowhere_else(make_results: Make) -> None:
    root = make_results({"unet": 0.70, "pranet": 0.82, "bsanet": 0.82}, seeds=(0,))
    (table,) = _tables(root, significance="bsanet", ci=True)
    unet, pranet, bsanet = table.sheet.rows
    assert {cell.sup for cell in unet[1:]} == {"***"}
    assert {cell.sup for cell in (*pranet[1:], *bsanet[1:])} == {""}
    assert "$^{***}$" in table.to_latex() and r"\*\*\*" in table.to_markdown() and "<sup>***</sup>" in table.to_html()
    assert all(cell.below.startswith("[") for cell in unet[1:])


def test_csv_has_the_extra_columns_only_when_asked(make_results: Make) -> None:
    root = make_results()
    (plain,), (full,) = _tables(root), _tables(root, ci=True, significance="pranet")
    assert not [c for c in plain.frame.columns if c.endswith(("_low", "_p_holm"))]
    rows = list(csv.DictReader(text_io.StringIO(full.to_csv())))
    assert rows[1]["model"] == "pranet" and rows[1]["mDSC_p_holm"] == rows[1]["reference"] == ""
    assert float(rows[0]["mDSC_difference"]) == pytest.approx(-0.1, abs=0.02)
    assert float(rows[0]["mDSC_low"]) < float(rows[0]["mDSC"]) < float(rows[0]["mDSC_high"])


def test_the_reference_is_bsanet_unless_named(make_results: Make) -> None:
    root = make_results()
    (table,) = _tables(root, significance="")
    assert {one.reference for one in table.uncertainty.tested.values()} == {"BSANet (ours)"}
    with pytest.raises(BenchError, match="did you mean 'pranet'"):
        _tables(root, significance="prane")
    with pytest.raises(BenchError, match="--significance unet"):
        _tables(root, significance="", models=["unet", "pranet"])


def test_variants_are_compared_with_their_own_full_model(make_results: Make) -> None:
    make_results({"bsanet": 0.8}, seeds=(0,))
    root = make_results({"bsanet": 0.7}, seeds=(0,), ablation=["isam"], cell="bsanet-no-isam/quick-1/seed0")
    (table,) = _tables(root, significance="", kind="ablation")
    assert {i for i, _ in table.uncertainty.tested} == {1}
    assert {cell.sup for cell in table.sheet.rows[1][1:]} == {"***"}


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
    assert "One seed: how much another training would differ is not in the interval" in table.notes


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
    assert not table.uncertainty.intervals and not table.uncertainty.tested
    assert any("no interval can be given" in note for note in table.notes)
    assert "***" not in table.to_markdown() and "95 %" not in table.sheet.caption


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
