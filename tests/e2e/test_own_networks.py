"""Networks of one's own through the installed `bench`: several files, wrong outputs, seeds that repeat, resuming."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from harness import NET, TINY, Bench

from benchmark.models.registry import build_model

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


PARTS = """
from shares import share

def tversky(logits, mask, beta=0.7):
    p = logits.sigmoid()
    hits = (p * mask).sum((1, 2, 3))
    missed, wrong = (mask * (1 - p)).sum((1, 2, 3)), ((1 - mask) * p).sum((1, 2, 3))
    return (1 - (hits + 1) / (hits + share(beta) * missed + (1 - beta) * wrong + 1)).mean()

def shade(image, mask, rng, strength):
    return (image * (1 - strength * rng.random())).astype("uint8"), mask

def silent(logits, mask):
    return 0.5
"""
RECIPE = """
loss = "./parts.py:tversky"
ema_decay = 0.9
patience = 2
epochs = 3
batch_size = 8
image_size = 64
max_train_images = 24
max_val_images = 8
max_test_images = 4

[[transforms]]
name = "./parts.py:shade"
strength = 0.4

[[transforms]]
name = "RandomGamma"
gamma_limit = [60, 140]
"""


def test_a_recipe_names_a_loss_and_transforms_of_ones_own_and_of_albumentations(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "shares.py").write_text("def share(x):\n    return x\n")
    (tmp_path / "mine.toml").write_text(RECIPE)
    run = ("run", "--models", "./tiny_net.py:build", "--datasets", "phantom-kvasir", "--recipe", "mine.toml")
    run += ("--no-track", "--no-time-first")
    said = bench(*run).stderr
    assert "at most 3 epochs (ends after 2 without a better one)" in said
    assert "loss ./parts.py:tversky" in said and "transforms ./parts.py:shade, RandomGamma" in said
    (path,) = (tmp_path / "results" / "runs").rglob("run.json")
    record = json.loads(path.read_text())
    assert set(record["training"]["own_code"]) == {"parts.py:tversky", "parts.py:shade"}
    assert record["training"]["albumentations"] and record["recipe"]["loss"] == "./parts.py:tversky"
    assert str(tmp_path) not in path.read_text()
    best = (path.parent / "best.pt").read_bytes()
    assert "kept: mDSC" in bench(*run).stderr
    bench(*run, "--if-exists", "overwrite")
    assert (path.parent / "best.pt").read_bytes() == best, "the same draws from the same seeds"
    (tmp_path / "shares.py").write_text("def share(x):\n    return x / 2\n")
    assert "kept: mDSC" not in bench(*run).stderr and len(cells(tmp_path)) == 2, "a changed neighbour is another loss"

    for change, words in (
        ("loss=./parts.py:silent", "loss ./parts.py:silent: returns a float; expected a finite scalar"),
        ("loss=./parts.py:absent", "loss ./parts.py:absent: parts.py has no function 'absent'"),
        ("loss=./part.py:tversky", "recipe mine: ./part.py:tversky: no such file"),
        (
            "loss=tversky",
            "loss = 'tversky': expected bce_dice, bce, dice, structure, focal, native or FILE.py:function",
        ),
        ('transforms=["RandomGama"]', "unknown transform 'RandomGama'"),
        ("ema=0.9", "use ema_decay, the decay of averaged weights"),
        ("patience=0", "patience = 0"),
    ):
        error = bench(*run, "--dry-run", "--set", change, code=2).stderr.splitlines()[-1]
        assert error.startswith("error: ") and words in error, error
    assert len(cells(tmp_path)) == 2


def test_a_network_that_cannot_be_trained_is_told_of_before_it_is_tuned(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(NET.replace("return (nn", "return dict(out=nn").replace('r"),)', 'r"))'))
    (tmp_path / "space.toml").write_text('[search.lr]\nlow = 1e-4\nhigh = 1e-2\n[search.loss]\nchoices = ["bce"]\n')
    call = ("tune", "--trials", "1", "--datasets", "phantom-kvasir", "--recipe", "smoke", "--space", "space.toml")
    done = bench(*call, "--models", "./wrong.py:build", code=2)
    assert "error: model file:wrong:build: returns a dictionary (out)" in done.stderr
    assert not list((tmp_path / "results").rglob("*.journal"))
    (tmp_path / "space.toml").write_text('[search.loss]\nchoices = ["bce", "./absent.py:loss"]\n')
    done = bench(*call, "--models", "./tiny_net.py:build", code=2)
    assert "./absent.py:loss: no such file" in done.stderr.splitlines()[-1]


def test_a_finished_cell_is_trained_further_as_a_cell_beside_it(bench: Bench, tmp_path: Path) -> None:
    run = ("run", "--models", "./tiny_net.py:build", *QUICK)
    bench(*run, "--seeds", "0,1")
    (old,) = {cell.rpartition("/")[0] for cell in cells(tmp_path)}
    runs = tmp_path / "results" / "runs"
    before = {path: path.read_bytes() for path in (runs / old).rglob("*") if path.is_file()}
    further = (*run, "--seeds", "0,1", "--init-from", old.removeprefix("file_")[:14], "--set", "lr=1e-12")
    further += ("--set", "epochs=2")
    said = bench(*further).stderr
    new = {int(cell[-1]): cell for cell in cells(tmp_path) if cell.rpartition("/")[0] != old}
    assert set(new) == {0, 1}
    assert f"continues  {old}/seed0 (epoch 1) as {new[0]}: 2 further epochs" in said
    assert all(path.read_bytes() == content for path, content in before.items()), "the first cells stay as they are"
    for seed, cell in new.items():
        first, second = (json.loads((runs / name / "run.json").read_text()) for name in (f"{old}/seed{seed}", cell))
        start = {"used": True, "name": "best.pt", "sha256": first["best_sha256"], "start": first["cell"], "epoch": 1}
        assert second["pretrained"] == start
        weights, others = (torch.load(runs / name / "best.pt") for name in (f"{old}/seed{seed}", cell))
        torch.testing.assert_close(weights["body.0.weight"], others["body.0.weight"])
        assert len((runs / cell / "history.csv").read_text().splitlines()) == 3
    assert bench(*further).stderr.count("kept: mDSC") == 2, "named alike, the first cells are meant"
    table = bench("tables", "--recipe", f"smoke-{second['recipe_hash']}", "--std").stdout.replace("\\_", "_")
    assert f"continued from {old}" in table and "±" in table, "seeds that go on each from its own are one row"
    both = bench("tables", "--settings").stdout.replace("\\_", "_")
    assert "not continued" in both and f"continued from {old}" in both
    more = bench(*run, "--init-from", f"results/runs/{new[1]}", "--dry-run").stderr
    assert f"continues  {new[1]} (epoch" in more
    (runs / new[1] / "best.pt").unlink()
    refused = bench(*run, "--init-from", f"results/runs/{new[1]}", "--dry-run", code=2).stderr
    assert f"{new[1]}: holds no trained weights (its best.pt is gone); name a finished cell" in refused
    record = json.loads((runs / new[1] / "run.json").read_text())
    (runs / new[1] / "run.json").write_text(json.dumps({**record, "status": "diverged"}))
    refused = bench(*run, "--init-from", f"results/runs/{new[1]}", "--dry-run", code=2).stderr
    assert "holds no trained weights (status diverged)" in refused


def test_a_training_starts_from_a_checkpoint_or_says_why_not(bench: Bench, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = build_model(str(tmp_path / "tiny_net.py:build")).state_dict()
    torch.save({"state_dict": {f"model.{key}": value for key, value in state.items()}}, tmp_path / "light.ckpt")
    run = ("run", "--models", "./tiny_net.py:build", *QUICK, "--set", "lr=1e-12", "--init-from")
    said = bench(*run, "light.ckpt").stderr
    assert "note       light.ckpt: trained on other images before, which the search for leaks cannot see" in said
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "results" / "runs").rglob("run.json"))
    assert record["pretrained"]["start"] == "file" and len(record["pretrained"]["sha256"]) == 64
    best = torch.load(tmp_path / "results" / "runs" / record["cell"] / "best.pt")
    torch.testing.assert_close(best["body.0.weight"], state["body.0.weight"])
    assert f"from light.ckpt (sha256 {record['pretrained']['sha256'][:12]})" in bench("tables").stdout
    state["body.0.weight"] += 1
    torch.save(state, tmp_path / "light.ckpt")
    bench(*run, "light.ckpt")
    assert len(cells(tmp_path)) == 2, "another content is another cell"
    torch.save({"other.weight": torch.ones(1)}, tmp_path / "other.pt")
    for asked, words in (("other.pt", "does not fit TinyNet"), ("absent.pt", "no such file, and no finished cell")):
        assert words in bench(*run, asked, code=2).stderr.splitlines()[-1]
    assert len(cells(tmp_path)) == 2


def test_a_group_of_parameters_gets_its_own_rate_or_is_refused_before_training(bench: Bench, tmp_path: Path) -> None:
    grouped = NET.replace(
        "    def forward",
        "    def parameter_groups(self):\n        return {'first': self.body[0].parameters()}\n\n    def forward",
    )
    (tmp_path / "grouped.py").write_text(grouped)
    call = ("run", "--models", "./grouped.py", "--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY)
    fixed = ("--no-track", "--no-time-first")
    wrong = bench(*call, *fixed, "--set", "lr_factors={last = 0.1}", code=2).stderr.splitlines()[-1]
    assert "no group of parameters 'last'; its groups are first" in wrong
    assert not list((tmp_path / "results").rglob("run.json"))
    bench(*call, *fixed, "--set", "lr_factors={first = 0.1}", "--set", "lr_warmups={first = 1}")
    (path,) = (tmp_path / "results").rglob("run.json")
    recipe = json.loads(path.read_text())["recipe"]
    assert recipe["lr_factors"] == {"first": 0.1} and recipe["lr_warmups"] == {"first": 1.0}
    shown = bench("recipes", "--fields").stdout
    assert "lr_factors" in shown and "lr_warmups" in shown
