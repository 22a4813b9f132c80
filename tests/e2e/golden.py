"""The golden run: two networks, two epochs, every number kept in ``golden.json``.

Whoever changes a number on purpose makes the file anew with ``python tests/e2e/golden.py`` and says so in the
changelog. The file holds one entry per kind of machine; the command replaces this machine's and leaves the others.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from harness import bench_executable

from benchmark.runtime.environment import describe
from benchmark.store.checkpoint import load_weights

FILE = Path(__file__).with_name("golden.json")
MODELS = ("bsanet", "unet")
PROTOCOLS = ("pranet", "half")
COMMAND = (
    *("run", "--models", ",".join(MODELS), "--datasets", "phantom-kvasir,phantom-etis", "--seeds", "0"),
    *("--recipe", str(Path(__file__).with_name("golden.toml")), "--device", "cpu", "--no-track", "--no-time-first"),
)
LOSS_SHARE, SCORE = 0.02, 0.1
"""What another torch, CPU or thread count may move. They add in another order; two epochs amplify the last bit, most of
all Adam's first steps, which turn a gradient near 0 into a step of full length. Forced on one machine (ATen without
vector instructions, two threads, oneDNN held to SSE4.1 and MKL to its compatible path) losses moved by up to 0.7 %,
main scores by up to 0.034; three times that is let pass."""
_MAIN = ("mDSC", "mIoU", "MAE")
_PACKAGES = ("torch", "timm", "segmentation-models-pytorch", "numpy", "scipy", "pillow")


def fingerprint() -> dict[str, Any]:
    """What decides the bits beside our own code: versions, instruction set, model of the CPU, threads."""
    return {
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu": describe("cpu")["device_name"],  # MKL and oneDNN choose kernels and blocks by model and cache size
        "num_threads": int(os.environ.get("OMP_NUM_THREADS") or torch.get_num_threads()),
    }


def read_run(results: Path) -> dict[str, Any]:
    """What one golden run found: the pixels' fingerprints; per model its history, scores and digest of its weights."""
    records = {}
    for path in results.rglob("run.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        records[record["model"]] = (path.parent, record)
    assert set(records) == set(MODELS), f"golden run: cells of {sorted(records)}"
    first = records[MODELS[0]][1]
    tests = {name: test["fingerprint"] for name, test in first["tests"].items()}
    return {
        "data": {key: first["split"][key] for key in ("fingerprint_train", "fingerprint_val")} | tests,
        "models": {name: _found(*records[name]) for name in MODELS},
    }


def _found(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    assert record["status"] == "ok", record["error"]
    with (folder / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    digest = hashlib.sha256()
    for name, value in sorted(load_weights(folder / "best.pt", record["best_sha256"]).items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return {
        "best_epoch": record["best_epoch"],
        "history": {column: [float(row[column]) for row in rows] for column in rows[0]},
        "scores": {name: {p: test["scores"][p] for p in PROTOCOLS} for name, test in record["tests"].items()},
        "weights_sha256": digest.hexdigest(),
    }


def entries() -> list[dict[str, Any]]:
    """The entries of the golden file: ``fingerprint`` and ``run``."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else []


def differences(golden: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Name every number that differs; columns and protocols that the golden file does not know are no difference."""
    lines = [] if golden["data"] == found["data"] else ["the images: drawn or encoded otherwise"]
    return lines + [f"{key}: {a!r} became {b!r}" for key, a, b in _pairs(golden, found) if a != b]


def large_differences(golden: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Name the losses and main scores that differ by more than rounding explains (``LOSS_SHARE``, ``SCORE``)."""
    lines = []
    for key, a, b in _pairs(golden, found):
        limit = LOSS_SHARE * a if "/train_loss/" in key else SCORE if key.rpartition("/")[2] in _MAIN else None
        if "/val_mdsc/" in key:
            limit = SCORE
        if limit is not None and not (b is not None and abs(a - b) <= limit):
            lines.append(f"{key}: {a!r} became {b!r}")
    return lines


def _pairs(golden: dict[str, Any], found: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    new = dict(_numbers(found["models"]))
    return [(key, value, new.get(key)) for key, value in _numbers(golden["models"])]


def _numbers(tree: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(tree, dict):
        return [pair for key, value in tree.items() for pair in _numbers(value, f"{path}/{key}" if path else key)]
    if isinstance(tree, list):
        return [(f"{path}/{number}", value) for number, value in enumerate(tree)]
    return [(path, tree)]


def main() -> None:
    """Make this machine's entry anew."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [bench_executable(), *COMMAND, "--results", "results"],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
        )
        os.environ["OMP_NUM_THREADS"] = "1"
        entry = {"fingerprint": fingerprint(), "run": read_run(Path(folder) / "results")}
    kept = [old for old in entries() if old["fingerprint"] != entry["fingerprint"]]
    FILE.write_text(json.dumps([entry, *kept], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
