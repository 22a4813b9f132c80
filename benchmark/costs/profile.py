"""Cost of a network: parameters, multiply-adds, latency, memory, with the hardware that it was measured on."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchError
from benchmark.models.registry import ModelSpec, build_model
from benchmark.models.summary import live_parameters

if TYPE_CHECKING:
    from torch import Tensor, nn

_WARM_UP = 2


@dataclass(frozen=True)
class Cost:
    """One model at one input size and batch.

    Attributes:
        num_params: Unique parameters, without those that the network declares dead (``benchmark.models.summary``).
        gmacs: 1e9 multiply-adds of one image's forward pass (convolutions, linear layers, matrix products; torch's flop
            counter divided by two).
        latency_ms: Median time of one forward pass of the whole batch, after warm-up.
        latency_p95_ms: Its 95th percentile.
        peak_memory_mb: On CUDA the allocator's peak during the forward pass; on a CPU the peak resident set of a fresh
            process that builds the network and runs it.
        train_ms: Median time of one training step of the whole batch (forward, loss, backward); None where it was not
            asked for, or of a single image, which batch norm refuses.
        train_gmacs: Multiply-adds of the same, 1e9 per image.
        train_memory_mb: On CUDA the allocator's peak during these steps.
        train_precision: The precision that they ran in.
        onnx_ms: Median time of the same batch through the network's ONNX file by onnxruntime on the CPU, with as many
            threads; None where it was not asked for or cannot be exported.
        onnx_p95_ms: Its 95th percentile.
        onnxruntime: Its version.
        onnx_fault: Why there is no such time; "" otherwise.
    """

    model: str
    title: str
    size_px: int
    batch: int
    num_params: int
    gmacs: float
    latency_ms: float
    latency_p95_ms: float
    peak_memory_mb: float
    device: str
    device_name: str
    num_threads: int
    torch: str
    train_ms: float | None = None
    train_gmacs: float | None = None
    train_memory_mb: float | None = None
    train_precision: str | None = None
    onnx_ms: float | None = None
    onnx_p95_ms: float | None = None
    onnxruntime: str | None = None
    onnx_fault: str = ""


def profile(
    specs: Sequence[ModelSpec],
    *,
    size: int = 256,
    batches: Sequence[int] = (1, 16),
    repeats: int = 10,
    device: str = "cpu",
    recipe: str | None = None,
    onnx: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Cost]:
    """Measure every model in a process of its own; ``progress`` gets the number done and the total.

    With a recipe, training steps with its loss and precision are timed too; with ``onnx`` also the network's ONNX file.

    Raises:
        BenchError: The device does not exist, a model refuses the size, or ``onnx`` without its extra or on a GPU.
    """
    if onnx and device != "cpu":
        raise BenchError(f"--onnx: onnxruntime is timed on the CPU only; leave --device {device} out")
    if onnx:
        from benchmark.prediction.onnx_file import need_onnx

        need_onnx()
    rows: list[Cost] = []
    context = multiprocessing.get_context("spawn")
    for spec in specs:
        for batch in batches:
            progress(len(rows), len(specs) * len(batches))
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                try:
                    rows.append(pool.submit(measure, spec, size, batch, repeats, device, recipe, onnx).result())
                except BrokenProcessPool:
                    raise BenchError(
                        f"profile of {spec.name} at batch {batch}: its process died (out of memory?)"
                    ) from None
    return rows


def measure(
    spec: ModelSpec, size: int, batch: int, repeats: int, device: str, recipe: str | None = None, onnx: bool = False
) -> Cost:
    """Measure one model in this process (see ``Cost``)."""
    import numpy as np
    import torch

    from benchmark.runtime.environment import describe

    try:
        where = torch.device(device)
        model = build_model(spec).eval().to(where)
        image = torch.randn(batch, 3, size, size, device=where)
        with torch.inference_mode():
            gmacs = count_macs(model, image[:1]) / 1e9
            times = [_timed(model, image) for _ in range(_WARM_UP + repeats)][_WARM_UP:]
        peak = _peak_bytes(where)
        exported = _onnx(spec, model, image, repeats) if onnx else {}
        training = _training(spec, model, size, batch, repeats, device, recipe) if recipe and batch > 1 else {}
    except BenchError:
        raise
    except Exception as error:  # anything a user's model raises
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BenchError(f"profile of {spec.name} at {size} px on {device}: {reason}") from None
    env = describe(device)
    return Cost(
        model=spec.name,
        title=spec.title,
        size_px=size,
        batch=batch,
        num_params=live_parameters(model),
        gmacs=round(gmacs, 4),
        latency_ms=round(float(np.median(times)) * 1e3, 2),
        latency_p95_ms=round(float(np.percentile(times, 95)) * 1e3, 2),
        peak_memory_mb=round(peak / 2**20, 1),
        device=device,
        device_name=env["device_name"],
        num_threads=env["num_threads"],
        torch=torch.__version__,
        **training,
        **exported,
    )


def _onnx(spec: ModelSpec, model: nn.Module, image: Tensor, repeats: int) -> dict[str, Any]:
    """The fields of ``Cost`` on the ONNX file; after torch's passes, so that they leave their memory alone."""
    from benchmark.costs.onnx_latency import onnx_latency

    try:
        return onnx_latency(model, image, title=spec.title, warm_up=_WARM_UP, repeats=repeats)
    except BenchError as error:
        return {"onnx_fault": str(error)}


def _training(
    spec: ModelSpec, model: nn.Module, size: int, batch: int, repeats: int, device: str, name: str
) -> dict[str, Any]:
    """The fields of ``Cost`` on training."""
    from benchmark.costs.training_step import measure_step
    from benchmark.recipes.read import load_recipe
    from benchmark.runtime.compute import resolve
    from benchmark.runtime.device import make_fabric

    recipe = load_recipe(name, model=spec.name)
    fabric = make_fabric(device, recipe)
    step = measure_step(model, fabric, side=size, batch=batch, loss=recipe.loss, timed=repeats)
    return {
        "train_ms": round(step.seconds * batch * 1e3, 2),
        "train_gmacs": round(step.gmacs, 4),
        "train_memory_mb": None if step.peak_mb is None else round(step.peak_mb, 1),
        "train_precision": resolve(recipe, fabric.device).precision,
    }


def count_macs(model: nn.Module, image: Tensor) -> float:
    """Multiply-adds of one forward pass: torch's flop counter divided by two."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        model(image)
    return counter.get_total_flops() / 2


def as_rows(costs: Sequence[Cost]) -> list[dict[str, Any]]:
    """Costs as plain rows for tables and files."""
    return [{key: value for key, value in asdict(cost).items() if key != "onnx_fault"} for cost in costs]


def _timed(model: nn.Module, image: Tensor) -> float:
    import torch

    if image.device.type == "cuda":
        torch.cuda.synchronize(image.device)
    begun = time.perf_counter()
    model(image)
    if image.device.type == "cuda":
        torch.cuda.synchronize(image.device)
    return time.perf_counter() - begun


def _peak_bytes(where: Any) -> int:
    import torch

    if where.type == "cuda":
        return torch.cuda.max_memory_allocated(where)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
