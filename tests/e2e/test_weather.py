"""Bad weather: a network that diverges, a card that is too small, a file that never answers; the grid goes on or one
line says what is wrong."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import NET, TINY, Bench
from PIL import Image

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
    common = ("--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY, "--no-track", "--no-time-first")
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
    done = bench(*plan, "--dry-run", "--no-time-first", "--device", "cpu", *asked)
    assert "cpu: bf16-mixed, channels last, 2 images a pass" in done.stdout + done.stderr


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    """A dataset of one's own, drawn here: ``own/images`` and ``own/masks``, twelve pairs."""
    rng = np.random.default_rng(0)
    for i in range(12):
        mask = np.zeros((60, 80), np.uint8)
        mask[10 + i : 40, 20:50] = 255
        image = rng.integers(0, 80, (60, 80, 3), np.uint8) + mask[..., None] // 2
        for kind, pixels in (("images", image), ("masks", mask)):
            folder = tmp_path / "own" / kind
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{i:02}.png")
    return tmp_path / "own"


@pytest.fixture
def held(own_data: Path) -> Iterator[Path]:
    """An image that cannot be opened: this process holds a lease on it and does not give way (Linux waits 45 s)."""
    path = own_data / "images" / "03.png"
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel's request to give way
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield path
    except OSError as error:
        pytest.skip(f"this file system knows no leases: {error}")
    finally:
        os.close(handle)
        signal.signal(signal.SIGIO, before)


RUN_OWN = ("run", "--models", "./tiny_net.py:build", "--datasets", "own", "--data-root", ".", "--split", "grouped")
NO_EXTRAS = ("--recipe", "smoke", *TINY, "--no-track", "--no-time-first")


def test_a_file_that_never_answers_is_named_after_the_time_limit(bench: Bench, held: Path) -> None:
    done = bench(*RUN_OWN, *NO_EXTRAS, code=2, BENCH_READ_LIMIT_S="1.5")
    assert f"error: cannot read {held.relative_to(held.parents[2])}: no answer within 1.5 s" in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) < 4


def test_maps_that_never_answer_are_named_too(bench: Bench, held: Path) -> None:
    maps, masks = str(held.parent), str(held.parent.parent / "masks")
    done = bench("evaluate", "--predictions", maps, "--masks", masks, "--name", "x", code=2, BENCH_READ_LIMIT_S="1.5")
    assert "03" in done.stderr and "no answer within 1.5 s" in done.stderr and "Traceback" not in done.stderr


def test_a_named_pipe_in_a_dataset_is_refused_at_once(bench: Bench, own_data: Path) -> None:
    (own_data / "images" / "03.png").unlink()
    os.mkfifo(own_data / "images" / "03.png")
    done = bench(*RUN_OWN, *NO_EXTRAS, code=2)
    assert "own/images/03.png: it is a named pipe" in done.stderr and "Traceback" not in done.stderr
