"""Search among designs of BSANet, and as many settings of U-Net, on validation images alone: no test image is read.

Usage: python tests/perf/search_bsanet.py FILE.jsonl [--designs points,map] [--seeds 0,1] [--size 64] [--images 160]
       python tests/perf/search_bsanet.py FILE.jsonl --list
       python tests/perf/search_bsanet.py FILE.jsonl --table

Each design is trained with each seed by recipe cpu-study with the given size, images and epochs, on split `grouped` of
Kvasir and CVC-ClinicDB; the seed also draws the training images, so designs are paired by seed. Each trial is one line
of the file: what was set, the history, and the validation scores of the trained network with parts switched off.
Trials that are in the file are kept, so the same command resumes; two processes may share a file. Recipe cpu-study had
a rate of 0.001 when the search began, and has the one that it chose since; trials set it, or had it by default.

results/reference/bsanet-search/trials.jsonl holds what was tried. Where settings say `refined_loss`, the network was
that of the commit it names; the design `points-and-map`, both losses together, exists there alone.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.config import derive_seed
from benchmark.data.pixels.shared import SharedPixels
from benchmark.data.splits.partition import Split
from benchmark.models.build import build_network
from benchmark.models.registry import expand_models
from benchmark.recipes.read import load_recipe, parse_overrides
from benchmark.runtime.device import make_fabric
from benchmark.runtime.source_tree import source_state
from benchmark.study.images import training_images
from benchmark.study.plan import Request, find_split
from benchmark.training.loop import train
from benchmark.training.state import Keeper
from benchmark.training.validate import validate

POINTS = {"rendering_loss": "points", "isam_weight": 1.0}
MAP = {"rendering_loss": "map", "isam_weight": 1.0}
SMALL, SLOW, HALF = {"isam_weight": 0.1}, ["lr_factors={swin=0.1}"], ["lr=0.0005"]
ADAMW = ["optimizer=adamw", "weight_decay=0.01"]
DESIGNS: dict[str, tuple[str, str, dict[str, Any], list[str]]] = {
    # name: model, dropped part, options of build(), settings of the recipe (beside a rate of 0.001 for every weight)
    "points": ("bsanet", "", POINTS, []),
    "map": ("bsanet", "", MAP, []),
    "map-to-all": ("bsanet", "", MAP | {"rendering_loss": "network"}, []),
    "small-isam": ("bsanet", "", MAP | SMALL, []),
    "slow-swin": ("bsanet", "", MAP, SLOW),
    "small-slow": ("bsanet", "", MAP | SMALL, SLOW),
    "context-1": ("bsanet", "", MAP | {"context_stride": 1}, []),
    "lr-2e-3": ("bsanet", "", MAP, ["lr=0.002"]),
    "small-slow-lr-2e-3": ("bsanet", "", MAP | SMALL, [*SLOW, "lr=0.002"]),
    "small-slow-lr-5e-4": ("bsanet", "", MAP | SMALL, [*SLOW, *HALF]),
    "structure-loss": ("bsanet", "", MAP | SMALL, [*SLOW, *HALF, "loss=structure"]),
    "no-isam": ("bsanet", "isam", POINTS, []),
    "no-isam-map": ("bsanet", "isam", MAP, HALF),
    "unet": ("unet", "", {}, []),
    "unet-lr-2.5e-4": ("unet", "", {}, ["lr=0.00025"]),
    "unet-lr-5e-4": ("unet", "", {}, HALF),
    "unet-lr-2e-3": ("unet", "", {}, ["lr=0.002"]),
    "unet-lr-4e-3": ("unet", "", {}, ["lr=0.004"]),
    "unet-adamw": ("unet", "", {}, ADAMW),
    "unet-adamw-lr-5e-4": ("unet", "", {}, [*ADAMW, *HALF]),
    "unet-structure-loss": ("unet", "", {}, ["loss=structure", *HALF]),
    "unet-structure-loss-lr-1e-3": ("unet", "", {}, ["loss=structure"]),
    "unet-structure-loss-adamw": ("unet", "", {}, ["loss=structure", *ADAMW, *HALF]),
    "unet-bce": ("unet", "", {}, ["loss=bce", *HALF]),
    "unet-warmup-2": ("unet", "", {}, ["warmup_epochs=2", *HALF]),
}
PARTS = ("isam", "fsam", "rendering")


def main() -> None:
    """Run the designs, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--designs", default=",".join(DESIGNS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(f"{name:28} {design}" for name, design in DESIGNS.items()))
    elif asked.table:
        print(table(read(asked.file)))
    else:
        for seed in map(int, asked.seeds.split(",")):
            for name in asked.designs.split(","):
                key = {"design": name, "seed": seed, "size": asked.size, "images": asked.images, "epochs": asked.epochs}
                if not any(key.items() <= trial.items() for trial in read(asked.file)):
                    trial = key | run(name, seed, asked)
                    with asked.file.open("a") as file:
                        file.write(json.dumps(trial) + "\n")
                    print(f"{name} {seed}: {trial['best']:.4f} in {trial['cpu_s']:.0f} s", flush=True)


