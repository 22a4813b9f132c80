"""Latency of a network as an ONNX file by onnxruntime: the batch, warm-up, repeats and threads of torch's."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchError

if TYPE_CHECKING:
    from torch import Tensor, nn


def onnx_latency(model: nn.Module, image: Tensor, *, title: str, warm_up: int, repeats: int) -> dict[str, Any]:
    """Export a network, check the file's maps against the network's, and time it.

    Args:
        model: In evaluation mode, on the CPU.
        image: The batch, (B, 3, S, S).
        title: For messages.
        warm_up: Passes that are not counted. repeats: Those that are.
    Returns:
        ``onnx_ms`` (median of a batch), ``onnx_p95_ms``, ``onnxruntime`` (its version).
    Raises:
        BenchError: The extra is missing, the network cannot be exported, or the file gives other maps.
    """
    import numpy as np
    import torch

    from benchmark.prediction.onnx_file import TOLERANCE, ScoredProbabilities, need_onnx, open_session, write_onnx

    runtime = need_onnx()
    scored = ScoredProbabilities(model).eval()
    with tempfile.TemporaryDirectory(prefix="bench-onnx-") as folder:
        file = Path(folder) / "network.onnx"
        write_onnx(scored, image, file, {"model": title})
        session, given = open_session(runtime, file), {"image": image.numpy()}
        times = []
        for _ in range(warm_up + repeats):
            begun = time.perf_counter()
            (found,) = session.run(None, given)
            times.append(time.perf_counter() - begun)
        with torch.inference_mode():
            largest = float(np.abs(found - scored(image).numpy()).max())
    if not largest <= TOLERANCE:
        raise BenchError(f"{title}: probabilities of its ONNX file differ by {largest:.2g} from the network's")
    counted = np.array(times[warm_up:]) * 1e3
    return {
        "onnx_ms": round(float(np.median(counted)), 2),
        "onnx_p95_ms": round(float(np.percentile(counted, 95)), 2),
        "onnxruntime": str(runtime.__version__),
    }
