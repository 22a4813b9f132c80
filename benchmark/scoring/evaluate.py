"""Score external maps, or a released checkpoint, on test sets by name; both become records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.data.listing.datasets import expand_datasets
from benchmark.errors import BenchError
from benchmark.metrics.families import Family
from benchmark.metrics.measures import MEASURE_KEYS
from benchmark.report.records.family_values import read_values
from benchmark.scoring import map_records
from benchmark.scoring.requested import WITHOUT_PROTOCOL
from benchmark.store.commands import Command, write_command
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record
from benchmark.study.events import SILENT, Events

if TYPE_CHECKING:
    from benchmark.study.plan import Request

Images = Literal["pranet", "all"]

FIGURES: tuple[str, ...] = MEASURE_KEYS
FIGURES += ("maxDSC", "maxIoU", "meanEm", "dice_half", "iou_half")
"""The keys of ``metrics`` in the JSON, in order; ``hd95`` and ``surface_dice`` follow if requested."""


def evaluate(
    request: Request,
    *,
    predictions: Path | None = None,
    datasets: Sequence[str] = (),
    masks: Path | None = None,
    name: str | None = None,
    model: str | None = None,
    checkpoint: Path | None = None,
    key: str | None = None,
    strip_prefix: str | None = None,
    images: Images = "pranet",
    allow_partial: bool = False,
    boundary: bool = False,
    on_request: Sequence[str] = (),
    events: Events = SILENT,
) -> list[dict[str, Any]]:
    """Score maps or a checkpoint and write the record.

    Args:
        request: Protocol, engine, folders, device; recipe of the checkpoint.
        predictions: Folder of maps; or
        checkpoint: File of weights of ``model``.
        datasets: Test sets; or
        masks: Folder of masks, for maps alone.
        name: Name of the method in tables; the folder's, or the network's, if None.
        model: Network of the checkpoint.
        key: Where the checkpoint holds the state dict; None: found.
        strip_prefix: What stands before its keys; None: found.
        images: ``pranet``: the images of PraNet's test lists; ``all``: every image.
        allow_partial: Score without missing maps; unusable ones are refused all the same.
        boundary: Also HD95 and surface Dice.
        on_request: Also ``lesions``, ``calibration``.
        events: Receive progress.
    Returns:
        One object per test set, as ``bench evaluate --json`` writes it.
    Raises:
        BenchError: Options that do not go together, or maps that are missing, surplus or unusable.
    """
    _check(predictions, datasets, masks, model, checkpoint, [*(["boundary"] if boundary else []), *on_request])
    families = [WITHOUT_PROTOCOL[name]() for name in on_request]
    protocol = request.printed.name
    if masks is not None:
        sets = [map_records.folder_set(masks)]
    else:
        root, cache = request.data_root, request.cache_dir
        names = expand_datasets(datasets, root)
        sets = [map_records.listed_set(one, root=root, part=images, cache_dir=cache) for one in names]
    if checkpoint is not None:
        assert model is not None, "checked"
        from benchmark.scoring.released import evaluate_checkpoint

        record = evaluate_checkpoint(
            model,
            checkpoint,
            sets,
            request=request,
            events=events,
            name=name,
            key=key,
            strip_prefix=strip_prefix,
        )
    else:
        assert predictions is not None, "checked"
        record = map_records.evaluate_maps(
            predictions,
            sets,
            name=name or predictions.resolve().name,
            results=request.results,
            protocols=list(request.protocols.values()),
            engine=request.engine,
            allow_partial=allow_partial,
            boundary=boundary,
            families=families,
            cache_dir=request.cache_dir,
            events=events,
        )
    _note_command(request, record, [one.name for one in sets])
    found = [figures_of(record, one.name, protocol) for one in sets]
    for row in found:
        for family in families:
            row["metrics"] |= _on_request(request.results, record, row["dataset"], family)
    return found


def _check(
    predictions: Path | None,
    datasets: Sequence[str],
    masks: Path | None,
    model: str | None,
    checkpoint: Path | None,
    measures: Sequence[str],
) -> None:
    if (predictions is None) == (checkpoint is None):
        raise BenchError("give either --predictions DIR (maps) or --model NAME --checkpoint FILE")
    if checkpoint is not None and model is None:
        raise BenchError("--checkpoint needs --model: which network has these weights? for example --model pranet")
    if checkpoint is not None and masks is not None:
        raise BenchError("--masks holds no images for --checkpoint to predict; give --dataset instead")
    if checkpoint is not None and measures:
        raise BenchError(
            f"--{measures[0]} is for --predictions; 'bench tables --{measures[0]}' measures the maps that a checkpoint "
            "leaves in the results folder"
        )
    if bool(datasets) == (masks is not None):
        raise BenchError("give either --dataset NAME or --masks DIR")


def _note_command(request: Request, record: Record, datasets: list[str]) -> None:
    """Record the command beside its record; `bench track` and `bench ui` mirror both to MLflow."""
    layout = ResultsLayout(request.results)
    asked = {"model": record.model_title, "datasets": datasets, "engine": request.engine}
    command = Command.start("evaluate", asked).with_record(record)
    write_command(layout, command.end("finished", layout, []))


def _on_request(results: Path, record: Record, dataset: str, family: Family) -> dict[str, float]:
    """Return the measures of a family that the set has; what cannot be taken is left out."""
    rows = read_values(ResultsLayout(results).cell(record.cell), record, dataset, family)
    assert rows is not None, "written with the record"
    figures = family.of_images({str(name): rows[name].to_numpy() for name in rows.columns})
    keys = (measure.key for measure in family.measures)
    return {key: value for key in keys if (value := figures[key]) is not None}


def figures_of(record: Record, dataset: str, protocol: str) -> dict[str, Any]:
    """Return one object of the JSON: method, dataset, protocol, n, metrics; and their basis."""
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
        **({"empty_masks": result.empty_masks[protocol].model_dump()} if protocol in result.empty_masks else {}),
        "metrics": {key: figures[key] for key in (*FIGURES, "hd95", "surface_dice") if key in figures},
    }
