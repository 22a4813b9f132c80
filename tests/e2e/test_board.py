"""A leaderboard of the reference study's exports: what holds is shown, what was tampered with is refused by name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from browser import Visitor
from harness import NET, Bench

from benchmark.metrics import PROTOCOLS

STUDY = Path(__file__).parents[2] / "results" / "reference" / "cpu-study"


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """Three submissions: a study, one on another split, one whose record will be changed."""
    folder = tmp_path / "exports"
    for name, source in (("main", "main"), ("paper", "paper-split"), ("third", "transfer-imagenet")):
        shutil.copytree(STUDY / source / "runs", folder / name / "runs")
    return folder


def record_of(folder: Path) -> Path:
    return sorted(folder.rglob("run.json"))[0]


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads(path.read_text())
    edit(record)
    path.write_text(json.dumps(record))


def test_figures_are_those_of_the_images_by_numpy_alone(bench: Bench, exports: Path, tmp_path: Path) -> None:
    done = bench("board", "exports", "--json")
    assert json.loads(done.stdout)["refused"] == []
    board = json.loads((tmp_path / "site" / "board.json").read_text())
    assert len(board["lines"]) > 40
    for line in board["lines"][::7]:
        seeds = []
        for cell in line["cells"]:
            rows = pd.read_parquet(exports / line["submission"] / "runs" / cell / "scores.parquet")
            rows = rows[(rows["dataset"] == line["dataset"]) & (rows["protocol"] == line["protocol"])]
            record = json.loads((exports / line["submission"] / "runs" / cell / "run.json").read_text())
            leaked = {name for names in record["tests"][line["dataset"]]["leaked"].values() for name in names}
            inside = rows["id"].isin(leaked).to_numpy()
            seeds.append((rows["dice"].to_numpy(), inside))
        assert line["values"]["mDSC"] == pytest.approx(np.mean([scores.mean() for scores, _ in seeds]), abs=1e-6)
        assert line["num_leaked"] == seeds[0][1].sum() and line["n"] == len(seeds[0][0])
        if line["clean"]:
            clean = np.mean([scores[~inside].mean() for scores, inside in seeds])
            assert line["clean"]["mDSC"] == pytest.approx(clean, abs=1e-6)
        else:
            assert seeds[0][1].all()
    assert any(line["clean"] is None for line in board["lines"]), "ClinicDB's test images all leak on split paper"


def raised(record: dict[str, Any]) -> None:
    scores = record["tests"]["kvasir"]["scores"]["pranet"]
    scores["mDSC"] += 0.05


def unnamed(record: dict[str, Any]) -> None:
    record["tests"]["kvasir"]["leaked"] = None


def partly(record: dict[str, Any]) -> None:
    record["tests"]["kvasir"]["of"] = record["tests"]["kvasir"]["n"] + 1


def mixed(record: dict[str, Any]) -> None:
    record["protocols"]["pranet"] = "00000000"


def elsewhere(record: dict[str, Any]) -> None:
    record["split"]["name"] = "grouped"
    record["tests"]["kvasir"]["fingerprint"] = "0" * 16


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (raised, "kvasir by pranet: mDSC is stated as"),
        (unnamed, "kvasir: its leaks were not looked for"),
        (partly, "a board ranks whole sets only"),
        (mixed, "protocol pranet is 00000000 here, "),
        (elsewhere, "images are not those of the other submissions with split grouped"),
    ],
)
def test_what_does_not_hold_is_refused_by_name(
    edit: Callable[[dict[str, Any]], None], said: str, bench: Bench, exports: Path, tmp_path: Path
) -> None:
    changed = record_of(exports / "third")
    change(changed, edit)
    done = bench("board", "exports", code=1)
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("refused")]
    cell = changed.parent.relative_to(exports / "third" / "runs").as_posix()
    assert said in line and f"third {cell}" in line
    board = json.loads((tmp_path / "site" / "board.json").read_text())
    assert all(cell not in one["cells"] for one in board["lines"] if one["submission"] == "third")


def test_the_usual_protocol_is_this_packages_whatever_most_say(bench: Bench, exports: Path, tmp_path: Path) -> None:
    for name in ("main", "third"):
        for path in (exports / name).rglob("run.json"):
            change(path, mixed)
    bench("board", "exports", code=1)
    board = json.loads((tmp_path / "site" / "board.json").read_text())
    assert {line["submission"] for line in board["lines"]} == {"paper"}


def test_figures_that_are_no_means_over_images_are_left_out(bench: Bench, exports: Path, tmp_path: Path) -> None:
    """Under half-pixels the pixels of all images count together: nothing here can recompute that."""
    path = record_of(exports / "third")
    rows = pd.read_parquet(path.parent / "scores.parquet")
    more = rows[rows["protocol"] == "pranet"].assign(protocol="half-pixels")
    pd.concat([rows, more]).to_parquet(path.parent / "scores.parquet", index=False)

    def add(record: dict[str, Any]) -> None:
        record["protocols"]["half-pixels"] = PROTOCOLS["half-pixels"].hash
        for test in record["tests"].values():
            test["scores"]["half-pixels"] = {**test["scores"]["pranet"], "mDSC": 0.9}

    change(path, add)
    bench("board", "exports")
    board = json.loads((tmp_path / "site" / "board.json").read_text())
    cell = path.parent.relative_to(exports / "third" / "runs").as_posix()
    found = {line["protocol"] for line in board["lines"] if line["submission"] == "third" and cell in line["cells"]}
    assert "pranet" in found and "half-pixels" not in found


def test_scores_that_were_changed_or_cut_are_refused(bench: Bench, exports: Path) -> None:
    path = record_of(exports / "third").parent / "scores.parquet"
    rows = pd.read_parquet(path)
    for edit, said in (
        (lambda frame: frame.assign(dice=frame["dice"].where(frame.index != 0, 1.0)), "mDSC is stated as"),
        (lambda frame: frame.iloc[1:], "images in scores.parquet"),
        (lambda frame: frame.assign(mae=7.0), "is no score between 0 and 1"),
        (lambda frame: frame.drop(columns="sm"), "lacks the column sm"),
    ):
        edit(rows).to_parquet(path, index=False)
        assert said in bench("board", "exports", code=1).stderr
    path.write_bytes(b"no parquet")
    assert "unreadable score rows" in bench("board", "exports", code=1).stderr
    path.unlink()
    assert "scores.parquet is missing" in bench("board", "exports", code=1).stderr


def test_the_workflow_of_pull_requests_runs_as_written(bench: Bench, exports: Path, tmp_path: Path) -> None:
    workflow = yaml.safe_load((STUDY.parents[2] / ".github" / "workflows" / "board.yml").read_text())
    (command,) = [step["run"] for step in workflow["jobs"]["board"]["steps"] if step.get("run", "").startswith("bench")]
    exports.rename(tmp_path / "submissions")
    bench(*command.split()[1:])
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.fixture(scope="module")
def export_with_maps(
    tmp_path_factory: pytest.TempPathFactory, run_bench: Callable[..., Any], shared_cache: Path
) -> Path:
    """The export of one training whose test set was scored whole."""
    home = tmp_path_factory.mktemp("with-maps")
    (home / "tiny_net.py").write_text(NET)
    sizes = [
        part
        for one in ("epochs=1", "image_size=64", "max_train_images=16", "max_test_images=20")
        for part in ("--set", one)
    ]
    fixed = ["run", "--models", "./tiny_net.py:build", "--datasets", "phantom-kvasir", "--recipe", "smoke", *sizes]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BENCH_")}
    for command in ([*fixed, "--no-track", "--no-time-first"], ["export", "--out", "export", "--maps"]):
        done = run_bench(command, cwd=home, env={**environment, "BENCH_CACHE_DIR": str(shared_cache)})
        assert done.returncode == 0, done.stderr
    return home / "export"


@pytest.fixture
def submissions_with_maps(tmp_path: Path, export_with_maps: Path) -> Path:
    """Two submissions of that training, each with its maps."""
    for name in ("honest", "other"):
        shutil.copytree(export_with_maps, tmp_path / "submissions" / name)
    return tmp_path / "submissions"


def test_rows_are_recomputed_from_maps_and_say_so(bench: Bench, submissions_with_maps: Path, tmp_path: Path) -> None:
    """One submission lacks its maps; with the other's each image is scored again."""
    for path in (submissions_with_maps / "other").rglob("maps"):
        shutil.rmtree(path)
    done = bench("board", "submissions")
    board = json.loads((tmp_path / "site" / "board.json").read_text())
    said = {line["submission"]: line["not_from_maps"] for line in board["lines"]}
    assert said == {"honest": "", "other": "no maps in the export"}
    assert f"{len(board['lines']) // 2} recomputed from maps; 0 cells refused" in done.stderr
    page = (tmp_path / "site" / "index.html").read_text()
    assert page.count("<td>maps</td>") == page.count("<td>scores</td>") == len(board["lines"]) // 2
    assert "from scores (no maps in the export)" in page
    bench("board", "submissions", "--no-maps")
    board = json.loads((tmp_path / "site" / "board.json").read_text())
    assert {one["from_maps"] for one in board["sources"]} == {0}


