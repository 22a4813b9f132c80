"""Strata, miss rate and worst images, against the per-image rows they are made of."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.errors import BenchError
from benchmark.report.sheets.files import write_tables
from benchmark.report.tables.image_rows import ImageRows, image_rows
from benchmark.report.tables.strata import strata_tables
from benchmark.report.tables.worst import worst_lists

N = 12


def rows_of(seed: int) -> pd.DataFrame:
    """Twelve images under two protocols: three sizes, a video of four frames, one image missed by some seeds."""
    rng = np.random.default_rng(seed)
    images = pd.DataFrame(
        {
            "dataset": "kvasir",
            "id": [f"k{i}" for i in range(N)],
            "group": ["video-1" if i < 4 else f"k{i}" for i in range(N)],
            "height_px": 50,
            "width_px": 60,
            "mask_px": 10,
            "area_rel": np.linspace(0.01, 0.3, N),
            "size_bin": ["large" if i % 3 == 0 else "small" if i % 3 == 1 else "medium" for i in range(N)],
            "num_polyps": [10 if i == 5 else 1 + i % 2 for i in range(N)],
            "touches_border": [i % 2 == 0 for i in range(N)],
        }
    )
    parts = []
    for protocol in ("pranet", "half"):
        scores = {key: rng.random(N) for key in ("dice", "iou", "sm", "wfm", "em_max", "mae", "dice_half", "iou_half")}
        part = images.assign(protocol=protocol, **scores)
        part.loc[part["id"] == "k3", "dice"] = 0.05 if seed == 0 else 0.9
        part.loc[part["id"] == "k7", "dice"] = 0.0999
        part.loc[part["id"] == "k8", "dice"] = 0.1  # not below
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def folder(tmp_path: Path, make_record: Callable) -> tuple[Path, list, pd.DataFrame]:
    """A results folder with two seeds of one model, its records, and the rows under `pranet`."""
    records, frames = [], []
    for seed in (0, 1):
        record = make_record("bsanet", seed=seed, n=N)
        rows = rows_of(seed)
        path = tmp_path / "runs" / record.cell / "scores.parquet"
        path.parent.mkdir(parents=True)
        rows.to_parquet(path)
        records.append(record)
        frames.append(rows)
    both = pd.concat(frames)
    return tmp_path, records, both[both["protocol"] == "pranet"]


def images_of(folder: tuple[Path, list, pd.DataFrame], **chosen: object) -> list[ImageRows]:
    return list(image_rows(folder[1], folder[0], **chosen))  # type: ignore[arg-type]


@pytest.mark.parametrize(("by", "column"), [("size", "size_bin"), ("polyps", "num_polyps")])
def test_a_stratum_is_the_mean_over_its_images_and_seeds(folder, by: str, column: str) -> None:
    rows = folder[2]
    (table,) = strata_tables(images_of(folder), by)
    names = [line["stratum"] for line in table.data]
    assert names == (["small", "medium", "large", "all"] if by == "size" else ["1", "2", "10", "all"])
    for line in table.data:
        part = rows if line["stratum"] == "all" else rows[rows[column].astype(str) == line["stratum"]]
        assert line["n"] == part["id"].nunique()
        for key, name in {"mDSC": "dice", "mIoU": "iou", "E_phi_max": "em_max", "MAE": "mae", "S_alpha": "sm"}.items():
            assert line[key] == pytest.approx(part[name].mean(), abs=1e-12), key
        assert line["miss_rate"] == pytest.approx((part["dice"] < 0.1).mean(), abs=1e-12)
    assert table.data[-1]["miss_rate"] > 0.1  # k7 in both seeds, k3 in one


def test_groups_of_one_image_are_put_together(folder) -> None:
    (table,) = strata_tables(images_of(folder), "group")
    assert [(line["stratum"], line["n"]) for line in table.data] == [
        ("video-1", 4),
        ("single images", N - 4),
        ("all", N),
    ]
    (table,) = strata_tables(images_of(folder), "border")
    assert [(line["stratum"], line["n"]) for line in table.data] == [("inside", 6), ("touches", 6), ("all", 12)]


def test_worst_images_first_by_their_mean_over_seeds(folder) -> None:
    (listing,) = worst_lists(images_of(folder), 3)
    means = folder[2].groupby("id")["dice"].mean().sort_values()
    assert [row["id"] for row in listing.data] == list(means.index[:3])
    assert [row["dice"] for row in listing.data] == pytest.approx(list(means[:3]))
    assert [row["rank"] for row in listing.data] == [1, 2, 3]
    (whole,) = worst_lists(images_of(folder), 99)
    assert len(whole.data) == N
    assert next(row for row in whole.data if row["id"] == "k3")["missed"] == 0.5


def test_captions_say_what_was_measured_and_how(folder) -> None:
    (table,) = strata_tables(images_of(folder), "size")
    text = table.to_markdown()
    for words in ("by polyp size on Kvasir", "Protocol pranet", "Seeds 0, 1", "small below 5%", "Dice below 0.1"):
        assert words in text, words
    (listing,) = worst_lists(images_of(folder), 2)
    assert listing.caption.startswith("The 2 images of least Dice on Kvasir")


def test_another_protocol_seed_and_model(folder, make_record: Callable) -> None:
    rows = rows_of(1)
    for record in folder[1]:
        record.protocols["half"] = "bb"
        record.tests["kvasir"].scores["half"] = record.tests["kvasir"].scores["pranet"]
    (one,) = images_of(folder, protocol="half", seeds=[1])
    expected = rows[rows["protocol"] == "half"].set_index("id")["dice"]
    assert one.images is not None and one.images["dice"].to_dict() == pytest.approx(expected.to_dict())
    blank, full = images_of(folder, models=["unet", "bsanet"])
    assert blank.images is None and full.images is not None
    (table,) = strata_tables([blank, full], "size")
    assert table.data[-2]["n"] is None and "not run" in table.data[-2]["note"]
    assert "| all | U-Net |  |" in table.to_markdown()


def test_lost_rows_are_refused(folder) -> None:
    path = next(folder[0].rglob("scores.parquet"))
    rows = pd.read_parquet(path)
    rows.iloc[1:].to_parquet(path)
    with pytest.raises(BenchError, match=r"scores\.parquet: 11 rows .* says 12; run the cell again"):
        images_of(folder)
    path.unlink()
    with pytest.raises(BenchError, match="run the cell again"):
        images_of(folder)


def test_odd_wishes_are_answered(folder) -> None:
    with pytest.raises(BenchError, match="did you mean 'size'"):
        strata_tables([], "sizes")
    with pytest.raises(BenchError, match="from 1 on"):
        worst_lists([], 0)
    with pytest.raises(BenchError, match="format"):
        write_tables([], folder[0], ["htlm"])


def test_csv_has_every_column_and_six_decimals(folder) -> None:
    (table,) = strata_tables(images_of(folder), "size")
    lines = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert list(lines[0])[:6] == ["dataset", "by", "stratum", "model", "model_title", "n"]
    assert len(lines[0]["mDSC"].partition(".")[2]) == 6


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(folder, tmp_path: Path) -> None:
    images = images_of(folder)
    body = "".join(one.to_latex() for one in (*strata_tables(images, "size"), *worst_lists(images, 2)))
    head = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
    (tmp_path / "t.tex").write_text(head + body + "\\end{document}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout[-2000:]