def read(file: Path) -> list[dict[str, Any]]:
    """Return the trials of a file that may not exist yet."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def run(name: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Train one design with one seed; return its settings, history and validation scores."""
    model, dropped, options, settings = DESIGNS[name]
    general = [f"image_size={asked.size}", f"epochs={asked.epochs}", f"max_train_images={asked.images}"]
    general += ["train_subset=seed", "max_val_images=125", "lr=0.001", "lr_factors={}"]
    given = ", ".join(f"{key} = {json.dumps(value)}" for key, value in options.items())
    settings = [*general, *settings, *([f"model_options={{{given}}}"] if given else [])]
    drop = (dropped,) if dropped else ()
    (spec,) = expand_models([model])
    recipe = load_recipe("cpu-study", model=spec.name, overrides=parse_overrides(settings))
    split, pixels = split_and_pixels()
    fabric = make_fabric("cpu", recipe)
    torch.manual_seed(derive_seed("init", seed))
    network = build_network(spec, recipe, drop=drop, pretrained=False)
    pools = training_images(split, recipe, seed, pixels).pools(recipe)
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        keeper = Keeper(Path(folder) / "last.pt", owner="search", every_s=1e9)
        outcome = train(network, recipe, pools, seed=seed, fabric=fabric, keeper=keeper)
    cpu_s = time.process_time() - begun
    off = {}
    switch: Callable[..., torch.nn.Module] | None = getattr(network, "switched_off", None)
    for part in PARTS if switch is not None else ():
        if part not in drop and switch is not None:
            off[part] = validate(switch(part), recipe, pools[1], fabric)
    return {
        "settings": settings,
        "drop": dropped,
        "commit": source_state()[0],
        "status": outcome.status,
        "best_epoch": outcome.best_epoch,
        "best": max(row["val_dice_half"] for row in outcome.history),
        "history": [{key: round(value, 5) for key, value in row.items()} for row in outcome.history],
        "used_in_prediction": {k: int(v) for k, v in getattr(network, "validated_switches", dict)().items()},
        "switched_off": {part: {key: round(value, 5) for key, value in row.items()} for part, row in off.items()},
        "cpu_s": round(cpu_s, 1),
    }


@functools.cache
def split_and_pixels() -> tuple[Split, SharedPixels]:
    """Return split `grouped` and the pixels of its training and validation images."""
    split = find_split(Request(datasets=("kvasir", "clinicdb"), split="grouped", allow_missing=True))
    return split, SharedPixels([*split.train, *split.val])


def table(trials: list[dict[str, Any]]) -> str:
    """Return Markdown: validation Dice at 0.5 per design and seed, and differences from the model's first design."""
    lines = ["| px | design | seed: validation Dice | mean | paired with | difference per seed | off: rendering |"]
    lines.append("|--:|:--|:--|--:|:--|:--|:--|")
    for size in sorted({trial["size"] for trial in trials}):
        found: dict[str, dict[int, dict[str, Any]]] = {}
        for trial in trials:
            if trial["size"] == size:
                found.setdefault(trial["design"], {})[trial["seed"]] = trial
        order = {name: place for place, name in enumerate(DESIGNS)}
        for name, by_seed in sorted(found.items(), key=lambda one: order.get(one[0], 1)):
            first = "unet" if name.startswith("unet") else "points"
            scores = {seed: by_seed[seed]["best"] for seed in sorted(by_seed)}
            both = [seed for seed in scores if seed in found[first]]
            differences = [scores[seed] - found[first][seed]["best"] for seed in both]
            off = [
                scores[seed] - by_seed[seed]["switched_off"]["rendering"]["val_dice_half"]
                for seed in scores
                if "rendering" in by_seed[seed]["switched_off"]
            ]
            cells = [
                str(size),
                name,
                ", ".join(f"{seed}: {score:.3f}" for seed, score in scores.items()),
                f"{np.mean(list(scores.values())):.3f}",
                first if name != first else "",
                " ".join(f"{one:+.3f}" for one in differences) if name != first else "",
                " ".join(f"{one:+.4f}" for one in off),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
