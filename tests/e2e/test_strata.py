"""`bench tables --by` and `--worst`: figures per stratum, miss rate and worst images, against the rows on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from harness import Bench


def test_strata_and_worst_images_from_the_records(bench: Bench, tiny: Bench, tmp_path: Path) -> None:
    tiny("--set", "max_test_images=12")
    path = next((tmp_path / "results" / "runs").rglob("scores.parquet"))
    rows = pd.read_parquet(path)
    mine = rows[(rows["protocol"] == "pranet") & (rows["dataset"] == "phantom-kvasir")]

    lines = json.loads(bench("tables", "--by", "size", "--json", "--datasets", "phantom-kvasir").stdout)
    assert {line["stratum"] for line in lines} == {*mine["size_bin"], "all"}
    for line in lines:
        part = mine if line["stratum"] == "all" else mine[mine["size_bin"] == line["stratum"]]
        assert (line["n"], line["protocol"]) == (len(part), "pranet")
        assert line["mDSC"] == pytest.approx(part["dice"].mean()) and line["MAE"] == pytest.approx(part["mae"].mean())
        assert line["miss_rate"] == pytest.approx((part["dice"] < 0.1).mean())
    table = json.loads(bench("tables", "--json", "--datasets", "phantom-kvasir").stdout)
    assert lines[-1]["mDSC"] == pytest.approx(table[0]["mDSC"])
    assert lines[-1]["E_phi_max"] == pytest.approx(table[0]["E_phi_max"])

    worst = json.loads(bench("tables", "--worst", "3", "--json", "--datasets", "phantom-kvasir").stdout)
    assert [row["id"] for row in worst] == list(mine.sort_values(["dice", "id"])["id"][:3])
    assert "| tiny\\_net | 1 |" in bench("tables", "--worst", "3", "--protocol", "half").stdout
    assert r"\toprule" in bench("tables", "--by", "group", "--latex", "--csv").stdout
    folder = tmp_path / "results" / "tables"
    assert {p.name for p in folder.glob("*kvasir*")} >= {
        "strata-size-phantom-kvasir.md",
        "strata-group-phantom-kvasir.tex",
        "strata-group-phantom-kvasir.csv",
        "worst-phantom-kvasir.md",
    }
    assert "did you mean 'size'" in bench("tables", "--by", "sizes", code=2).stderr
    assert "--by or --worst" in bench("tables", "--worst", "1", "--by", "size", code=2).stderr
    path.unlink()
    assert "scores.parquet" in bench("tables", "--worst", "2", code=2).stderr
