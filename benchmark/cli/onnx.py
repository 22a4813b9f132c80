"""`bench onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.app import TRAIN, app
from benchmark.cli.options import ItsNetwork, ItsRecipe, Json, OneCell, Results, Weights, check_network
from benchmark.cli.printing import print_json, say
from benchmark.errors import BenchError


@app.command(rich_help_panel=TRAIN)
def onnx(
    run: OneCell = None,
    model: ItsNetwork = None,
    checkpoint: Weights = None,
    recipe: ItsRecipe = "native",
    out: Annotated[Path, typer.Option(help="The file.")] = Path("network.onnx"),
    batch: Annotated[int, typer.Option(help="Images at once; part of the file.", min=1)] = 1,
    images: Annotated[
        list[Path] | None, typer.Option(help="Images or folders to check it with; three synthetic ones if unset.")
    ] = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Write a cell's or a checkpoint's network as ONNX, compare it with the network on images, and time both.

    The file takes RGB in 0..1 at the recipe's size and gives probabilities; normalisation is inside, resizing and
    test-time processing are not. A file whose probabilities differ by more than 0.001 is not kept.

    Example: bench onnx --run unet/quick --out unet.onnx --images photos/
    """
    from dataclasses import asdict

    from benchmark.prediction.sources import find_sources

    check_network(run is not None, model, checkpoint)
    sources = [one for one in find_sources(images) if not one.is_video] if images else []
    if images and not sources:
        raise BenchError(f"--images {images[0]}: holds no image; give images or folders of images")
    from benchmark.data.phantom.samples import NAMES, sample_picture
    from benchmark.prediction.loaded import load_model  # after the mistakes: it loads torch
    from benchmark.prediction.onnx_file import export_onnx
    from benchmark.prediction.sources import read_upright

    loaded = load_model(run, model=model, checkpoint=checkpoint, recipe=recipe, results=results, device="cpu")
    pixels = [read_upright(source.path) for source in sources] or [sample_picture(name) for name in NAMES]
    done = export_onnx(loaded.network, out, pixels, batch=batch)
    if as_json:
        print_json({**asdict(done), "file": str(done.file)})
        return
    print(done.file)
    kind = "images" if sources else "synthetic images"
    say(f"opset {done.opset}, {done.num_bytes / 1e6:.1f} MB, {loaded.title} at {loaded.network.recipe.image_size} px")
    say(f"differs by at most {done.largest:.1e} ({done.levels} of 255 levels) on {done.images} {kind}")
    say(
        f"a batch of {batch}: torch {done.network_ms:.1f} ms, onnxruntime {done.onnx_ms:.1f} ms, {done.threads} threads"
    )
    if loaded.network.recipe.postprocess != "none":
        say(f"note: scores of this network include the test-time processing {loaded.network.recipe.postprocess}")
    if hasattr(loaded.network.model, "logits_at"):
        say("note: this network resizes its own maps when it is scored; resized maps of the file may differ from those")
