"""Steps of the device check that hold the device to what a CPU and the records promise."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from case import Case, Left, clean, pools, values
from torch import nn

from benchmark.execution.process_group import group_fabric, leave_group
from benchmark.prediction.maps import first_map
from benchmark.runtime.device import make_fabric
from benchmark.runtime.memory import GPU_SHARE
from benchmark.training.batches import Batches
from benchmark.training.loop import train
from benchmark.training.losses import get_criterion, make_loss
from benchmark.training.share import Share
from benchmark.training.state import Follower, Keeper

Step = Callable[[Case, float], dict[str, Any]]
_FULL, _HALF = 1e-3, 0.1
"""Mean difference of logits from a CPU's, as a share of their deviation: float32 without TF32, and bf16."""


def trainings(case: Case, left: float) -> dict[str, Any]:
    """Each network trains two epochs on phantom; its loss is finite and falls, validation gives numbers."""
    facts = {}
    for name in case.models:
        with clean(case) as folder:
            outcome = case.train(case.model(name), folder)
        first, last = outcome.history[0], outcome.history[-1]
        assert outcome.status == "ok", f"{name}: {outcome.error}"
        assert last["train_loss"] < first["train_loss"], f"{name}: the loss rose"
        assert math.isfinite(last["val_mdsc"]) and outcome.facts.get("micro_batch") is None
        facts[name] = f"loss {first['train_loss']:.3f} to {last['train_loss']:.3f}; {outcome.facts}"
    return facts


def agreement(case: Case, left: float) -> dict[str, Any]:
    """Logits and loss are a CPU's: in float32 without TF32 nearly so, in bf16 within a stated bound."""
    facts = {}
    for name in case.models:
        with clean(case):
            model = case.model(name).eval()
            batch = Batches(pools(case)[0], case.recipe(augmentation=()), torch.device("cpu"), Share())
            positions = torch.arange(2).numpy()
            one = batch.one(positions, seed=0, epoch=1, step=0)
            expected, loss = _forward(model, make_fabric("cpu", case.recipe(precision="32-true")), one)
            found = []
            for precision, bound in (("32-true", _FULL), ("bf16-mixed", _HALF)):
                fabric = make_fabric(str(case.device), case.recipe(precision=precision))
                logits, other = _forward(model, fabric, one)
                far = float((logits - expected).abs().mean() / expected.std())
                assert far <= bound, f"{name} {precision}: logits differ by {far:.2g} of their deviation"
                assert abs(other - loss) <= bound * max(1.0, loss), f"{name} {precision}: loss {other} for {loss}"
                found.append(f"{precision} {far:.1e}, loss {abs(other - loss):.1e}")
            facts[name] = "; ".join(found)
    return facts


def _forward(model: nn.Module, fabric: Any, batch: Any) -> tuple[torch.Tensor, float]:
    model = model.to(fabric.device)
    loss = make_loss(model, get_criterion("bce_dice"))
    with torch.no_grad(), fabric.autocast():
        outputs = model(batch.images.to(fabric.device))
        value = float(loss(outputs, batch.masks.to(fabric.device)))
    return first_map(outputs).float().cpu(), value


def repeats(case: Case, left: float) -> dict[str, Any]:
    """``--deterministic`` twice gives the same bytes."""
    facts = {}
    for name in (case.fastest, "bsanet") if "bsanet" in case.models else (case.fastest,):
        found = []
        for _ in range(2):
            with clean(case) as folder:
                model = case.model(name)
                history = case.train(model, folder, repeatable=True).history
                found.append((history, values(model)))
        assert found[0] == found[1], f"{name}: two trainings differ"
        facts[name] = "same bytes"
    return facts


def resumption(case: Case, left: float) -> dict[str, Any]:
    """A training that is broken off and continued ends with the bytes of one that was not."""
    with clean(case) as folder:
        whole = case.model(case.fastest)
        expected = case.train(whole, folder / "whole", repeatable=True).history
        count = itertools.count(1)

        def stop(*_: Any) -> None:
            if next(count) == 4:
                raise KeyboardInterrupt

        try:
            case.train(case.model(case.fastest), folder / "cut", repeatable=True, on_step=stop, every_s=0.0)
        except KeyboardInterrupt:
            torch.manual_seed(99)
        assert (folder / "cut" / "last.pt").is_file(), "nothing was kept"
        continued = case.model(case.fastest, seed=1)
        found = case.train(continued, folder / "cut", repeatable=True).history
        assert found == expected and values(continued) == values(whole), "the continued training differs"
    return {case.fastest: "same bytes"}


