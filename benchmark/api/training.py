"""Train models: a study, an ablation, a search for hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.arguments import Names, as_names, as_path, make_placement, make_request, shown_events
from benchmark.errors import BenchError

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.costs.plan_cost import Estimate
    from benchmark.store.schema import Record
    from benchmark.study.plan import Study


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
        BenchError: A user error, raised before anything is trained.
    Example:
        >>> import benchmark as bench
        >>> fast = {"epochs": 1, "image_size": 64, "max_train_images": 16, "max_test_images": 2}
        >>> records = bench.run("./tiny_net.py:build", "phantom-kvasir", recipe="smoke", overrides=fast)
        >>> [(record.cell.split("/")[0], record.status) for record in records]
        [('file_tiny_net_build', 'ok')]
    """
    from benchmark.execution.study import check_study, fold_requests, train_study, try_study
    from benchmark.study import plan

    placement = make_placement(executor, workers, executor_options)
    found: list[Record] = []
    for request in fold_requests(make_request(models, datasets, seeds, overrides, options)):
        study = plan.plan_study(request)
        check_study(study, placement)
        try_study(study)
        with shown_events(quiet, many=not placement.is_here) as events:
            found += train_study(study, placement=placement, track=track, events=events).records
    return found


def plan_study(
    models: Names = "all",
    datasets: Names = "polyp",
    *,
    seeds: int | Sequence[int] = (0,),
    overrides: Mapping[str, Any] | None = None,
    **options: Any,
) -> Study:
    """Return what ``run`` would do, as ``bench run --dry-run``: cells, split, leaks. Arguments as for ``run``.

    Example:
        >>> import benchmark as bench
        >>> plan = bench.plan_study("unet,bsanet", "phantom-kvasir", seeds=[0, 1], recipe="smoke")
        >>> len(plan.cells), plan.synthetic
        (4, True)
    """
    from benchmark.study import plan

    return plan.plan_study(make_request(models, datasets, seeds, overrides, options))


def estimate(
    models: Names = "all",
    datasets: Names = "polyp",
    *,
    seeds: int | Sequence[int] = (0,),
    overrides: Mapping[str, Any] | None = None,
    gpus: Sequence[int] = (1, 8, 32),
    utilisation: str | None = None,
    hardware: str | Path | None = None,
    quiet: bool = True,
    **options: Any,
) -> Estimate:
    """Estimate what ``run`` would cost here and on other devices, as ``bench estimate`` does; nothing is trained.

    Args:
        models: Names, or all.
        datasets: Names or groups.
        seeds: Training seeds.
        overrides: Recipe fields.
        gpus: Numbers of devices.
        utilisation: ``LOW,HIGH``: share of a device's peak that training sustains.
        hardware: TOML of further devices, or the JSON of a device check.
        quiet: No progress on standard error.
        **options: As for ``run``.
    Returns:
        Cells, images, hours by device, memory and disk.
    Raises:
        BenchError: A user error, raised before anything is timed.
    """
    from benchmark.costs.plan_cost import Options
    from benchmark.costs.plan_cost import estimate as count

    request = make_request(models, datasets, seeds, overrides, {"device": "cpu", **options})
    with shown_events(quiet) as events:
        return count(request, Options(tuple(gpus), utilisation, as_path(hardware)), progress=events.phase)


def ablate(
    model: str = "bsanet",
    drop: Names = (),
    datasets: Names = "polyp",
    *,
    off: Names = (),
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
        off: Further parts that are only switched off in the trained full networks.
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

    placement = make_placement(executor, workers, executor_options)
    request = make_request(model, datasets, seeds, overrides, options)
    plan = plan_ablation(request, as_names(drop), off=as_names(off), factorial=factorial, placement=placement)
    with shown_events(quiet, many=not placement.is_here) as events:
        done = train_ablation(plan, placement=placement, track=track, events=events)
    for record in done.failed:
        raise BenchError(f"{record.cell} {record.status}: {record.error}; finished cells are kept")
    return pd.DataFrame([dict(row) for sheet in done.tables for row in sheet.data])


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

    request = make_request(models, datasets, seed, overrides, options)
    prepared = tuning.prepare(Asked(request, trials, as_path(space), storage, "benchmark.tune(...) in Python"))
    with shown_events(quiet) as events:
        found = tuning.tune(prepared, workers=workers, events=events).found
    rows = [row for one in found for row in one.rows]
    return pd.DataFrame([{**{k: v for k, v in row.items() if k != "fields"}, **row["fields"]} for row in rows])
