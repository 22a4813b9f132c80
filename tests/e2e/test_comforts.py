"""`bench doctor`, `clean`, `init`, completion, and the options that every command takes."""

from __future__ import annotations

import json
import os
import time
from importlib import metadata
from pathlib import Path

import pytest
from harness import TINY, Bench
from packaging.requirements import Requirement

from benchmark.cli.tree import command_tree, leaves
from benchmark.maintenance import doctor
from benchmark.store.layout import ResultsLayout

NO_JSON = {"bench ui": "prints an address", "bench serve": "prints an address"}


def completions(bench: Bench, line: str) -> list[str]:
    """What bash offers at the end of the line."""
    words = line.split(" ")
    done = bench(_BENCH_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bench run --models unet,pra", ["unet,pranet", "unet,pranet_v2", "unet,pranet_v2_res2net"]),
        ("bench evaluate --model sa", ["sanet"]),
        ("bench run --datasets phantom-e", ["phantom-etis", "phantom-endoscene"]),
        ("bench data check kva", ["kvasir", "kvasir-sessile"]),
        ("bench ablate --recipe s", ["smoke"]),
        ("bench tables --protocol ha", ["half", "half-mean", "half-pixels"]),
        ("bench data split pap", ["paper", "paper-skin"]),
        ("bench doc", ["doctor"]),
        ("bench run --data", ["--datasets", "--data-root"]),
    ],
)
def test_the_shell_completes_names(bench: Bench, line: str, offered: list[str]) -> None:
    assert sorted(completions(bench, line)) == sorted(offered)