def test_scores_that_do_not_follow_from_the_maps_are_refused(
    bench: Bench, submissions_with_maps: Path, tmp_path: Path
) -> None:
    """One image's score is raised, and with it the record's mean and the checksums: only its map can tell."""
    path = sorted((submissions_with_maps / "other").rglob("scores.parquet"))[0]
    rows = pd.read_parquet(path)
    name = str(rows["dataset"].iloc[0])
    here = (rows["protocol"] == "pranet") & (rows["dataset"] == name)
    raised_by = (0.95 - rows.loc[here, "dice"].iloc[0]) / here.sum()
    rows.loc[rows.index[here][0], "dice"] = 0.95
    rows.to_parquet(path, index=False)

    def follow(record: dict[str, Any]) -> None:
        record["tests"][name]["scores"]["pranet"]["mDSC"] += raised_by

    change(path.with_name("run.json"), follow)
    done = bench("board", "submissions", "--no-maps")
    assert "0 cells refused" in done.stderr, "from scores alone it passes"
    done = bench("board", "submissions", code=1)
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("refused")]
    image = rows.loc[here, "id"].iloc[0]
    assert f"{name} by pranet: mDSC of {image} is 0.9500, its map gives" in line
    missing = next((submissions_with_maps / "honest").rglob("maps/*/*.png"))
    missing.write_bytes(b"no picture")
    assert "refused: honest" in bench("board", "submissions", code=1).stderr
    missing.unlink()
    assert f"maps are missing ({missing.stem})" in bench("board", "submissions", code=1).stderr


