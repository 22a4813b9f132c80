"""torch.compile and ONNX: the same map as eager, at the sizes people use."""

import io
from typing import Any

import pytest
import torch

from bsanet import BSANet, build

OPSET = 18
SMALL = {"num_blocks": 1, "encoder_depths": (1, 1, 1, 1)}
"""Every kind of layer, a fraction of the tracing time; `tests/perf/export_bsanet.py` exports the whole network."""


def settled(options: dict[str, Any]) -> BSANet:
    """A network in evaluation with maps of a trained network's size."""
    torch.manual_seed(0)
    network = build(**options)
    torch.nn.init.normal_(network.rendering.last.weight, std=0.1)  # let the rendering matter
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # one pass gives true statistics, and so maps of a trained network's size
    with torch.no_grad():
        network.train()(torch.randn(4, 3, 128, 128))
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize("optimize", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_onnx_gives_the_eager_map(optimize: bool) -> None:
    model, size, batch = settled(SMALL), (64, 96), 2
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    image = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0))
    program = torch.onnx.export(model, (image,), dynamo=True, opset_version=OPSET, verbose=False, optimize=optimize)
    assert program.model.opset_imports[""] == OPSET
    buffer = io.BytesIO()
    program.save(buffer)
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.inference_mode():
        expected = model(image)[0].numpy()
    assert abs(got - expected).max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(128,), pytest.param((128, 160), marks=pytest.mark.exhaustive)])
def test_compile_gives_the_eager_map_without_a_graph_break(sizes: tuple[int, ...]) -> None:
    """dynamic=False: token grids and masks belong to a size, so each size has its own graph."""
    torch._dynamo.reset()
    model = build(**SMALL).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True, dynamic=False)
    for size in sizes:
        image = torch.randn(1, 3, size, size)
        with torch.no_grad():
            torch.testing.assert_close(compiled(image)[0], model(image)[0], atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_compiled_training_step_gives_the_eager_loss() -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    network = build(drop="rendering", **SMALL)  # its random points would differ between the two
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True, dynamic=False)
    image, mask = torch.randn(2, 3, 128, 128), torch.rand(2, 1, 128, 128).round()
    eager = network.loss(network(image), mask)
    loss = network.loss(compiled(image), mask)
    torch.testing.assert_close(loss, eager, atol=1e-4, rtol=1e-4)
    loss.backward()
    assert network.encoder.stem[0].weight.grad is not None
