"""Measures on request from the maps that cells keep: lesions, calibration, outlines, precision."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import Bench
from PIL import Image
from scipy.ndimage import label

from benchmark.data.listing.datasets import list_dataset
from benchmark.metrics import score

SET = ("--datasets", "phantom-kvasir")


def test_measures_on_request_come_from_the_kept_maps(
    bench: Bench, tiny: Bench, tmp_path: Path, shared_cache: Path
) -> None:
    tiny("--set", "max_test_images=6")
    (cell,) = (path.parent for path in (tmp_path / "results" / "runs").rglob("run.json"))
    before = (cell / "run.json").read_bytes()
    maps = {path.stem: np.asarray(Image.open(path)) for path in (cell / "maps" / "phantom-kvasir").glob("*.png")}
    items = [item for item in list_dataset("phantom-kvasir", None, cache_dir=shared_cache) if item.id in maps]
    masks = {item.id: np.asarray(Image.open(item.mask_path).convert("L")) > 127 for item in items}

    (lesions,) = json.loads(bench("tables", "--lesions", "--json", *SET).stdout)
    eight = np.ones((3, 3))
    assert lesions["num_lesions"] == sum(label(mask, eight)[1] for mask in masks.values())
    assert lesions["n"] == 6 and lesions["image_fpr"] is None and lesions["model_title"] == "tiny_net"

    (calibration,) = json.loads(bench("tables", "--calibration", "--json", *SET).stdout)
    error = np.concatenate([(maps[i] / 255 - masks[i]).ravel() for i in masks])
    assert calibration["brier"] == pytest.approx((error**2).mean(), abs=1e-12)
    assert 0 <= calibration["ece_band"] <= 1

    for protocol in ("pranet", "half"):
        (outlines,) = json.loads(bench("tables", "--boundary", "--json", "--protocol", protocol, *SET).stdout)
        scored = [score(maps[i], masks[i], protocol=protocol, boundary=True) for i in masks]
        assert outlines["hd95"] == pytest.approx(np.mean([one.hd95 for one in scored]))
        assert outlines["surface_dice"] == pytest.approx(np.mean([one.surface_dice for one in scored]))

    (half,) = json.loads(bench("tables", "--precision", "--json", "--protocol", "half", *SET).stdout)
    rows = pd.read_parquet(cell / "scores.parquet")
    rows = rows[(rows["protocol"] == "half") & (rows["dataset"] == "phantom-kvasir")]
    f2 = [5 * p * r / (4 * p + r) if p + r else 0 for p, r in zip(rows["precision"], rows["recall"], strict=True)]
    assert half["f2_half"] == pytest.approx(np.mean(f2)) and half["recall_half"] == pytest.approx(rows["recall"].mean())
    strata = json.loads(bench("tables", "--precision", "--by", "size", "--json", "--protocol", "half", *SET).stdout)
    assert {line["stratum"] for line in strata} == {*rows["size_bin"], "all"}

    bench("tables", "--lesions")
    (kept,) = (cell / "metrics").glob("lesions-*.parquet")
    values = pd.read_parquet(kept)
    assert values["dataset"].nunique() == 4 and values.index.equals(pd.RangeIndex(len(values))), "one line per image"

    assert (cell / "run.json").read_bytes() == before, "no record is changed"
    folder = tmp_path / "results" / "tables"
    assert (folder / "lesions-phantom-kvasir.md").is_file() and (folder / "precision-size-phantom-kvasir.md").is_file()

    means = json.loads(bench("tables", "--means", "--json").stdout)
    means = {line["part"]: line for line in means if "part" in line}
    assert means["unseen"]["sets"] == "phantom-etis" and "phantom-kvasir" in means["seen"]["sets"].split()
    tests = json.loads(before)["tests"]
    assert means["unseen"]["mDSC"] == pytest.approx(tests["phantom-etis"]["scores"]["pranet"]["mDSC"])
    assert means["all"]["MAE"] == pytest.approx(np.mean([one["scores"]["pranet"]["MAE"] for one in tests.values()]))

    bench("export", "--out", "copy", "--protocols", "pranet")
    copied = json.loads(bench("tables", "--results", "copy", "--lesions", "--json", *SET).stdout)
    assert copied == [lesions], "an exported copy holds the values, and no map"

    stamps = {path: path.stat().st_mtime_ns for path in (cell / "metrics").iterdir()}
    for path in (cell / "maps").rglob("*.png"):
        path.unlink()
    assert json.loads(bench("tables", "--lesions", "--json", *SET).stdout) == [lesions], "kept values need no map"
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    text = bench("tables", "--lesions", "--overlap", "0.25", *SET).stdout
    assert "Blank, tiny_net:" in text.replace("\\", "")
    assert "ignored: --overlap" in bench("tables", "--precision", "--overlap", "0.25", *SET).stderr
