"""Score existing results: external maps, released checkpoints, finished cells on corrupted images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.arguments import Names, as_names, as_path, make_request, refuse_unknown, shown_events

if TYPE_CHECKING:
    from benchmark.robustness.study import Robustness
    from benchmark.scoring.evaluate import Images
    from benchmark.store.schema import Record


def evaluate_maps(
    predictions: str | Path,
    dataset: Names = (),
    *,
    masks: str | Path | None = None,
    name: str | None = None,
    images: Images = "pranet",
    allow_partial: bool = False,
    boundary: bool = False,
    quiet: bool = True,
    **options: Any,
) -> list[dict[str, Any]]:
    """Score maps of other methods, as ``bench evaluate --predictions`` does; they become a record.

    Args:
        predictions: Folder of maps, one per image, or nested by dataset.
        dataset: Test sets.
        masks: Folder of masks instead, for a test set of your own.
        name: Name of the method in tables; the folder's if unset.
        images: ``pranet``: the images of PraNet's test lists; ``all``: every image.
        allow_partial: Score without missing maps; unusable ones are refused all the same.
        boundary: Also HD95 and surface Dice.
        quiet: No progress on standard error.
        **options: As for ``run``: results, data_root, protocol, engine, ...
    Returns:
        Per test set what ``--json`` writes: method, dataset, protocol, n, metrics.
    Raises:
        BenchError: Maps are missing, surplus or unusable; they are named on standard error.
    """
    from benchmark.scoring.evaluate import evaluate

    with shown_events(quiet) as events:
        return evaluate(
            make_request((), (), (0,), None, {"recipe": "native", **options}),
            predictions=Path(predictions),
            datasets=as_names(dataset),
            masks=as_path(masks),
            name=name,
            images=images,
            allow_partial=allow_partial,
            boundary=boundary,
            events=events,
        )


def evaluate_checkpoint(
    model: str,
    checkpoint: str | Path,
    dataset: Names,
    *,
    key: str | None = None,
    strip_prefix: str | None = None,
    images: Images = "pranet",
    overrides: Mapping[str, Any] | None = None,
    quiet: bool = True,
    **options: Any,
) -> list[dict[str, Any]]:
    """Score a released checkpoint, as ``bench evaluate --checkpoint`` does; else as ``evaluate_maps``.

    ``key`` and ``strip_prefix`` say which weights in the file are meant, where they are not found.
    """
    from benchmark.scoring.evaluate import evaluate

    with shown_events(quiet) as events:
        return evaluate(
            make_request((), (), (0,), overrides, {"recipe": "native", **options}),
            datasets=as_names(dataset),
            model=model,
            checkpoint=Path(checkpoint),
            key=key,
            strip_prefix=strip_prefix,
            images=images,
            events=events,
        )


def robust(
    corruptions: Names = "core",
    *,
    results: str | Path = "results",
    out: str | Path | None = None,
    quiet: bool = True,
    **options: Any,
) -> Robustness:
    """Predict and score finished cells on corrupted test images, as ``bench robust`` does; nothing is trained.

    Args:
        corruptions: ``core``, ``all`` or names.
        results: Results folder.
        out: Folder of tables and figures; those of the results folder if unset.
        quiet: No progress on standard error.
        **options: Further fields of ``benchmark.robustness.cells.Asked``: models, runs, severities, datasets,
            denoisers, reference, seen, protocol, checkpoints, maps, name, device, workers, data_root, ...
    Returns:
        Summaries, tables and the files written.
    Raises:
        BenchError: A user error, raised before anything is measured; or weights or images that cannot be used.
    """
    from benchmark.robustness.cells import Asked
    from benchmark.robustness.study import robustness

    known = {field.name for field in fields(Asked)}
    refuse_unknown(options, known)
    for name in ("models", "runs", "datasets", "denoisers"):
        if name in options:
            options[name] = tuple(as_names(options[name]))
    options["checkpoints"] = tuple(Path(path) for path in options.get("checkpoints", ()))
    options["maps"] = {cell: Path(folder) for cell, folder in options.get("maps", {}).items()}
    asked = Asked(results=Path(results), corruptions=tuple(as_names(corruptions)), **options)
    with shown_events(quiet) as events:
        return robustness(asked, out=as_path(out), notice=events.notice, progress=events.phase)


def ensemble(
    runs: Names,
    *,
    datasets: Names = (),
    flips: Names = (),
    from_weights: bool = False,
    name: str | None = None,
    model: str | None = None,
    quiet: bool = True,
    **options: Any,
) -> Record:
    """Average the maps of finished cells and score the mean as a cell of its own, as ``bench ensemble`` does.

    Args:
        runs: Cells; the beginning ``unet/quick`` takes all that fit.
        datasets: Test sets; every one that the cells scored if empty.
        flips: Also predict flipped images: hflip, vflip, hvflip.
        from_weights: Predict again, and average before anything is rounded.
        name: Name in tables.
        model: ``FILE.py:function`` of cells whose network came from a file.
        quiet: No progress on standard error.
        **options: As for ``run``: results, data_root, cache_dir, protocol, engine, device.
    Returns:
        The record of the mean.
    Raises:
        BenchError: No such cell, maps that were not kept, or cells that scored other images.
    """
    from benchmark.scoring.ensemble import make_ensemble

    with shown_events(quiet) as events:
        return make_ensemble(
            as_names(runs),
            request=make_request((), (), (0,), None, options),
            datasets=as_names(datasets),
            flips=as_names(flips),
            from_weights=from_weights,
            name=name,
            model=model,
            events=events,
        )
