"""Options that several commands share, each declared once. Nothing heavy is imported at module level.

A command takes a whole group of them through one parameter: ``@expanded`` replaces a parameter whose type is one of the
dataclasses below by that class's fields, so that Typer, the help and the reference see single options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from benchmark.cli import complete
from benchmark.cli.app import names
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.execution.placement import Placement
    from benchmark.study.plan import Request

Results = Annotated[Path, typer.Option("--results", help="Results folder.", envvar="BENCH_RESULTS")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder with the datasets.", envvar="BENCH_DATA_ROOT")]
CacheDir = Annotated[Path | None, typer.Option(help="Folder for decoded pixels.", envvar="BENCH_CACHE_DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
CELL_HELP = "A cell below RESULTS/runs, or the start of its path parts that matches one cell only (unet/quick)."

OneCell = Annotated[str | None, typer.Option("--run", help=f"A folder with run.json. Or: {CELL_HELP}")]
ItsNetwork = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Network of --checkpoint; for --run only FILE.py:function.",
        autocompletion=complete.models,
    ),
]
Weights = Annotated[Path | None, typer.Option("--checkpoint", help="Weights file for --model.")]
ItsRecipe = Annotated[
    str,
    typer.Option("--recipe", help="Input size and processing of the checkpoint.", autocompletion=complete.recipes),
]

Models = Annotated[
    str,
    typer.Option(
        help="Names, comma-separated; all or paper (the six), field, every; FILE.py:function.",
        autocompletion=complete.models,
    ),
]
Datasets = Annotated[
    str, typer.Option(help="Names, groups (polyp, skin, phantom) or FILE.toml.", autocompletion=complete.datasets)
]
Split = Annotated[
    str,
    typer.Option(
        help="Split: paper, grouped, pranet, paper-skin, official, kfold:5:1 (run: kfold:5), leave-out:PART, a "
        "folder with train.txt, or FILE.json.",
        autocompletion=complete.splits,
    ),
]
SplitSeed = Annotated[int, typer.Option(help="Seed of the split's random draw.")]
Recipe = Annotated[str, typer.Option(help="Packaged recipe or TOML file.", autocompletion=complete.recipes)]
Seeds = Annotated[str, typer.Option(help="Training seeds, comma-separated.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Override a recipe field: key=value.")]
IfExists = Annotated[Literal["skip", "resume", "overwrite"], typer.Option(help="What to do with existing cells.")]
CheckpointEvery = Annotated[
    float, typer.Option(help="Seconds between two checkpoints of an unfinished training.", min=0)
]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Run without absent datasets.")]
WeightsDir = Annotated[Path | None, typer.Option(help="Folder with <model>.pth or <encoder>.pth for pretrained=true.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:<k>, mps.", autocompletion=complete.devices)]
Devices = Annotated[
    int, typer.Option(help="Processes that train each cell together, one per GPU; on a CPU, that share its cores.")
]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="Deterministic algorithms on CUDA where torch has them; lists the others."),
]
Executor = Annotated[
    Literal["local", "ray", "slurm"],
    typer.Option(help="Where cells run: local, ray (an existing cluster) or slurm (a job for each)."),
]
Workers = Annotated[
    int | None, typer.Option(help="Parallel cells; one (local) or as many as fit (ray, slurm) if unset.", min=1)
]
ExecutorOptions = Annotated[
    list[str] | None,
    typer.Option("--executor-option", help="key=value, for example gpus=1; benchmark/execution/README.md lists them."),
]
Engine = Annotated[Literal["fast", "reference"], typer.Option(help="Scoring engine; reference is py_sod_metrics.")]
ShowCost = Annotated[
    bool,
    typer.Option("--estimate", help="Print what the plan costs on this and other devices, and stop."),
]
TimeFirst = Annotated[bool, typer.Option(help="Time a few steps of each model before starting.")]
Track = Annotated[bool, typer.Option(help="Mirror the records into MLflow.")]
Key = Annotated[
    str | None,
    typer.Option("--key", help="Key of the state dict in --checkpoint, as model_ema or ema.model; detected if unset."),
]
StripPrefix = Annotated[
    str | None,
    typer.Option("--strip-prefix", help="Keep keys of --checkpoint with this prefix, and strip it; detected if unset."),
]
InitFrom = Annotated[
    str | None,
    typer.Option(
        "--init-from",
        help="Start from a checkpoint FILE, or from finished CELLs, each seed from its own: to train them for further "
        "epochs. Optimiser and schedule start over.",
    ),
]
LogCheckpoints = Annotated[bool, typer.Option("--log-checkpoints", help="Store the best weights in MLflow too.")]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which images, split and recipe, and where files are: run, ablate, tune and estimate."""

    datasets: Datasets = "polyp"
    split: Split = "paper"
    split_seed: SplitSeed = 0
    recipe: Recipe = "paper"
    set_: Overrides = None
    data_root: DataRoot = None
    results: Results = Path("results")
    cache_dir: CacheDir = None
    allow_missing: AllowMissing = False


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a network is trained here: run, ablate and tune."""

    checkpoint_every: CheckpointEvery = 60.0
    weights_dir: WeightsDir = None
    device: Device = "auto"
    deterministic: Deterministic = False


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """How the cells of a study are run: run and ablate."""

    if_exists: IfExists = "resume"
    devices: Devices = 1
    executor: Executor = "local"
    workers: Workers = None
    executor_option: ExecutorOptions = None
    engine: Engine = "fast"
    track: Track = True
    log_checkpoints: LogCheckpoints = False
    estimate: ShowCost = False
    time_first: TimeFirst = True

    @property
    def placement(self) -> Placement:
        """Where cells run.

        Raises:
            BenchError: An unknown executor option, or a value that cannot be read.
        """
        from benchmark.execution.placement import place

        return place(self.executor, self.workers, self.executor_option or [])


def make_request(models: str, *groups: Any, **more: Any) -> Request:
    """Build the request of a study from the models, groups of options and further fields of ``Request``."""
    from benchmark.recipes.read import parse_overrides
    from benchmark.study.plan import Request

    given = {field.name: getattr(group, field.name) for group in groups for field in fields(group)} | more
    renamed = {"checkpoint_every": "checkpoint_every_s"}
    known = {field.name for field in fields(Request)}
    wanted = {renamed.get(key, key): value for key, value in given.items() if renamed.get(key, key) in known}
    overrides = parse_overrides(given.get("set_") or [])
    return Request(**{**wanted, "models": names(models), "datasets": names(given["datasets"]), "overrides": overrides})


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameters that are groups of options by the single options."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if is_dataclass(kind):
            groups[parameter.name] = kind  # type: ignore[assignment]
            parameters += _fields_of(kind)
        else:
            parameters.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def called(**values: Any) -> None:
        made = {name: kind(**{f.name: values.pop(f.name) for f in fields(kind)}) for name, kind in groups.items()}  # type: ignore[arg-type]
        command(**made, **values)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del called.__wrapped__  # type: ignore[attr-defined]
    return called


def _fields_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True, localns={"Placement": Any})
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]


def check_network(has_run: bool, model: str | None, checkpoint: Path | None) -> None:
    """Refuse commands that name no network to predict with, or two.

    Raises:
        BenchError: Neither or both of --run and --checkpoint, or a checkpoint without its --model.
    """
    if has_run == (checkpoint is not None):
        raise BenchError("give either --run CELL (a cell of bench run) or --model NAME --checkpoint FILE")
    if checkpoint is not None and model is None:
        raise BenchError("--checkpoint needs --model: which network has these weights? for example --model pranet")
