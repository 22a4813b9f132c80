"""`bench predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark.commands.printing import print_json, say, teller
from benchmark.errors import BenchError
from benchmark.runtime.signals import exit_code

if TYPE_CHECKING:
    from benchmark.prediction.network import Network
    from benchmark.prediction.outputs import Kind

EXIT_UNREADABLE_INPUT = 1


def predict(
    inputs: Sequence[Path],
    *,
    run: str | None,
    model: str | None,
    checkpoint: Path | None,
    recipe: str,
    overrides: Mapping[str, Any],
    results: Path,
    out: Path,
    kinds: Sequence[Kind],
    threshold: float,
    batch: int | None,
    device: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Predict and say where the files are. Returns 0, 1 when an input could not be read, 130 after Ctrl-C."""
    from benchmark.display.progress import bar
    from benchmark.prediction.sources import check_out, find_sources

    console = Console(stderr=True)
    sources = find_sources(inputs)
    check_out(out, inputs, sources)
    _check_asked(run, model, checkpoint, overrides)
    from benchmark.prediction.files import Job, predict_all  # after the mistakes: it loads torch

    network = _network(run, model, checkpoint, recipe, overrides, results, device)
    if not quiet:
        _print_plan(console, network, len(sources), threshold)
    try:
        with bar(console, "predict", quiet=quiet) as tell:
            size = batch or network.recipe.batch_size
            job = Job(network, out, kinds, threshold, size, teller(console, quiet=False), tell)
            faults = predict_all(job, sources)
    except KeyboardInterrupt as stop:
        say(console, f"stopped by a signal: what is finished lies in {out}")
        return exit_code(stop)
    if as_json:
        print_json({"network": network.title, "rows": job.rows, "out": str(out)})
    else:
        print(f"{len(job.rows) - faults} images and frames: {out}/{{{','.join([*kinds, 'predictions.csv'])}}}")
    return EXIT_UNREADABLE_INPUT if faults else 0


def _network(
    run: str | None,
    model: str | None,
    checkpoint: Path | None,
    recipe: str,
    overrides: Mapping[str, Any],
    results: Path,
    device: str,
) -> Network:
    from benchmark.prediction.network import network_of_checkpoint, network_of_run

    if run is not None:
        return network_of_run(run, results=results, model=model, device=device)
    assert model is not None and checkpoint is not None, "checked before"
    return network_of_checkpoint(model, checkpoint, recipe=recipe, overrides=overrides, device=device)


def _check_asked(run: str | None, model: str | None, checkpoint: Path | None, overrides: Mapping[str, Any]) -> None:
    if (run is None) == (checkpoint is None):
        raise BenchError("give either --run CELL (a cell of bench run) or --model NAME --checkpoint FILE")
    if run is not None and overrides:
        raise BenchError("--set is for --checkpoint; a cell is predicted with the recipe that it was trained by")
    if checkpoint is not None and model is None:
        raise BenchError("--checkpoint needs --model: whose weights are they? for example --model pranet")


def _print_plan(console: Console, network: Network, count: int, threshold: float) -> None:
    recipe = network.recipe
    say(console, f"network    {network.title} at {recipe.image_size} px, {network.fabric.device}")
    say(console, f"input      {count} images and videos; polyp where the probability is above {threshold:g}")
    if recipe.postprocess not in ("none", "resize_prob"):
        how = (
            "stretched to [0, 1] in each image"
            if recipe.postprocess.startswith("minmax")
            else "corrected as SANet's (pcs)"
        )
        say(console, f"note       probabilities are {how}, as in this network's test: they are no confidence")
    if network.synthetic:
        say(console, "note       trained on synthetic images: what it predicts says nothing about real polyps")
