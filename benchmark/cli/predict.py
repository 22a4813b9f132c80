"""`bench predict`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from benchmark.cli.app import TRAIN, app, names
from benchmark.cli.options import (
    Device,
    ItsNetwork,
    ItsRecipe,
    Json,
    Key,
    OneCell,
    Results,
    StripPrefix,
    Weights,
    check_network,
)
from benchmark.cli.printing import events, print_json, say, tell
from benchmark.errors import BenchError, unknown_name

if TYPE_CHECKING:
    from benchmark.prediction.network import Network
    from benchmark.prediction.outputs import Kind

EXIT_UNREADABLE_INPUT = 1


@app.command(rich_help_panel=TRAIN)
def predict(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Images, folders, videos.")],
    run: OneCell = None,
    model: ItsNetwork = None,
    checkpoint: Weights = None,
    key: Key = None,
    strip_prefix: StripPrefix = None,
    recipe: ItsRecipe = "native",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a field of --recipe: key=value.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the outputs.")] = Path("predictions"),
    save: Annotated[str, typer.Option(help="What to write beside the CSV.")] = "masks,probs,overlays",
    threshold: Annotated[float, typer.Option(help="Probability above which a pixel is polyp.", min=0, max=1)] = 0.5,
    batch: Annotated[int | None, typer.Option(help="Batch size; the recipe's if unset.", min=1)] = None,
    results: Results = Path("results"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Predict images and videos: masks, probability maps and overlays at their own size, and a CSV of areas.

    A cell predicts with its own recipe and test-time processing, as when it was scored. Videos keep frame rate and
    frame count (extra: polyp-bench[video]).

    Example: bench predict --run unet/quick --out predictions examination.mp4 photos/
    """
    from benchmark.prediction.sources import check_out, find_sources
    from benchmark.recipes.read import parse_overrides
    from benchmark.runtime.signals import exit_code

    sources = find_sources(inputs)
    check_out(out, inputs, sources)
    overrides = parse_overrides(set_ or [])
    kinds = _kinds(save)
    _check_asked(run, model, checkpoint, overrides, {"--key": key, "--strip-prefix": strip_prefix})
    from benchmark.prediction.files import Job, predict_all  # last, since it loads torch
    from benchmark.prediction.network import network_of_checkpoint, network_of_run

    if run is not None:
        network = network_of_run(run, results=results, model=model, device=device)
    else:
        assert model is not None and checkpoint is not None, "checked before"
        network = network_of_checkpoint(
            model,
            checkpoint,
            recipe=recipe,
            overrides=overrides,
            device=device,
            key=key,
            strip_prefix=strip_prefix,
            say=say,
        )
    if not as_json:
        _print_plan(network, len(sources), threshold)
    try:
        with events(as_json=as_json) as shown:
            size = batch or network.recipe.batch_size
            job = Job(network, out, kinds, threshold, size, shown.notice, partial(shown.phase, "predict"))
            faults = predict_all(job, sources)
    except KeyboardInterrupt as stop:
        tell(f"stopped by a signal: finished outputs are in {out}")
        raise typer.Exit(exit_code(stop)) from None
    if as_json:
        print_json({"network": network.title, "rows": job.rows, "out": str(out)})
    else:
        print(f"{len(job.rows) - faults} images and frames: {out}/{{{','.join([*kinds, 'predictions.csv'])}}}")
    raise typer.Exit(EXIT_UNREADABLE_INPUT if faults else 0)


def _kinds(text: str) -> list[Kind]:
    from benchmark.prediction.outputs import KINDS

    for name in names(text):
        if name not in KINDS:
            raise unknown_name("output (--save)", name, KINDS)
    return [cast("Kind", name) for name in names(text)]


def _check_asked(
    run: str | None,
    model: str | None,
    checkpoint: Path | None,
    overrides: Mapping[str, Any],
    of_checkpoint: Mapping[str, str | None],
) -> None:
    check_network(run is not None, model, checkpoint)
    if run is not None and overrides:
        raise BenchError("--set is for --checkpoint; a cell predicts with the recipe that it was trained with")
    for option, value in of_checkpoint.items():
        if run is not None and value is not None:
            raise BenchError(f"{option} is for --checkpoint; a cell's weights are read without it")


def _print_plan(network: Network, count: int, threshold: float) -> None:
    recipe = network.recipe
    say(f"network    {network.title} at {recipe.image_size} px, {network.fabric.device}")
    say(f"input      {count} images and videos; polyp where the probability is above {threshold:g}")
    if recipe.postprocess not in ("none", "resize_prob"):
        how = (
            "stretched to [0, 1] in each image"
            if recipe.postprocess.startswith("minmax")
            else "corrected as SANet's (pcs)"
        )
        say(f"note       probabilities are {how}, as in this network's test: they are not confidences")
    if network.synthetic:
        say("note       trained on synthetic images: its predictions say nothing about real polyps")
