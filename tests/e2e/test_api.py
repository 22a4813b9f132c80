"""`import benchmark as bench`: instant, complete, and the snippet of its page as written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import NET
from page_server import Home

import benchmark as bench
from benchmark.cli.tree import command_tree, leaves

PAGE = Path(__file__).parents[2] / "docs" / "pages" / "reference" / "python.md"
TINY = {"epochs": 1, "image_size": 64, "max_train_images": 16, "max_test_images": 3}


def test_importing_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pandas", "pydantic", "typer", "rich")
    code = f"import sys, benchmark; dir(benchmark); print([m for m in {heavy!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_every_name_is_there() -> None:
    for name in bench.__all__:
        assert getattr(bench, name) is not None and name in dir(bench)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bench.nothing


def test_each_command_has_a_function_or_a_reason() -> None:
    """The table of benchmark/api/README.md names every command, and every function."""
    text = (PAGE.parents[3] / "benchmark" / "api" / "README.md").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| `bench ")]
    commands = {name for row in rows for name in re.findall(r"`bench (\w+)", row.split("|")[1])}
    assert commands == {path[1] for path, _ in leaves(command_tree())}
    functions = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[2])}
    assert set(bench.__all__) - {"BenchError", "__version__"} <= functions


def test_what_is_shown_and_passed_on(tmp_path: Path, served_home: Home, shared_cache: Path) -> None:
    """Report, board, publish, track, ensemble, ONNX and estimate on finished cells."""
    results, net = tmp_path / "results", f"{served_home.folder}/tiny_net.py:build"
    shutil.copytree(served_home.folder / "results", results)
    page = bench.write_report(results, images=False, title="Mine")
    assert page.file == results / "report.html" and "Mine" in page.file.read_text()
    bench.export(tmp_path / "all" / "mine", results)
    told = bench.publish(tmp_path / "all" / "mine", "huggingface:me/mine", licence="cc-by-4.0")
    assert told.sent is None and told.num_cells == 2
    refused = bench.board(tmp_path / "all", tmp_path / "site").refused
    assert len(refused) == 2 and "4 of 20 images" in refused[0].reason and (tmp_path / "site" / "index.html").is_file()
    counts = bench.track(results, "tensorboard")
    assert counts.written == 2 and bench.track(results, "tensorboard").kept == 2
    mean = bench.ensemble(served_home.cells, results=results, cache_dir=shared_cache)
    assert mean.origin and mean.tests["phantom-kvasir"].n == 4
    made = bench.export_onnx(served_home.cells[0], tmp_path / "net.onnx", model=net, results=results)
    assert made.file.is_file() and made.largest < 1e-4
    for call in (
        lambda: bench.write_report(results, tite="x"),
        lambda: bench.publish(tmp_path, "zenodo", licence="mit", toke=1),
        lambda: bench.track(results, "wandbb"),
    ):
        with pytest.raises(bench.BenchError, match="unknown"):
            call()


def test_an_estimate_counts_what_a_run_would_train(tmp_path: Path, shared_cache: Path) -> None:
    (tmp_path / "tiny_net.py").write_text(NET)
    options = {"recipe": "smoke", "overrides": TINY, "results": tmp_path / "results", "cache_dir": shared_cache}
    found = bench.estimate(f"{tmp_path}/tiny_net.py:build", "phantom-kvasir", seeds=(0, 1), **options)
    assert found.num_cells == 2 and not (tmp_path / "results").exists()


def test_a_mistake_raises_in_python() -> None:
    with pytest.raises(bench.BenchError, match="did you mean 'unet'"):
        bench.run("unett", "phantom")
    with pytest.raises(bench.BenchError, match="unknown option 'recpe': did you mean 'recipe'"):
        bench.run("unet", "phantom", recpe="smoke")
    with pytest.raises(bench.BenchError, match="unknown kind of table"):
        bench.tables(kind="other")


def test_run_evaluate_load_and_tabulate(tmp_path: Path, shared_cache: Path) -> None:
    (tmp_path / "tiny_net.py").write_text(NET)
    common = {"results": tmp_path / "results", "cache_dir": shared_cache}
    records = bench.run(f"{tmp_path}/tiny_net.py:build", "phantom", recipe="smoke", overrides=TINY, **common)
    assert [record.status for record in records] == ["ok"]
    frame = bench.load_results(tmp_path / "results")
    assert len(frame) == 4 and frame["synthetic"].all()
    etis = frame.set_index("dataset").loc["phantom-etis"]
    assert etis["mDSC"] == records[0].tests["phantom-etis"].scores["pranet"]["mDSC"] and etis["n"] == 3
    images = bench.load_results(tmp_path / "results", protocol="half", per_image=True)
    assert len(images) == 12 and set(images["seed"]) == {0} and set(images.groupby("dataset")["id"].nunique()) == {3}
    sheets = bench.tables(tmp_path / "results", datasets="phantom-etis")
    assert len(sheets) == 1 and "mDSC" in sheets[0].to_markdown()

    maps = tmp_path / "results" / "runs" / records[0].cell / "maps"
    (row,) = bench.evaluate_maps(maps, "phantom-etis", name="again", allow_partial=True, **common)
    assert row["n"] == 3 and row["metrics"]["mDSC"] == pytest.approx(etis["mDSC"])


def test_what_is_written_is_what_the_commands_write(tmp_path: Path, served_home: Home, shared_cache: Path) -> None:
    """Predict, plots, measure, compare, export and import on finished cells."""
    results, net = tmp_path / "results", f"{served_home.folder}/tiny_net.py:build"
    shutil.copytree(served_home.folder / "results", results)
    cell = served_home.cells[0]
    picture = next(shared_cache.glob("phantom-v*")) / "phantom-kvasir" / "images"
    rows = bench.predict(sorted(picture.iterdir())[:2], cell, results=results, model=net, out=tmp_path / "seen")
    assert len(rows) == 2 and rows["area_px"].notna().all()
    assert len(list((tmp_path / "seen").rglob("*.png"))) == 6 and (tmp_path / "seen" / "predictions.csv").is_file()
    drawn = bench.plots("distribution", results, out=tmp_path / "figures")
    assert drawn.files and all(path.is_file() for path in drawn.files)
    (tmp_path / "my_metric.py").write_text("def share(prob, mask):\n    return float((prob > 127).mean())\n")
    measured = bench.measure(f"{tmp_path}/my_metric.py:share", results, cache_dir=shared_cache)
    assert len(measured) == 2 and measured["share"].between(0, 1).all()
    compared = bench.compare(str(results), str(results)).to_json()
    assert json.dumps(compared)
    done = bench.export(tmp_path / "copy", results, maps=True, archive=tmp_path / "copy.zip")
    assert sorted(done.cells) == served_home.cells
    assert sorted(bench.import_export(tmp_path / "copy.zip", tmp_path / "theirs").cells) == served_home.cells
    for call in (lambda: bench.plots("distribution", results, dp=3), lambda: bench.compare("a", "b", protocl="x")):
        with pytest.raises(bench.BenchError, match="unknown option"):
            call()


def test_the_pages_snippet_runs_as_written(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (snippet,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if "bench.run" in block)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE_DIR", str(shared_cache))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    exec(compile(snippet, str(PAGE), "exec"), {})
    assert (tmp_path / "scores.png").stat().st_size > 5000
