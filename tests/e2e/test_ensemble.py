"""`bench ensemble`: the mean of cells' maps, and of flipped images, against means made here."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import NET, TINY, Bench
from PIL import Image

from benchmark.prediction.network import network_of_run
from benchmark.scoring.cell_images import scored_items
from benchmark.store.io import read_record, read_records
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record

FILE = "./tiny_net.py:build"


@pytest.fixture(scope="module")
def made(tmp_path_factory: Any, shared_cache: Path, run_bench: Callable[..., Any]) -> Path:
    """A results folder with two seeds of the tiny network."""
    folder = tmp_path_factory.mktemp("ensemble")
    (folder / "tiny_net.py").write_text(NET)
    fixed = ["run", "--models", FILE, "--datasets", "phantom", "--recipe", "smoke", *TINY, "--seeds", "0,1"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("BENCH_")}
    done = run_bench(
        [*fixed, "--no-track", "--no-time-first"], cwd=folder, env={**env, "BENCH_CACHE_DIR": str(shared_cache)}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "results"


@pytest.fixture
def cells(made: Path, tmp_path: Path) -> list[Record]:
    """The two cells, in a copy that a test may change."""
    shutil.copytree(made, tmp_path / "results")
    return read_records(tmp_path / "results")


def _map(results: Path, cell: str, dataset: str, image: str) -> np.ndarray:
    with Image.open(ResultsLayout(results).cell(cell).map(dataset, image)) as opened:
        return np.asarray(opened)


def _only(results: Path) -> Record:
    (record,) = [one for one in read_records(results) if one.ensemble is not None]
    return record


def test_the_mean_of_two_seeds_is_a_row_of_its_own(
    bench: Bench, cells: list[Record], tmp_path: Path, shared_cache: Path
) -> None:
    out = json.loads(bench("ensemble", "tiny_net", "--protocol", "half", "--json").stdout)
    record, results = _only(tmp_path / "results"), tmp_path / "results"
    assert record.ensemble is not None and record.cell == out["cell"]
    assert [(one.cell, one.sha256) for one in record.ensemble.parents] == [(c.cell, c.best_sha256) for c in cells]
    assert record.tests.keys() == cells[0].tests.keys()
    assert {n: t.leaked for n, t in record.tests.items()} == {n: t.leaked for n, t in cells[0].tests.items()}
    assert any(test.num_leaked for test in record.tests.values())
    name = "phantom-etis"
    items = scored_items(
        cells[0], name, ResultsLayout(results).cell(cells[0].cell), data_root=None, cache_dir=shared_cache
    )
    dice = []
    for item in items:
        both = [_map(results, one.cell, name, item.id).astype(float) for one in cells]
        mean = _map(results, record.cell, name, item.id)
        assert np.array_equal(mean, np.rint(sum(both) / 2))
        with Image.open(item.mask_path) as opened:
            mask = np.asarray(opened.convert("L")) > 127
        pred = mean >= 128
        dice.append(2 * (pred & mask).sum() / max(1, pred.sum() + mask.sum()))
    half = {one["dataset"]: one for one in out["sets"]}[name]
    assert half["metrics"]["dice_half"] == pytest.approx(np.mean(dice), abs=1e-9)
    # repeated, it is the same cell; its row is labelled, and stands beside its cells with all their seeds
    again = json.loads(bench("ensemble", "tiny_net", "--datasets", name, "--json").stdout)
    assert again["cell"] == record.cell and _only(results).tests == record.tests  # the other sets stay
    text = bench("tables", "--datasets", name, "--wide").stdout
    assert "2 seeds† |" in text and "ensemble: mean of the 8-bit maps of" in text and "not ranked" not in text
    assert "(seeds 0, 1)" in text and "Seeds 0, 1 (mean)" in text
    other = bench("tables", "--recipe", "nothing", code=2).stderr
    assert "--recipe nothing: no record" in other


def test_flips_are_averaged_before_anything_is_rounded(
    bench: Bench, cells: list[Record], tmp_path: Path, shared_cache: Path
) -> None:
    results, name = tmp_path / "results", "phantom-etis"
    bench("ensemble", cells[0].cell, "--flips", "vflip,hflip", "--datasets", name, "--model", FILE)
    record = _only(results)
    assert record.ensemble is not None and record.ensemble.flips == ["hflip", "vflip"]
    assert record.ensemble.averaged == "probabilities" and "rounded once" in str(record.origin)
    network = network_of_run(cells[0].cell, results=results, model=str(tmp_path / FILE), device="cpu")
    where = ResultsLayout(results).cell(cells[0].cell)
    for item in scored_items(cells[0], name, where, data_root=None, cache_dir=shared_cache):
        with Image.open(item.image_path) as opened:
            image = np.asarray(opened.convert("RGB"))
        seen = [
            network.maps([image])[0],
            network.maps([image[:, ::-1]])[0][:, ::-1],
            network.maps([image[::-1]])[0][::-1],
        ]
        mean = _map(results, record.cell, name, item.id).astype(float)
        assert np.abs(mean - np.mean([one.astype(float) for one in seen], axis=0)).max() <= 2
    same = json.loads(bench("ensemble", "tiny_net", "--from-weights", "--model", FILE, "--json").stdout)["cell"]
    kept = json.loads(bench("ensemble", "tiny_net", "--json").stdout)["cell"]
    for item in scored_items(cells[0], name, where, data_root=None, cache_dir=shared_cache):
        apart = _map(results, same, name, item.id).astype(int) - _map(results, kept, name, item.id)
        assert np.abs(apart).max() <= 1


def test_an_ensemble_of_folds_is_scored_where_none_of_them_trained(bench: Bench, tiny: Bench, tmp_path: Path) -> None:
    sets = ("--datasets", "phantom-kvasir,phantom-colondb", "--set", "epochs=1")
    for fold in (1, 2):
        tiny(*sets, "--split", f"kfold:2:{fold}")
    done = bench("ensemble", "tiny_net", code=2)
    assert "its cells scored 2 different sets of images" in done.stderr and done.stderr.count("\n") == 1
    again = ("--from-weights", "--model", FILE)
    done = bench("ensemble", "tiny_net", *again, "--datasets", "phantom-kvasir", code=2)
    assert "2 different sets of images" in done.stderr
    out = json.loads(bench("ensemble", "tiny_net", *again, "--datasets", "phantom-etis", "--json").stdout)
    assert out["sets"][0]["n"] > 10 and read_record(tmp_path / f"results/runs/{out['cell']}/run.json").tests
    fresh = _only(tmp_path / "results").tests["phantom-etis"]
    assert (fresh.leaked, fresh.num_leaked, fresh.num_leaked_exact) == (None, None, 0)
    assert "2 folds" in _only(tmp_path / "results").model_title
    # a set that one of them saw: pretend that nobody scored it
    for path in (tmp_path / "results" / "runs").glob("file_*/**/run.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        record["tests"].pop("phantom-kvasir", None)
        path.write_text(json.dumps(record), encoding="utf-8")
    done = bench("ensemble", "tiny_net", *again, "--datasets", "phantom-kvasir", code=2)
    assert "trained or validated on" in done.stderr and "none of its cells has seen" in done.stderr
    shutil.rmtree(tmp_path / "results" / "splits")
    done = bench("ensemble", "tiny_net", *again, "--datasets", "phantom-kvasir", code=2)
    assert "nobody can tell whether" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["unet"], "unet: no finished cell"),
        (["tiny_net/smoke/seed0"], "a mean needs two"),
        (["ensemble"], "no finished cell"),
        (["tiny_net", "--flips", "hflop"], "did you mean 'hflip'"),
        (["tiny_net", "--datasets", "cvc300"], "did not score it"),
        (["tiny_net", "--datasets", "kvasr"], "unknown dataset"),
    ],
)
def test_what_cannot_be_averaged_is_refused_in_one_line(
    bench: Bench, cells: list[Record], tmp_path: Path, options: list[str], words: str
) -> None:
    done = bench("ensemble", *options, code=2)
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "results" / "runs" / "ensemble").exists()


def test_maps_that_were_not_kept_are_named(bench: Bench, cells: list[Record], tmp_path: Path) -> None:
    shutil.rmtree(ResultsLayout(tmp_path / "results").cell(cells[1].cell).maps("phantom-etis"))
    done = bench("ensemble", "tiny_net", code=2)
    assert f"{cells[1].cell}: 4 of 4 maps of phantom-etis were not kept" in done.stderr
    assert done.stderr.count("\n") == 1 and "--from-weights" in done.stderr
