"""Networks of one's own through the installed `bench`: several files, wrong outputs, seeds that repeat, resuming."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import NET, TINY, Bench

QUICK = (
    "--datasets",
    "phantom-kvasir",
    "--recipe",
    "smoke",
    *TINY,
    "--set",
    "epochs=1",
    "--no-track",
    "--no-time-first",
)


def cells(root: Path) -> dict[str, str]:
    found = (json.loads(path.read_text()) for path in (root / "results" / "runs").rglob("run.json"))
    return {record["cell"]: record["status"] for record in found}


def test_a_changed_neighbour_is_another_network_and_finished_cells_cost_nothing(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "blocks.py").write_text(NET)
    (folder / "net.py").write_text("from .blocks import TinyNet\n\ndef build():\n    return TinyNet()\n")
    run = ("run", "--models", "./lib/net.py:build", *QUICK)
    bench(*run, "--seeds", "3,3")
    assert len(cells(tmp_path)) == 1, "a seed that is given twice is one cell"
    timed = [option for option in run if option != "--no-time-first"]
    again = bench(*timed, "--seeds", "3")
    assert "kept: mDSC" in again.stderr and "nothing to train: all 1 cells are finished" in again.stderr
    (folder / "blocks.py").write_text(NET.replace("nn.ReLU()", "nn.ELU()"))
    assert "kept: mDSC" not in bench(*run, "--seeds", "3").stderr
    assert list(cells(tmp_path).values()) == ["ok", "ok"]


@pytest.mark.parametrize("more", [(), ("--dry-run", "--json")])
def test_outputs_are_tried_before_anything_is_trained(bench: Bench, tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "wrong.py").write_text(
        NET.replace("return (nn.functional", "return dict(out=nn.functional").replace('bilinear"),)', 'bilinear"))')
    )
    done = bench("run", "--models", "./tiny_net.py,./wrong.py", *QUICK, *more, code=2)
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: model file:wrong:build: returns a dictionary (out)") and "outputs=key:out" in error
    assert not (tmp_path / "results" / "runs").exists()


def test_an_adapter_makes_it_right_and_a_sigmoid_is_noted(bench: Bench, tmp_path: Path) -> None:
    body = NET.replace("return (nn.functional", "return dict(out=nn.functional").replace(
        'bilinear"),)', 'bilinear").sigmoid())'
    )
    (tmp_path / "wrong.py").write_text(body)
    done = bench("run", "--models", "./wrong.py", *QUICK, "--set", "outputs=key:out")
    assert "warning    wrong: values lie in [0, 1]" in done.stderr
    assert list(cells(tmp_path).values()) == ["ok"]


def test_only_commands_that_have_it_advise_allow_missing(bench: Bench, tmp_path: Path) -> None:
    for command in (
        ("data", "show", "etis"),
        ("data", "check", "etis"),
        ("evaluate", "--predictions", ".", "--dataset", "etis"),
    ):
        assert "--allow-missing" not in bench(*command, "--data-root", ".", code=None).stderr
    assert "--allow-missing" in bench("run", "--datasets", "etis", "--data-root", ".", code=2).stderr
