"""The same numbers again: against a golden run, whatever the order of models, for every variant of an ablation."""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from pathlib import Path

import golden
import pytest
from harness import NET, TINY, Bench

SPY = '''
import hashlib
import os
import torch
from torch import nn

SWITCHES = {"wide": "the second layer", "noise": "dropout, which draws numbers of its own"}

class Net(nn.Module):
    """Writes down what it is shown in training."""

    def __init__(self, drop):
        super().__init__()
        self.seen = os.environ.get("SEEN", "") and os.environ["SEEN"] + "/" + "-".join(["net", *sorted(drop)])
        layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()]
        if "wide" not in drop:
            layers += [nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU()]
        if "noise" not in drop:
            layers += [nn.Dropout(0.2), nn.Conv2d(8, 8, 1)]
        self.body = nn.Sequential(*layers, nn.Conv2d(8, 1, 1))

    def forward(self, image):
        return (nn.functional.interpolate(self.body(image), image.shape[-2:], mode="bilinear"),)

    def loss(self, outputs, mask, criterion=None):
        with open(self.seen, "a") as file:
            file.write(hashlib.sha256(self.last + mask.numpy().tobytes()).hexdigest() + "\\n")
        return (criterion or nn.functional.binary_cross_entropy_with_logits)(outputs[0], mask)

    def __call__(self, image):
        if self.training:
            self.last = image.detach().numpy().tobytes()
        return super().__call__(image)

def build(drop=()):
    return Net(drop)
'''
AUGMENTED = ("--set", 'augmentation=["hflip","rotate","zoom","jitter"]', "--set", "multi_scale=draw")
AUGMENTED = (*AUGMENTED, "--set", "scales=[1.0,1.5]", "--no-track", "--no-time-first")


@pytest.mark.slow
def test_the_golden_run(bench: Bench, tmp_path: Path) -> None:
    bench(*golden.COMMAND, OMP_NUM_THREADS="1")
    found = golden.read_run(tmp_path / "results")
    kept = golden.entries()
    here = golden.fingerprint()
    same = [entry for entry in kept if entry["fingerprint"] == here]
    if same:
        lines = golden.differences(same[0]["run"], found)
        assert not lines, "\n".join(["not the golden run, bit for bit (see tests/e2e/golden.py):", *lines[:20]])
        return
    other = kept[0]["fingerprint"]
    why = ", ".join(f"{key} {other[key]} there, {here[key]} here" for key in here if here[key] != other[key])
    warnings.warn(f"golden run compared with a tolerance, not bit for bit: {why}", stacklevel=1)
    lines = golden.large_differences(kept[0]["run"], found)
    assert not lines, "\n".join([f"further from the golden run than rounding explains ({why}):", *lines[:20]])


def test_a_golden_run_with_another_last_digit_is_noticed() -> None:
    run = golden.entries()[0]["run"]
    assert golden.differences(run, run) == golden.large_differences(run, run) == []
    changed = copy.deepcopy(run)
    bsanet, unet = changed["models"]["bsanet"], changed["models"]["unet"]
    unet["history"]["train_loss"][1] += 1e-9
    bsanet["weights_sha256"] = "0"
    bsanet["scores"]["phantom-etis"]["pranet"]["mDSC"] += 1e-3
    lines = golden.differences(run, changed)
    assert [line.partition("/")[0] for line in lines] == ["bsanet", "bsanet", "unet"]
    assert golden.large_differences(run, changed) == []
    bsanet["scores"]["phantom-etis"]["pranet"]["mDSC"] += 2 * golden.SCORE
    unet["history"]["train_loss"][1] *= 1 + 2 * golden.LOSS_SHARE
    assert len(golden.large_differences(run, changed)) == 2
    del unet["history"]["val_mdsc"]
    assert len(golden.large_differences(run, changed)) == 4 and len(golden.differences(run, changed)) == 5


def cells(root: Path) -> dict[str, str]:
    """Of every cell: history, weights, scores."""
    found = {}
    for path in sorted(root.rglob("run.json")):
        record = json.loads(path.read_text())
        scores = {name: test["scores"] for name, test in record["tests"].items()}
        history = (path.parent / "history.csv").read_text()
        found[record["cell"]] = f"{record['best_sha256']} {hashlib.sha256(history.encode()).hexdigest()} {scores}"
    return found


def test_the_order_of_models_and_seeds_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    noisy = NET.replace("nn.ReLU(),", "nn.ReLU(), nn.Dropout(0.3),", 1)
    (tmp_path / "noisy_net.py").write_text(noisy)
    names = ("./tiny_net.py", "./noisy_net.py")

    def run(models: tuple[str, ...], seeds: str, results: str) -> dict[str, str]:
        fixed = ("run", "--models", ",".join(models), "--seeds", seeds, "--datasets", "phantom-kvasir")
        bench(*fixed, "--recipe", "smoke", *TINY, *AUGMENTED, "--results", results)
        return cells(tmp_path / results)

    one, other = run(names, "0,1", "forth"), run(names[::-1], "1,0", "back")
    assert len(one) == 4 and len(set(one.values())) == 4 and one == other
    alone = run(names[1:], "1", "alone")
    assert alone.items() <= one.items()


def test_deterministic_is_accepted_on_a_cpu_and_changes_nothing(tiny: Bench, tmp_path: Path) -> None:
    one = ("--device", "cpu", "--set", "epochs=1")
    tiny(*one, "--results", "plain")
    done = tiny(*one, "--deterministic", "--results", "held")
    assert cells(tmp_path / "plain") == cells(tmp_path / "held") and "not deterministic" not in done.stderr
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "held").rglob("run.json"))
    assert record["environment"]["nondeterministic"] == []


def test_the_variants_of_an_ablation_see_the_same_batches_in_the_same_augmentation(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "spy.py").write_text(SPY)
    (tmp_path / "seen").mkdir()
    fixed = ("ablate", "--model", "./spy.py", "--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY, *AUGMENTED)
    bench(*fixed, SEEN="seen")
    seen = {path.name: path.read_text().split() for path in (tmp_path / "seen").iterdir()}
    assert set(seen) == {"net", "net-wide", "net-noise", "net-noise-wide"}
    steps = seen["net"] = seen["net"][1:]  # the first is the trial pass
    assert len(steps) == 2 * 3 and len(set(steps)) == 6, "two epochs of three batches, each another"
    assert all(other == steps for other in seen.values())