def test_masks_that_are_not_at_hand_are_no_refusal(bench: Bench, submissions_with_maps: Path, tmp_path: Path) -> None:
    for path in submissions_with_maps.rglob("run.json"):
        change(path, lambda record: [test.update(fingerprint="0" * 16) for test in record["tests"].values()])
    bench("board", "submissions")
    board = json.loads((tmp_path / "site" / "board.json").read_text())
    assert {line["not_from_maps"] for line in board["lines"]} == {"its masks are not at hand"}


def test_mistakes_are_one_line(bench: Bench, exports: Path) -> None:
    for arguments, said in (
        (("nowhere",), "holds no exports"),
        (("exports", "--out", "exports/site"), "lies among the exports"),
    ):
        done = bench("board", *arguments, code=2)
        assert said in done.stderr and done.stderr.count("\n") == 1


def test_the_page_sorts_filters_and_names_what_is_refused(
    bench: Bench, exports: Path, tmp_path: Path, visit: Visitor
) -> None:
    change(record_of(exports / "third"), raised)
    (exports / "third").rename(exports / "third <b>&")
    bench("board", "exports", "--title", "A <board>", code=1)
    for width in (1280, 390):
        page = visit(tmp_path / "site" / "index.html", width=width)
        assert page.page.inner_text("h1") == "A <board>" and page.overflow_px() <= 0
        assert "third <b>& unet" in page.page.inner_text("#refused")
        page.page.select_option("[data-filter=dataset]", "kvasir")
        page.page.select_option("[data-filter=split]", "grouped")
        shown = "tbody tr:not([hidden])"
        column = [one.inner_text() for one in page.page.query_selector_all(f"{shown} td:nth-child(3)")]
        assert column == sorted(column, reverse=True) and len(column) > 5, "best first"
        page.page.click("thead th:nth-child(3) button")
        page.page.click("thead th:nth-child(3) button")
        column = [one.inner_text() for one in page.page.query_selector_all(f"{shown} td:nth-child(3)")]
        assert column == sorted(column)
        assert (
            page.page.inner_text("#count") == f"{len(column)} of {len(page.page.query_selector_all('tbody tr'))} rows"
        )
        target = page.page.get_attribute(f"{shown} a", "href")
        assert target is not None and json.loads((tmp_path / "site" / target).read_text())["status"] == "ok"
        assert page.errors == [] and all(url.startswith("file:") for url in page.requests)
