"""What `bench serve` adds to a network: seconds of a request over loopback against decoding and forward pass alone.

``python tests/perf/bench_serve.py`` sends one 574 x 500 px picture (drawn by phantom's rules, JPEG) to a server that
holds BSANet with random weights at 352 px, on two threads; the rival decodes the same file and predicts it in this
process. Requests and rivals alternate; the medians and their ratio are printed (goal: at most 1.3).
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import torch
import uvicorn
from PIL import Image

from benchmark.data.phantom.domains import DOMAINS
from benchmark.data.phantom.draw import draw_sequence
from benchmark.models.build import build_network
from benchmark.models.registry import get_spec
from benchmark.prediction.loaded import LoadedModel
from benchmark.prediction.network import Network
from benchmark.prediction.sources import read_upright
from benchmark.recipes.read import load_recipe
from benchmark.runtime.device import make_fabric
from benchmark.serve.app import make_app
from benchmark.serve.server import listen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument("--size", type=int, default=352, help="px at which the network works")
    options = parser.parse_args()
    torch.set_num_threads(2)
    loaded = bsanet(options.size)
    drawn = next(iter(draw_sequence(DOMAINS["phantom-kvasir"], "bench_serve", 1)))[0]
    buffer = io.BytesIO()
    Image.fromarray(drawn).resize((574, 500)).save(buffer, "JPEG", quality=92)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.jpg"
        path.write_bytes(buffer.getvalue())
        served, bare = measure(loaded, path, options.requests)
    request, alone = (statistics.median(seconds) for seconds in (served, bare))
    print(
        f"request {1e3 * request:.1f} ms, decoding and network alone {1e3 * alone:.1f} ms, ratio {request / alone:.3f}"
    )
    print(f"{options.requests} pairs, BSANet at {options.size} px, {torch.get_num_threads()} threads")


def bsanet(size: int) -> LoadedModel:
    """BSANet with random weights."""
    spec = get_spec("bsanet")
    recipe = load_recipe("quick", model="bsanet", overrides={"image_size": size, "pretrained": False})
    network = build_network(spec, recipe, pretrained=False)
    fabric = make_fabric("cpu", recipe)
    return LoadedModel(Network(network.eval(), recipe, fabric, "BSANet, random weights", spec, None))


def measure(loaded: LoadedModel, path: Path, count: int) -> tuple[list[float], list[float]]:
    """Seconds of requests and of the bare work, in turns; the first three of each are not counted."""
    bound = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(make_app({"m1": loaded}, {"m1": {}}), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{bound.getsockname()[1]}/api/segment"
    content = path.read_bytes()
    served, bare = [], []
    with httpx.Client(timeout=60) as client:
        for _ in range(count + 3):
            start = time.perf_counter()
            client.post(address, files={"file": content}).raise_for_status()
            middle = time.perf_counter()
            assert isinstance(loaded.predict(read_upright(path)).prob, np.ndarray)
            served.append(middle - start)
            bare.append(time.perf_counter() - middle)
    server.should_exit = True
    thread.join()
    return served[3:], bare[3:]


if __name__ == "__main__":
    main()
