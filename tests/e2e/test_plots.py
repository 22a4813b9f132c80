"""`bench plots` on real records: files, reasons, refusals."""

from __future__ import annotations

import json
from pathlib import Path

from harness import Bench
from PIL import Image

NAMES = ["qualitative", "curves", "training", "distribution", "size", "reliability", "parameters", "latency"]
NAMES += ["forest", "ranks"]


def test_plots_from_a_run(bench: Bench, tiny: Bench, tmp_path: Path) -> None:
    lines = bench("plots", "--list").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines[1:]] == NAMES
    assert lines[0] == "name\tshows\tneeds" and all(len(line.split("\t")) == 3 for line in lines)
    needs = {line.split("\t")[0]: line.split("\t")[2] for line in lines[1:]}
    files = {"qualitative": "maps/", "curves": "curves.npz", "training": "history.csv", "latency": "profile.csv"}
    files["reliability"] = "metrics/"
    assert all(files.get(name, "scores.parquet") in text for name, text in needs.items())
    assert all("two models" in needs[name] for name in ("forest", "ranks")), needs
    refused = bench("plots", code=2)
    assert refused.stderr == "error: results folder results: not found; run 'bench run' first or pass --results\n"

    tiny("--datasets", "phantom-colondb", "--quiet")
    drawn = json.loads(bench("plots", "--json", "--dpi", "100").stdout)
    by_set = {f"{name}-phantom-colondb" for name in ("qualitative", "curves", "distribution", "size", "parameters")}
    assert {Path(file).stem for file in drawn["files"]} == {"training", *by_set}
    assert all((tmp_path / file).stat().st_size > 2000 for file in drawn["files"])
    assert {Path(file).suffix for file in drawn["files"]} == {".pdf", ".png"}
    assert set(drawn["skipped"]) == {"forest", "ranks", "latency-phantom-colondb", "reliability-phantom-colondb"}
    assert "one model only" in drawn["skipped"]["forest"]

    one = bench("plots", "distribution", "--datasets", "phantom-colondb", "--measure", "MAE", "--out", "mine")
    assert one.stdout.splitlines() == [f"mine/distribution-phantom-colondb.{kind}" for kind in ("pdf", "png")]
    assert Image.open(tmp_path / "mine/distribution-phantom-colondb.png").width == 990
    nothing = bench("plots", "forest", "qualitative", "--rows", "wrst", code=2)
    assert "error: no figure could be drawn from results: nothing to compare" in nothing.stderr
    assert "did you mean 'worst'" in nothing.stderr
    assert "did you mean 'forest'" in bench("plots", "forrest", code=2).stderr
