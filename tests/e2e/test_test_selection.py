"""A checkpoint that is picked on test images: asked for by name, recorded, stated in tables, compared with ours."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from harness import Bench

RULE = "test:phantom-etis+phantom-colondb"


def _record(results: Path, of: str) -> dict[str, object]:
    found = [json.loads(path.read_text(encoding="utf-8")) for path in (results / "runs").rglob("run.json")]
    (record,) = [one for one in found if one["recipe"]["select"].startswith(of)]
    return dict(record)


def test_what_picking_on_test_images_gains_is_one_comparison(tiny: Bench, bench: Bench, tmp_path: Path) -> None:
    options = ("--set", "epochs=4", "--set", "max_val_images=3")
    tiny(*options, "--set", "select=last_all")
    done = tiny(*options, "--set", f"select={RULE}")
    assert "picked on test images of phantom-colondb, phantom-etis" in done.stderr + done.stdout
    picked, last = _record(tmp_path / "results", "test:"), _record(tmp_path / "results", "last_all")
    assert picked["recipe"]["select"] == "test:phantom-colondb+phantom-etis"  # type: ignore[index]
    assert picked["training"]["picked_on_test"] == {"phantom-colondb": 3, "phantom-etis": 3}  # type: ignore[index]
    assert picked["cell"] != last["cell"]
    # the same training: only the epoch that is kept may differ
    history = pd.read_csv(tmp_path / "results" / "runs" / str(picked["cell"]) / "history.csv")
    other = pd.read_csv(tmp_path / "results" / "runs" / str(last["cell"]) / "history.csv")
    assert history["train_loss"].tolist() == other["train_loss"].tolist()
    best = int(history["val_dice_half"].idxmax()) + 1
    assert picked["best_epoch"] == best and last["best_epoch"] == 4
    assert history["val_dice_half"].tolist() != other["val_dice_half"].tolist()

    hashed, mine = (f"smoke-{one['recipe_hash']}" for one in (picked, last))
    text = bench("tables", "--recipe", hashed, "--wide").stdout
    assert "Checkpoints picked on test images of Phantom-ColonDB" in text and "optimistic scores" in text
    assert "optimistic" not in bench("tables", "--recipe", mine).stdout
    both = ("--recipe", mine, "--recipe-b", hashed, "--json")
    found = json.loads(bench("compare", "results", "results", *both).stdout)
    (changed,) = [line for line in found["config"] if line["field"] == "recipe.select"]
    assert (changed["a"], changed["b"]) == ('"last_all"', '"test:phantom-colondb+phantom-etis"')
    assert {row["dataset"] for row in found["numbers"]} >= {"phantom-etis", "phantom-colondb"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "select=test:CVC-300"], "has no test set cvc300"),
        (["--set", "select=test"], "the recipe names none; take --recipe native"),
        (["--set", "select=test:"], "select = 'test:'"),
        (["--recipe", "native", "--set", "select=test"], "no test set by which the authors of"),
        (["--recipe", "own.toml"], "ask for it by name: --set select=test:phantom-etis"),
        (["--recipe", "odd.toml"], "test_selection must list test sets by model"),
    ],
)
def test_it_is_refused_in_one_line_unless_it_is_asked_for_by_name(
    tiny: Bench, tmp_path: Path, options: list[str], words: str
) -> None:
    (tmp_path / "own.toml").write_text('epochs = 1\nselect = "test:phantom-etis"\n', encoding="utf-8")
    (tmp_path / "odd.toml").write_text("epochs = 1\n[test_selection]\nunet = 3\n", encoding="utf-8")
    done = tiny(*options, code=2)
    assert words in done.stderr and done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert not list(tmp_path.rglob("run.json"))
