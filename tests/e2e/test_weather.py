"""Bad weather in a grid: a network that diverges, a card that is too small, each recorded, and the grid goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness import NET, TINY, Bench

EXPLODES = NET.replace(
    "return (nn.functional.interpolate(self.body(image)",
    "return (nn.functional.interpolate(self.gain() * self.body(image)",
).replace(
    "def forward",
    """def gain(self):
        self.calls = getattr(self, "calls", 0) + self.training
        return 1e9 if self.calls == 5 else 1.0

    def forward""",
)
SMALL_CARD = NET.replace(
    "def forward(self, image):",
    """def forward(self, image):
        if self.training and len(image) > FITS:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")""",
)


def records(results: Path) -> dict[str, dict[str, Any]]:
    found = (json.loads(path.read_text()) for path in results.rglob("run.json"))
    return {record["model"]: record for record in found}


def test_divergence_and_a_small_card_are_recorded_and_the_grid_goes_on(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "explodes.py").write_text(EXPLODES)
    (tmp_path / "card.py").write_text(f"FITS = 3\n{SMALL_CARD}")
    (tmp_path / "tiny_card.py").write_text(f"FITS = 0\n{SMALL_CARD}")
    files = ("explodes", "card", "tiny_card", "tiny_net")
    models = ",".join(f"./{name}.py:build" for name in files)
    common = ("--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY, "--no-track", "--no-estimate")
    done = bench("run", "--models", models, *common, code=None)
    assert "Traceback" not in done.stderr
    found = records(tmp_path / "results")
    assert {m.split(":")[1]: r["status"] for m, r in found.items()} == {
        "explodes": "diverged",
        "card": "ok",
        "tiny_card": "failed",
        "tiny_net": "ok",
    }

    diverged = found["file:explodes:build"]
    cause = diverged["training"]["diverged"]
    assert (cause["epoch"], cause["step"]) == (2, 2) and "epoch 2, step 2 of 3" in diverged["error"]
    assert len(cause["images"]) == 8 and all(name.startswith("phantom-kvasir/") for name in cause["images"])

    card = found["file:card:build"]["training"]
    assert card["micro_batch"] == 2 and card["out_of_memory"][-1] == {"epoch": 1, "step": 1, "micro_batch": 2}
    assert (
        done.stderr.count("out of GPU memory at epoch 1, step 1: 8 images a pass do not fit, 4 are tried") == 2
    )  # both cards
    assert "image_size" in found["file:tiny_card:build"]["error"]
    plain = {"precision": "32-true", "channels_last": False, "compile": False, "micro_batch": None}
    assert found["file:tiny_net:build"]["training"] == plain


def test_the_plan_says_how_the_device_computes(bench: Bench) -> None:
    plan = ("run", "--models", "./tiny_net.py:build", "--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY)
    asked = ("--set", "precision=bf16-mixed", "--set", "channels_last=true", "--set", "micro_batch=2")
    done = bench(*plan, "--dry-run", "--no-estimate", "--device", "cpu", *asked)
    assert "cpu: bf16-mixed, channels last, 2 images a pass" in done.stdout + done.stderr