def test_a_recipe_file_completes(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("")
    assert completions(bench, "bench run --recipe mi") == ["mine.toml"]


def test_completion_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom benchmark.cli import complete\n"
        "complete.models(''); complete.datasets(''); complete.recipes('')\n"
        "print([m for m in ('torch', 'pandas', 'pydantic', 'mlflow', 'numba') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_every_command_takes_json_quiet_and_verbose() -> None:
    for path, command in leaves(command_tree()):
        options = {name for option in command.params for name in option.opts}
        assert {"--quiet", "-q", "--verbose", "-v"} <= options, path
        assert "--json" in options or " ".join(path) in NO_JSON, path


def test_verbose_says_where_an_error_came_from(bench: Bench) -> None:
    assert "Traceback" not in bench("tables", code=2).stderr
    done = bench("tables", "--verbose", code=2)
    assert "Traceback" in done.stderr and done.stderr.splitlines()[-1].startswith("error: results folder")


def test_quiet_leaves_the_results(bench: Bench) -> None:
    assert "any other network" in bench("models").stderr
    done = bench("models", "--quiet")
    assert done.stderr == "" and "pranet" in done.stdout


def test_doctor_says_what_is_here_and_how_to_get_the_rest(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    found = json.loads(bench("doctor", "--no-weights", "--data-root", "data", "--json").stdout)
    rows = {(row["area"], row["name"]): row for row in found}
    assert rows["versions", "torch"]["state"] == "ok" and rows["devices", "cpu"]["state"] == "ok"
    assert rows["data", "kvasir"]["how"] == "bench data fetch kvasir"
    assert rows["data", "phantom-etis"]["state"] == "ok"
    assert {"results", "cache", "temporary"} <= {name for area, name in rows if area == "space"}
    assert all(row["how"] for row in found if row["state"] != "ok")


def test_doctor_fails_where_something_needed_is_broken(bench: Bench, tmp_path: Path) -> None:
    broken = tmp_path / "results" / "runs" / "unet" / "x-0" / "seed0"
    broken.mkdir(parents=True)
    (broken / "run.json").write_text("{")
    done = bench("doctor", "--no-weights", code=1)
    assert "broken: record" in done.stderr and "delete its folder" in done.stdout


def test_doctor_calls_no_extra_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra is a wish: what it lacks is missing. Only what every installation needs can be broken."""
    absent = ["torch>=99", 'absent-a>=1; extra == "serve"', 'absent-b; python_version > "3" and extra == "docs"']
    monkeypatch.setattr(metadata, "requires", lambda _: absent)
    rows = {row.name: (row.area, row.state, row.how) for row in doctor.examine(weights=False)}
    assert rows["torch"][:2] == ("versions", "broken") and not any("absent-b" in name for name in rows)
    assert rows["absent-a [serve]"] == ("extras", "missing", "python -m pip install 'polyp-bench[serve]'")
    monkeypatch.undo()
    wanted = [Requirement(text) for text in metadata.requires("polyp-bench") or []]
    extras = set(metadata.metadata("polyp-bench").get_all("Provides-Extra") or [])
    shown = {row.name for row in doctor.examine(weights=False)}
    for requirement in wanted:
        if requirement.marker is None:
            assert requirement.name in shown
    for extra in extras - set(doctor.FOR_DEVELOPMENT):
        assert any(name.endswith(f"[{extra}]") for name in shown), extra


@pytest.mark.slow
def test_doctor_tries_the_imagenet_weights(bench: Bench) -> None:
    rows = [r for r in json.loads(bench("doctor", "--json").stdout) if r["area"] == "weights"]
    assert len(rows) == 6 and all(row["state"] == "ok" or "weights" in row["how"] for row in rows)


@pytest.mark.usefixtures("finished")
def test_clean_shows_first_and_never_takes_a_finished_record(bench: Bench, tmp_path: Path) -> None:
    page = json.loads(bench("report", "--no-images", "--json").stdout)
    assert page["file"] == "results/report.html" and (tmp_path / page["file"]).is_file() and page["mb"] > 0
    layout = ResultsLayout(tmp_path / "results")
    (good,) = layout.runs.rglob("run.json")
    failed, cut_off = (good.parents[2] / name / "seed0" for name in ("failed-00000000", "cut-00000000"))
    for folder in (failed, cut_off):
        folder.mkdir(parents=True)
    cell = failed.relative_to(layout.runs).as_posix()
    text = json.loads(good.read_text()) | {"status": "failed", "error": "no such luck", "cell": cell}
    (failed / "run.json").write_text(json.dumps(text))
    (cut_off / "last.pt").write_bytes(b"weights")
    leftover = good.with_name(".run.json.part-0123456789ab")
    leftover.write_text("half")
    long_ago = time.time() - 7200
    os.utime(leftover, (long_ago, long_ago))
    for lock in (layout.root / "locks").rglob("*"):
        os.utime(lock, (long_ago, long_ago))
    before = {path for path in layout.root.rglob("*") if path.is_file()}

    shown = json.loads(bench("clean", "--json").stdout)
    kinds = {row["kind"] for row in shown["items"]}
    assert kinds == {"failed", "unfinished", "leftovers", "locks"} and shown["removed"] == []
    assert {path for path in layout.root.rglob("*") if path.is_file()} == before
    assert "nothing to clean" in bench("clean", "--older-than", "1d").stderr
    assert "--yes" in bench("clean").stderr

    bench("clean", "--yes")
    assert good.is_file() and (good.parent / "best.pt").is_file()
    assert not failed.exists() and not failed.parent.exists() and not cut_off.exists() and not leftover.exists()
    assert "nothing to clean" in bench("clean").stderr

    cell = good.parent.relative_to(layout.runs).as_posix()
    bench("clean", "--cell", cell, "--yes")
    assert not good.exists()


def test_clean_takes_caches_only_when_asked_and_nobody_elses_files(bench: Bench, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    ours = ["phantom-v1/file", f"pixels/{'0a' * 16}/images.npy", f"plans/{'1b' * 16}.plan", ".building-x-abcd1234/file"]
    theirs = ["phantom-vacation/beach.jpg", "pixels/family/us.png", "plans/budget.xlsx", ".building-site/plan.pdf"]
    for name in (*ours, *theirs):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_text("x")
        os.utime(cache / name, (1e9, 1e9))
        os.utime((cache / name).parent, (1e9, 1e9))
    given = ("clean", "--cache-dir", str(cache), "--yes")
    bench(*given)
    left = [name for name in ours if (cache / name).exists()]
    assert left == ours[1:3], "without --caches only what is outdated or half-built goes"
    bench(*given, "--caches")
    assert not any((cache / name).exists() for name in ours)
    assert all((cache / name).exists() for name in theirs)
    assert "--older-than soon" in bench("clean", "--older-than", "soon", code=2).stderr


@pytest.mark.usefixtures("finished")
def test_clean_and_run_leave_other_files_in_a_results_folder(tiny: Bench, bench: Bench, tmp_path: Path) -> None:
    """Hidden files with dots, such as .config.old.bak, are somebody's: only the names that this package gives go."""
    (record,) = (tmp_path / "results" / "runs").rglob("run.json")
    theirs = [
        tmp_path / "results" / ".git" / "objects" / ".tmp.obj.part-0123456789ab",
        tmp_path / "results" / "notes" / ".draft.old.bak",
        tmp_path / "results" / ".config.old.bak",
        record.with_name(".notes.old.bak"),
        record.with_name(".run.json.part-mine"),
    ]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        os.utime(path, (1e9, 1e9))
    assert "nothing to clean" in bench("clean", "--yes").stderr
    tiny("--if-exists", "overwrite")
    assert all(path.read_text() == "mine" for path in theirs)


def test_clean_touches_no_folder_that_run_did_not_mark(bench: Bench, tmp_path: Path) -> None:
    cut_off = tmp_path / "thesis" / "runs" / "jogging" / "2019" / "last.pt"
    cut_off.parent.mkdir(parents=True)
    cut_off.write_text("mine")
    done = bench("clean", "--results", "thesis", "--yes", "--older-than", "0s")
    assert cut_off.is_file() and "thesis: no .bench file" in done.stderr


def test_clean_leaves_a_cell_that_somebody_holds(bench: Bench, tmp_path: Path) -> None:
    from benchmark.store.locks import Lock

    layout = ResultsLayout(tmp_path / "results")
    last = layout.cell("unet/x-0/seed0").last
    last.parent.mkdir(parents=True)
    last.write_bytes(b"weights")
    (layout.root / ".bench").touch()
    with Lock(layout.lock("unet/x-0/seed0")).attempt() as held:
        assert held
        done = bench("clean", "--yes")
    assert last.is_file() and "locked by process" in done.stderr


def test_init_writes_a_model_that_trains_at_once(bench: Bench, tmp_path: Path) -> None:
    made = json.loads(bench("init", "my-model", "--json").stdout)
    assert made["file"] == "my_model.py"
    text = (tmp_path / "my_model.py").read_text()
    assert "exists already" in bench("init", "my-model", code=2).stderr
    assert (tmp_path / "my_model.py").read_text() == text
    _, *command = made["command"].split()
    done = bench(*command, *TINY, "--no-track", "--no-time-first")
    assert "my\\_model" in done.stdout
    assert "expected letters" in bench("init", "1 2", code=2).stderr


def test_a_setting_that_changes_nothing_is_named(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    plan = (
        "run",
        "--models",
        "./tiny_net.py",
        "--datasets",
        "phantom",
        "--recipe",
        "smoke",
        "--dry-run",
        "--no-time-first",
    )
    told = bench(*plan, "--set", "momentum=0.5", "--weights-dir", "weights").stderr
    assert "ignored    --set momentum: it needs optimizer = sgd" in told and "ignored    --weights-dir" in told
    assert "ignored" not in bench(*plan, "--set", "momentum=0.5", "--set", "optimizer=sgd").stderr
    assert "ignored: --leak-kinds" in bench("tables", "--leak-kinds", "near", code=2).stderr
    (tmp_path / "maps").mkdir()
    done = bench("evaluate", "--predictions", "maps", "--dataset", "phantom-etis", "--device", "cpu", code=2)
    assert "ignored: --device has no effect with --predictions" in done.stderr