def memory(case: Case, left: float) -> dict[str, Any]:
    """Where the memory is short, the batch is cut in halves and the training ends well."""
    if not case.is_cuda:
        return _memory_by_raising(case)
    with clean(case) as folder:
        torch.cuda.reset_peak_memory_stats(case.device)
        case.train(case.model(case.fastest), folder / "whole", case.recipe(epochs=1, cudnn_benchmark=False))
        peak, total = torch.cuda.max_memory_reserved(case.device), torch.cuda.mem_get_info(case.device)[1]
    try:
        with clean(case) as folder:
            torch.cuda.set_per_process_memory_fraction(0.7 * peak / total, case.device)
            recipe = case.recipe(epochs=1, cudnn_benchmark=False)
            outcome = case.train(case.model(case.fastest), folder, recipe)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, case.device)
    assert outcome.status == "ok" and outcome.facts["micro_batch"] < case.batch, outcome.facts
    return {"peak_mb": round(peak / 2**20), "micro_batch": outcome.facts["micro_batch"]}


def _memory_by_raising(case: Case) -> dict[str, Any]:
    model = case.model(case.fastest)

    def short(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if model.training and len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("made up")

    model.register_forward_pre_hook(short)
    with clean(case) as folder:
        outcome = case.train(model, folder, case.recipe(epochs=1))
    assert outcome.status == "ok" and outcome.facts["micro_batch"] == 2, outcome.facts
    return {"micro_batch": "2 (an error made up: no GPU)"}


def sharing(case: Case, left: float) -> dict[str, Any]:
    """Two cells train on one device at once, each within its share of the memory."""
    command = [sys.executable, str(Path(__file__).with_name("check.py")), "--device", str(case.device)]
    command += ["--models", case.fastest, "--only", "trainings", *["--short"] * case.short]
    env = {**os.environ, GPU_SHARE: "0.46"}
    with clean(case) as folder:
        children = [
            subprocess.Popen([*command, "--out", str(folder / f"{k}.json")], env=env, stdout=subprocess.DEVNULL)
            for k in range(2)
        ]
        codes = [child.wait(timeout=max(30.0, left)) for child in children]
    assert codes == [0, 0], f"ended with {codes}"
    return {case.fastest: "two at once"}


def several_devices(case: Case, left: float) -> dict[str, Any]:
    """One process in a group gives the losses of a process alone; so do two, where there are two devices."""
    worlds = [1] if case.is_cuda and torch.cuda.device_count() < 2 else [1, 2]
    facts: dict[str, Any] = {}
    recipe = case.recipe(precision="32-true", augmentation=("hflip",), epochs=1)
    with clean(case) as folder:
        alone = case.train(case.model(case.fastest), folder, recipe).history[0]["train_loss"]
    for world in worlds:
        with clean(case) as folder:
            context = torch.multiprocessing.get_context("spawn")
            others = [context.Process(target=_rank, args=(case, rank, world, folder)) for rank in range(1, world)]
            for other in others:
                other.start()
            loss = _rank(case, 0, world, folder)
            for other in others:
                other.join(30)
            assert [other.exitcode for other in others] == [0] * (world - 1)
        assert loss is not None and abs(loss - alone) <= 1e-2 * max(1.0, alone), (
            f"{world} processes: {loss} for {alone}"
        )
        facts[f"{world} of them"] = f"loss {loss:.5f}, alone {alone:.5f}"
    return facts


def _rank(case: Case, rank: int, world: int, folder: Path) -> float | None:
    recipe = case.recipe(precision="32-true", augmentation=("hflip",), epochs=1)
    model = case.model(case.fastest)
    timeout = timedelta(minutes=2)
    kind = case.device.type
    threads = torch.get_num_threads()
    fabric = group_fabric(kind, recipe, world, rank=rank, store=folder / "store", timeout=timeout)
    make = Follower if rank else Keeper
    keeper = make(folder / "last.pt", owner="check", every_s=1e9)
    outcome = train(model, recipe, pools(case), seed=0, fabric=fabric, keeper=keeper)
    leave_group()
    torch.set_num_threads(threads)
    return outcome.history[0].get("train_loss")


def compilation(case: Case, left: float) -> dict[str, Any]:
    """A compiled training, and one by CUDA graphs, end well; their losses are near a plain one's."""
    facts: dict[str, Any] = {}
    if case.is_cuda and left < 90:
        raise Left(f"{left:.0f} s are too few to compile")
    with clean(case) as folder:
        plain = case.train(case.model(case.fastest), folder, case.recipe(epochs=1)).history[0]["train_loss"]
    for how in (True, "cuda-graphs") if case.is_cuda else (True,):
        with clean(case) as folder:
            outcome = case.train(case.model(case.fastest), folder, case.recipe(epochs=1, compile=how))
        loss = outcome.history[0]["train_loss"]
        assert outcome.status == "ok" and abs(loss - plain) < 0.2 * plain, f"compile = {how}: {loss} for {plain}"
        facts[f"compile = {how}"] = f"loss {loss:.4f}, plain {plain:.4f}"
    return facts


CORRECT: dict[str, Step] = {
    "trainings": trainings,
    "agreement": agreement,
    "repeats": repeats,
    "resumption": resumption,
    "memory": memory,
    "sharing": sharing,
    "devices": several_devices,
}
