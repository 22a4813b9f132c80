"""The whole BSANet as ONNX against torch: ``python tests/perf/export_bsanet.py`` (about two minutes of one core).

The suite does the same with fewer blocks of every kind (`tests/bsanet/test_bsanet_export.py`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmark.models.build import build_network
from benchmark.models.registry import get_spec
from benchmark.prediction.network import Network
from benchmark.prediction.onnx_file import export_onnx
from benchmark.recipes.read import load_recipe
from benchmark.runtime.device import make_fabric


def main() -> None:
    torch.manual_seed(0)
    spec = get_spec("bsanet")
    recipe = load_recipe("quick", model="bsanet", overrides={"image_size": 224, "pretrained": False})
    network = build_network(spec, recipe, pretrained=False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # one pass gives true statistics, and so maps of a trained network's size
    with torch.no_grad():
        network.train()(torch.randn(4, 3, 128, 128))
    loaded = Network(network.eval(), recipe, make_fabric("cpu", recipe), "BSANet, random weights", spec, None)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (240, 280, 3), dtype=np.uint8) for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        done = export_onnx(loaded, Path(folder) / "bsanet.onnx", images)
    print(f"greatest difference of a probability {done.largest:.1e}, of a level {done.levels}; opset {done.opset}")
    print(f"torch {done.network_ms:.1f} ms, onnxruntime {done.onnx_ms:.1f} ms, {done.threads} threads")


if __name__ == "__main__":
    main()
