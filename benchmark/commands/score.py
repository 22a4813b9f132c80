"""`bench evaluate` and `bench protocols`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark.commands.printing import print_json
from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.commands import Command, write_command
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record

if TYPE_CHECKING:
    from benchmark.study.plan import Request


def figures(
    request: Request,
    *,
    predictions: Path | None,
    datasets: Sequence[str],
    masks: Path | None,
    name: str | None,
    model: str | None,
    checkpoint: Path | None,
    images: str,
    allow_partial: bool,
    boundary: bool,
    quiet: bool,
) -> list[dict[str, Any]]:
    """Score maps or a checkpoint and write the record; returns one object per test set, as ``--json`` writes it."""
    from benchmark.data.listing.datasets import expand_datasets
    from benchmark.display.progress import watch
    from benchmark.scoring import map_records as evaluation

    if (predictions is None) == (checkpoint is None):
        raise BenchError("give either --predictions DIR (maps) or --model NAME --checkpoint FILE")
    if checkpoint is not None and model is None:
        raise BenchError("--checkpoint needs --model: whose weights are they? for example --model pranet")
    if checkpoint is not None and masks is not None:
        raise BenchError("--masks holds no images for --checkpoint to look at; name a --dataset instead")
    if checkpoint is not None and boundary:
        raise BenchError("--boundary is for --predictions; give the maps that the checkpoint makes")
    if bool(datasets) == (masks is not None):
        raise BenchError("give either --dataset NAME or --masks DIR")
    protocol = request.printed.name
    if masks is not None:
        sets = [evaluation.folder_set(masks)]
    else:
        root, cache = request.data_root, request.cache_dir
        names = expand_datasets(datasets, root)
        sets = [evaluation.listed_set(one, root=root, part=images, cache_dir=cache) for one in names]
    idle = {"--images": masks is not None and images != "pranet"}
    if checkpoint is None:
        idle |= {"--model": model is not None, "--device": request.device != "auto", "--set": bool(request.overrides)}
        idle |= {"--recipe": request.recipe != "native"}
    else:
        idle |= {"--name": name is not None, "--allow-partial": allow_partial}
    with watch(Console(stderr=True), quiet=quiet) as watcher:
        for option in (option for option, on in idle.items() if on and not quiet):
            what = "--masks" if option == "--images" else "--predictions" if checkpoint is None else "--checkpoint"
            watcher.message(f"ignored: {option} says nothing to {what}")
        if checkpoint is not None:
            assert model is not None
            from benchmark.scoring.released import evaluate_checkpoint

            record = evaluate_checkpoint(model, checkpoint, sets, request=request, watcher=watcher)
        else:
            assert predictions is not None
            record = evaluation.evaluate_maps(
                predictions,
                sets,
                name=name or predictions.resolve().name,
                results=request.results,
                protocols=list(request.protocols.values()),
                engine=request.engine,
                allow_partial=allow_partial,
                boundary=boundary,
                cache_dir=request.cache_dir,
                watcher=watcher,
            )
    _note_command(request, record, [one.name for one in sets])
    return [_figures(record, one.name, protocol) for one in sets]


def evaluate(request: Request, *, json_file: Path | None, **asked: Any) -> None:
    """Score maps or a checkpoint (``figures`` says what is asked), write the record, print the figures."""
    rows = figures(request, **asked)
    if json_file is not None:
        io.write_json(json_file, rows[0] if len(rows) == 1 else rows)
    for row in rows:
        numbers = "  ".join(f"{key} {row['metrics'][key]:.4f}" for key in row["metrics"])
        of = f" of {row['of']}" if row["of"] else ""
        facts = f"{row['n']}{of} images, {row['protocol']} {row['protocol_hash']}"
        print(f"{row['method']} on {row['dataset']} ({facts}): {numbers}")


FIGURES: tuple[str, ...] = ("mDSC", "mIoU", "S_alpha", "F_beta_w", "E_phi_max", "MAE")
FIGURES += ("maxDSC", "maxIoU", "meanEm", "dice_half", "iou_half")
"""The keys of ``metrics`` in the JSON, in order; ``hd95`` and ``surface_dice`` follow where they were asked for."""


def _note_command(request: Request, record: Record, datasets: list[str]) -> None:
    """Leave on file which command made the record; `bench track` and `bench ui` take both to MLflow."""
    layout = ResultsLayout(request.results)
    asked = {"model": record.model_title, "datasets": datasets, "engine": request.engine}
    command = Command.start("evaluate", asked).with_record(record)
    write_command(layout, command.end("finished", layout, []))


def _figures(record: Record, dataset: str, protocol: str) -> dict[str, Any]:
    """Return one object of the JSON: method, dataset, protocol, n, metrics; and what they rest on."""
    result = record.tests[dataset]
    figures = result.scores[protocol]
    return {
        "method": record.model_title,
        "dataset": dataset,
        "protocol": protocol,
        "protocol_hash": record.protocols[protocol],
        "engine": record.engine,
        "n": result.n,
        "of": result.of,
        "metrics": {key: figures[key] for key in (*FIGURES, "hd95", "surface_dice") if key in figures},
    }


def protocols(wanted: str | None, *, as_json: bool) -> None:
    """Print the named protocols, or one by name or TOML file, with their hashes, in words."""
    from benchmark.metrics import PROTOCOLS, get_protocol

    chosen = list(PROTOCOLS.values()) if wanted is None else [get_protocol(wanted)]
    if as_json:
        print_json([{"hash": p.hash, **asdict(p)} for p in chosen])
        return
    for p in chosen:
        gap = f"engine 'reference' cannot follow it: {p.reference_gap}" if p.reference_gap else ""
        lines = (f"{p.name} ({p.hash})", p.description, p.in_words, gap)
        print("\n  ".join(line for line in lines if line) + "\n")
