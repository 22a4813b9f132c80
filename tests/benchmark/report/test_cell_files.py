"""Histories and curves of many cells are those of each file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.errors import BenchError
from benchmark.report.figures.cell_files import _drawn, read_histories
from benchmark.report.figures.evidence import Evidence
from benchmark.report.figures.plots import mean_curves

TEXTS = (
    "epoch,train_loss,val_mdsc\n1,1.285247717,0.3\n2,1,0.3550061926\n",
    "epoch,lr,train_loss,val_mdsc\n1,0.1,2.5,0.4\n",
    "epoch,train_loss,val_mdsc\n",
    "epoch,train_loss,val_mdsc\n\n1,0.5,0.1\n2,,0.2\n3,0.25,0.3",  # cut off before the end of the line
    "epoch,train_loss,val_mdsc\r\n1,0.75,0.9\r\n",
)


def test_histories_read_together_are_those_read_alone(tmp_path: Path) -> None:
    paths = [tmp_path / f"{k}.csv" for k in range(len(TEXTS))]
    for path, text in zip(paths, TEXTS, strict=True):
        path.write_bytes(text.encode())
    together = read_histories([*paths, paths[0]])
    assert [len(one) for one in together] == [2, 1, 0, 3, 1, 2]
    for path, one in zip([*paths, paths[0]], together, strict=True):
        pd.testing.assert_frame_equal(one, pd.read_csv(path), check_dtype=False)
    assert read_histories([]) == []


def test_of_an_archive_only_what_is_drawn_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    held = {
        f"{protocol}/{dataset}/{key}": rng.uniform(size=256) if key != "n" else np.array(3)
        for protocol in ("pranet", "half")
        for dataset in ("kvasir", "etis")
        for key in ("precision", "recall", "dice", "em", "iou", "n")
    }
    path = tmp_path / "curves.npz"
    np.savez(path, **held)
    found = _drawn(Evidence(tmp_path, (), datasets=("kvasir", "etis")), path)
    assert set(found) == {name for name in held if name.startswith("pranet/") and not name.endswith("iou")}
    for dataset in ("kvasir", "etis"):
        mean = mean_curves([found], protocol="pranet", dataset=dataset)
        np.testing.assert_array_equal(mean["em"], held[f"pranet/{dataset}/em"] / 3)
    other = _drawn(Evidence(tmp_path, (), protocol="ldnet", datasets=("kvasir",)), path)
    with pytest.raises(BenchError, match="no curves for ldnet/kvasir; there are half/etis, half/kvasir"):
        mean_curves([other], protocol="ldnet", dataset="kvasir")
