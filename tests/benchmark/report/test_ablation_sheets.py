"""The table of an ablation: it says what every table says, and fits the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_results import write_results

from benchmark.report.sheets.latex import _LINE_PT, _SIZES, _panels, _width
from benchmark.report.tables.ablations import ablation_tables, write_ablation
from benchmark.store import io
from benchmark.store.layout import ResultsLayout


def test_caption_width_and_files(tmp_path: Path) -> None:
    facts = {"recipe": {"epochs": 3, "pretrained": False}, "environment": {"commit": "c0ffee00"}}
    write_results(tmp_path, {"bsanet": 0.8}, **facts)
    for drop in (["isam"], ["fsam"], ["isam", "fsam", "arm", "rendering"]):
        cell = "bsanet-" + "-".join(drop)
        for seed in (0, 1):
            write_results(
                tmp_path, {"bsanet": 0.7}, seeds=(seed,), ablation=drop, cell=f"{cell}/quick-1/seed{seed}", **facts
            )
    records = io.read_records(tmp_path)
    rows = [io.read_scores(ResultsLayout(tmp_path).cell(r.cell).scores) for r in records]
    costs = {tuple(r.ablation): {"num_params": 1e7, "gmacs": 12.5, "latency_ms": 31.0} for r in records}
    (sheet,), _ = ablation_tables(records, rows, costs)
    for part in ("Recipe quick[epochs=3", "Weights: random initialisation", "training set", "Commit c0ffee00"):
        assert part in sheet.caption
    panels = _panels(sheet, _SIZES[-1], True)
    assert all(_width(panel, _SIZES[-1], True) <= _LINE_PT for panel in panels) and len(panels) > 1
    assert [c.plain for p in panels for c in p.columns[1:]] == [c.plain for c in sheet.columns[1:]]
    first, *others = sheet.to_latex().split(r"\begin{tabular}")[:-1]
    assert len(others) == len(panels) - 1 and r"\par\medskip" not in first
    assert all(text.count(r"\toprule") == text.count(r"\par\medskip") == 1 for text in others), "room between panels"
    names = {path.name for path in write_ablation([sheet], tmp_path / "t", "bsanet")}
    assert names == {"ablation-bsanet-kvasir.md", "ablation-bsanet-kvasir.tex", "ablation-bsanet.csv"}


def test_a_part_switched_off_stands_below_the_variant_trained_without_it(tmp_path: Path) -> None:
    write_results(tmp_path, {"bsanet": 0.8})
    for seed in (0, 1):
        cell = f"bsanet-no-isam/quick-1/seed{seed}"
        write_results(tmp_path, {"bsanet": 0.7}, seeds=(seed,), ablation=["isam"], cell=cell)
    records = sorted(io.read_records(tmp_path), key=lambda r: len(r.ablation))
    rows = [io.read_scores(ResultsLayout(tmp_path).cell(r.cell).scores) for r in records]
    full = [(r.seed, f) for r, f in zip(records, rows, strict=True) if not r.ablation]
    less = [(("isam",), seed, frame.assign(dice=frame["dice"] - 0.125)) for seed, frame in full]
    plain, _ = ablation_tables(records, rows, {})
    (sheet,), _ = ablation_tables(records, rows, {}, switched=less)
    assert [(row["how"], row["drop"]) for row in sheet.data] == [
        *(("full", "none"), ("trained without", "isam"), ("switched off", "isam"))
    ]
    off = sheet.data[2]
    assert off["variant"] == "BSANet, ISAM off"
    assert off["mDSC_difference"] == pytest.approx(-0.125) and off["mIoU_difference"] == pytest.approx(0)
    assert off["p_holm"] != off["p_holm"], "nothing was trained, so nothing is tested"
    assert repr(plain[0].data) == repr(sheet.data[:2]), "the figures of what was trained do not move"
    assert "with the part switched off" in sheet.caption and "switched off" not in plain[0].caption


def test_stars_stand_at_the_measure_that_is_tested_alone(tmp_path: Path) -> None:
    write_results(tmp_path, {"bsanet": 0.8}, seeds=(0, 1, 2))
    for seed in (0, 1, 2):
        cell = f"bsanet-no-isam/quick-1/seed{seed}"
        write_results(tmp_path, {"bsanet": 0.6}, seeds=(seed,), ablation=["isam"], cell=cell)
    records = sorted(io.read_records(tmp_path), key=lambda r: len(r.ablation))
    rows = [io.read_scores(ResultsLayout(tmp_path).cell(r.cell).scores) for r in records]
    (sheet,), _ = ablation_tables(records, rows, {})
    assert sheet.data[1]["p_holm"] < 0.001
    assert [cell.sup for cell in sheet.rows[1][1:7]] == ["***", "", "", "", "", ""] and not sheet.rows[0][1].sup
