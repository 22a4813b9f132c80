"""The commands as functions: ``import benchmark as bench; bench.run(...)``. Mistakes raise ``BenchError``.

Options bear the names of the command line's, in Python's spelling; names may be one string, comma-separated, or a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchError, unknown_name
from benchmark.report.records.frames import load_results as load_results

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.execution.placement import Placement
    from benchmark.report.sheets.sheet import Sheet
    from benchmark.robustness.study import Robustness
    from benchmark.scoring.evaluate import Images
    from benchmark.store.schema import Record
    from benchmark.study.plan import Request, Study

Names = str | Sequence[str]


def run(
    models: Names = "all",
    datasets: Names = "polyp",
    *,
    seeds: int | Sequence[int] = (0,),
    overrides: Mapping[str, Any] | None = None,
    track: bool = False,
    quiet: bool = True,
    executor: str = "local",
    workers: int | None = None,
    executor_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> list[Record]:
    """Train and score models on the same set-up, as ``bench run`` does; finished cells are kept.

    Args:
        models: Names, or all.
        datasets: Names or groups.
        seeds: Training seeds.
        overrides: Recipe fields, as ``--set`` gives them: ``{"epochs": 5}``.
        track: Mirror the records into MLflow.
        quiet: No progress on standard error.
        executor: Where cells run: local, ray or slurm.
        workers: Cells at once.
        executor_options: What ``--executor-option`` gives: ``{"gpus": 1}``.
        **options: Further fields of ``benchmark.study.plan.Request``: split, recipe, results, data_root, device, ...
    Returns:
        One record per cell, in the study's order; a cell that failed has ``status`` and ``error``.
    Raises:
        BenchError: A mistake, told before anything is trained.
    """
    from benchmark.execution.study import check_study, train_study, try_study

    placement = _placement(executor, workers, executor_options)
    study = plan_study(models, datasets, seeds=seeds, overrides=overrides, **options)
    check_study(study, placement)
    try_study(study)
    with _shown(quiet, many=not placement.is_here) as events:
        return train_study(study, placement=placement, track=track, events=events).records


def plan_study(
    models: Names = "all",
    datasets: Names = "polyp",
    *,
    seeds: int | Sequence[int] = (0,),
    overrides: Mapping[str, Any] | None = None,
    **options: Any,
) -> Study:
    """Return what ``run`` would do, as ``bench run --dry-run``: cells, split, leaks. Arguments as for ``run``."""
    from benchmark.study import plan

    return plan.plan_study(_request(models, datasets, seeds, overrides, options))


def ablate(
    model: str = "bsanet",
    drop: Names = (),
    datasets: Names = "polyp",
    *,
    factorial: bool = False,
    seeds: int | Sequence[int] = (0,),
    overrides: Mapping[str, Any] | None = None,
    track: bool = False,
    quiet: bool = True,
    executor: str = "local",
    workers: int | None = None,
    executor_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Train a model whole and without its parts, and compare in pairs, as ``bench ablate`` does.

    Args:
        model: Model whose parts are dropped.
        drop: Parts; empty: all that it declares.
        datasets: Names or groups.
        factorial: Every subset of the parts.
        seeds: Training seeds.
        overrides: Recipe fields.
        track: Mirror the records into MLflow.
        quiet: No progress on standard error.
        executor: As for ``run``.
        workers: As for ``run``.
        executor_options: As for ``run``.
        **options: As for ``run``.
    Returns:
        One row per test set and variant.
    Raises:
        BenchError: A mistake, or a cell that failed: finished ones are kept.
    """
    import pandas as pd

    from benchmark.execution.study import plan_ablation, train_ablation

    placement = _placement(executor, workers, executor_options)
    request = _request(model, datasets, seeds, overrides, options)
    plan = plan_ablation(request, _names(drop), factorial=factorial, placement=placement)
    with _shown(quiet, many=not placement.is_here) as events:
        done = train_ablation(plan, placement=placement, track=track, events=events)
    for record in done.failed:
        raise BenchError(f"{record.cell} {record.status}: {record.error}; finished cells are kept")
    return pd.DataFrame([dict(row) for sheet in done.tables for row in sheet.data])


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
    """Score maps that others made, as ``bench evaluate --predictions`` does; they become a record.

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

    with _shown(quiet) as events:
        return evaluate(
            _request((), (), (0,), None, {"recipe": "native", **options}),
            predictions=Path(predictions),
            datasets=_names(dataset),
            masks=_path(masks),
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

    with _shown(quiet) as events:
        return evaluate(
            _request((), (), (0,), overrides, {"recipe": "native", **options}),
            datasets=_names(dataset),
            model=model,
            checkpoint=Path(checkpoint),
            key=key,
            strip_prefix=strip_prefix,
            images=images,
            events=events,
        )


def tune(
    models: Names,
    datasets: Names = "polyp",
    *,
    trials: int = 20,
    space: str | Path | None = None,
    storage: str | None = None,
    workers: int = 1,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    quiet: bool = True,
    **options: Any,
) -> pd.DataFrame:
    """Tune models with an equal budget on validation images, as ``bench tune`` does; finished trials are kept.

    Args:
        models: Names, or all.
        datasets: Names or groups.
        trials: Trials per model, finished or stopped early.
        space: TOML of the search space; the packaged one if None.
        storage: Journal file or URL of a database; a journal in the results folder if None.
        workers: Processes; more than one only in a script with the usual ``if __name__ == "__main__"``.
        seed: Decides the draws and the trainings of all trials.
        overrides: Fields of the base recipe.
        quiet: No progress on standard error.
        **options: As for ``run``: recipe, split, results, data_root, device, ...
    Returns:
        One row per trial: model, slot, state, score, epochs, seconds, ended, and the searched fields. The recipes are
        ``results/tuning/tuned-<model>.toml`` and ``tuned.toml``.
    Raises:
        BenchError: A mistake, or no trial of a model finished.
    """
    import pandas as pd

    from benchmark.tuning import run as tuning
    from benchmark.tuning.plan import Asked

    request = _request(models, datasets, seed, overrides, options)
    prepared = tuning.prepare(Asked(request, trials, _path(space), storage, "benchmark.tune(...) in Python"))
    with _shown(quiet) as events:
        found = tuning.tune(prepared, workers=workers, events=events).found
    rows = [row for one in found for row in one.rows]
    return pd.DataFrame([{**{k: v for k, v in row.items() if k != "fields"}, **row["fields"]} for row in rows])


def tables(results: str | Path = "results", kind: str = "main", **options: Any) -> list[Sheet]:
    """Build tables from the records alone, as ``bench tables`` does; nothing is written.

    Args:
        results: Results folder.
        kind: main, ablation, efficiency, by (with ``by="size"``) or worst (with ``worst=10``).
        **options: Further fields of ``benchmark.report.tables.request.TableRequest``: models, protocol, ci, rank, ...
    Returns:
        Sheets, each with ``caption``, ``data`` (rows), ``to_markdown()``, ``to_latex()``, ``to_html()``, ``to_csv()``.
    """
    from benchmark.report.tables.request import TableRequest, build

    known = {field.name for field in fields(TableRequest)}
    kinds = ("main", "ablation", "efficiency", "by", "worst")
    if kind not in kinds:
        raise unknown_name("kind of table", kind, kinds)
    for option in options:
        if option not in known:
            raise unknown_name("option", option, known)
    for option in ("models", "datasets"):
        if isinstance(options.get(option), str):
            options[option] = _names(options[option])
    return [one.sheet for one in build(TableRequest(results=Path(results), kind=kind, **options))]


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
            denoisers, reference, seen, protocol, device, workers, data_root, ...
    Returns:
        Summaries, tables and the files written.
    Raises:
        BenchError: A mistake, told before anything is measured; or weights or images that cannot be used.
    """
    from benchmark.robustness.cells import Asked
    from benchmark.robustness.study import robustness

    known = {field.name for field in fields(Asked)}
    for name in options:
        if name not in known:
            raise unknown_name("option", name, known)
    for name in ("models", "runs", "datasets", "denoisers"):
        if name in options:
            options[name] = tuple(_names(options[name]))
    asked = Asked(results=Path(results), corruptions=tuple(_names(corruptions)), **options)
    with _shown(quiet) as events:
        return robustness(asked, out=_path(out), notice=events.notice, progress=events.phase)


