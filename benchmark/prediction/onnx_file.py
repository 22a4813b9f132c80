"""A network as an ONNX file that needs nothing of this package: pixels to probabilities, checked before it is kept."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.data.pixels import transforms
from benchmark.data.pixels.resize import resize_image
from benchmark.errors import BenchError
from benchmark.prediction.maps import first_map
from benchmark.prediction.network import Network
from benchmark.store.io import explain_os_errors, temporary_beside

OPSET = 18
TOLERANCE = 1e-3
"""Most that a probability of the file may differ from the network's on the images that it is checked with."""


@dataclass(frozen=True)
class Exported:
    """What was written and how it did.

    Attributes:
        file: The ONNX file. opset: Of its operators. num_bytes: Its size.
        images: Images that it was checked with.
        largest: Greatest difference of a probability. levels: The same in levels of the 8-bit map.
        network_ms: Median milliseconds of a batch by torch on this CPU; onnx_ms: by onnxruntime, as many threads.
        threads: Threads of both.
    """

    file: Path
    opset: int
    num_bytes: int
    images: int
    largest: float
    levels: int
    network_ms: float
    onnx_ms: float
    threads: int


class ScoredProbabilities(nn.Module):
    """Normalised images (B, 3, S, S) -> probabilities of the scored map (B, 1, S, S)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return first_map(self.network(image)).sigmoid()


class _Probabilities(ScoredProbabilities):
    """RGB in 0..1, (B, 3, S, S) -> probabilities (B, 1, S, S); the recipe's normalisation is part of it."""

    def __init__(self, network: nn.Module, normalize: Any) -> None:
        super().__init__(network)
        self.normalize = normalize

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(transforms.normalize(image, self.normalize))


def export_onnx(
    network: Network, file: Path, images: Sequence[NDArray[np.uint8]], *, batch: int = 1, repeats: int = 10
) -> Exported:
    """Write a network as ONNX, run it beside the network, and keep it if both agree.

    The file takes ``image``, (batch, 3, S, S) float32 RGB in 0..1 at the recipe's size S, and gives ``prob``,
    (batch, 1, S, S); resizing to the picture's own size and the recipe's ``postprocess`` stay outside. Its metadata
    names both.

    Args:
        network: On the CPU.
        file: Target; replaced if it is there.
        images: (H, W, 3) uint8 RGB, at least one.
        batch: Images at once; part of the file.
        repeats: Timed passes of each.
    Raises:
        BenchError: onnx or onnxruntime is missing, the network cannot be traced, or the file differs by more than
            ``TOLERANCE``; then nothing is written.
    """
    runtime = need_onnx()
    recipe = network.recipe
    model = _Probabilities(network.model.eval(), recipe.normalize).eval()
    pixels = [resize_image(image, recipe.image_size, recipe.resize) for image in images]
    tensors = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float().div(255)
    batches = [_filled(tensors[at : at + batch], batch) for at in range(0, len(tensors), batch)]
    part = temporary_beside(file)
    with explain_os_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_onnx(model, batches[0], part, _metadata(network))
            found = _compare(model, open_session(runtime, part), batches, repeats)
            if not found[0] <= TOLERANCE:
                reason = f"its probabilities differ by {found[0]:.2g} from the network's"
                raise BenchError(f"{file}: {reason}, more than {TOLERANCE:g}; it was not kept")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    largest, levels, own_ms, onnx_ms = found
    size, threads = file.stat().st_size, torch.get_num_threads()
    return Exported(file, OPSET, size, len(images), largest, levels, own_ms, onnx_ms, threads)


def need_onnx() -> Any:
    """Return onnxruntime.

    Raises:
        BenchError: It, or what torch's exporter needs, is not installed.
    """
    try:
        import onnx  # noqa: F401 (torch's exporter needs both)
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BenchError(f"{error.name} is not installed; python -m pip install 'polyp-bench[onnx]'") from None
    return onnxruntime


def _filled(part: Tensor, batch: int) -> Tensor:
    """A last batch that is short, filled with its first image."""
    return torch.cat([part, part[:1].expand(batch - len(part), -1, -1, -1)]) if len(part) < batch else part


def _metadata(network: Network) -> dict[str, str]:
    recipe = network.recipe
    return {
        "model": network.title,
        "input": f"image: RGB, 0..1, resized to {recipe.image_size} px ({recipe.resize}); normalisation is inside",
        "output": "prob: resize to the picture's size (bilinear, align_corners false)",
        "postprocess": recipe.postprocess,
        "note": "Research use only; not a medical device",
    }


def open_session(runtime: Any, file: Path) -> Any:
    """Open an ONNX file for onnxruntime on the CPU, with as many threads as torch has."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def write_onnx(model: nn.Module, example: Tensor, file: Path, metadata: dict[str, str]) -> None:
    """Trace a network whose input is ``image`` and output ``prob``, check the result and write it.

    Args:
        model: In evaluation mode, on the CPU.
        example: A batch; its size becomes part of the file.
        file: Target.
        metadata: Kept in the file; ``model`` names the network in messages.
    Raises:
        BenchError: It cannot be traced.
    """
    import onnx

    try:
        with torch.inference_mode():
            names: dict[str, Any] = {"input_names": ["image"], "output_names": ["prob"]}
            program = torch.onnx.export(model, (example,), dynamo=True, opset_version=OPSET, verbose=False, **names)
    except Exception as error:  # torch's exporter raises what it likes
        reason = " ".join(str(error).split())[:200]
        raise BenchError(f"{metadata['model']}: cannot be traced for ONNX ({reason})") from None
    assert program is not None, "dynamo=True gives a program"
    made = program.model_proto
    for key, value in metadata.items():
        made.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(made)
    onnx.save(made, str(file))


def _compare(
    model: nn.Module, session: Any, batches: Sequence[Tensor], repeats: int
) -> tuple[float, int, float, float]:
    """Greatest difference of a probability and of an 8-bit level; median milliseconds of torch and of onnxruntime."""
    largest, levels = 0.0, 0
    with torch.inference_mode():
        for images in batches:
            mine = model(images).numpy()
            (theirs,) = session.run(None, {"image": images.numpy()})
            largest = max(largest, float(np.abs(mine - theirs).max()))
            steps = np.abs(np.round(mine * 255) - np.round(theirs * 255)).max()
            levels = max(levels, int(steps))
        own = _median_ms(lambda: model(batches[0]), repeats)
    given = batches[0].numpy()
    return largest, levels, own, _median_ms(lambda: session.run(None, {"image": given}), repeats)


def _median_ms(call: Callable[[], object], repeats: int) -> float:
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return round(1e3 * statistics.median(seconds), 3)