def profile_models(
    models: Names = "all",
    *,
    size: int = 256,
    batches: Sequence[int] = (1, 16),
    repeats: int = 10,
    device: str = "cpu",
    train: str | None = None,
) -> pd.DataFrame:
    """Measure parameters, multiply-adds, latency and peak memory, as ``bench profile`` does; nothing is written.

    ``train`` names a recipe whose training steps are timed too.
    """
    import pandas as pd

    from benchmark.costs.profile import as_rows, profile
    from benchmark.models.registry import expand_models

    specs = expand_models(_names(models))
    rows = profile(specs, size=size, batches=batches, repeats=repeats, device=device, recipe=train)
    return pd.DataFrame(as_rows(rows))


@contextmanager
def _shown(quiet: bool, *, many: bool = False) -> Iterator[Any]:
    """Events that are shown on standard error, unless ``quiet``."""
    if quiet:
        from benchmark.study.events import SILENT

        yield SILENT
        return
    from rich.console import Console

    from benchmark.display.choose import watch_run

    with watch_run(Console(stderr=True), many=many) as events:
        yield events


def _placement(executor: str, workers: int | None, options: Mapping[str, Any] | None) -> Placement:
    from benchmark.execution.placement import place

    return place(executor, workers, [f"{key}={value}" for key, value in (options or {}).items()])


def _request(
    models: Names,
    datasets: Names,
    seeds: int | Sequence[int],
    overrides: Mapping[str, Any] | None,
    options: dict[str, Any],
) -> Request:
    from benchmark.study.plan import Request

    known = {field.name for field in fields(Request)} - {"models", "datasets", "seeds", "overrides", "ablations"}
    for option in options:
        if option not in known:
            raise unknown_name("option", option, known)
    paths = {name: _path(options.get(name)) for name in ("data_root", "results", "cache_dir", "weights_dir")}
    return Request(
        models=_names(models),
        datasets=_names(datasets),
        seeds=(seeds,) if isinstance(seeds, int) else tuple(seeds),
        overrides=dict(overrides or {}),
        **{**options, **{name: path for name, path in paths.items() if path is not None}},
    )


def _names(given: Names) -> list[str]:
    parts = given.split(",") if isinstance(given, str) else given
    return [part.strip() for part in parts if part.strip()]


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
