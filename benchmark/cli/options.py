"""Options that several commands share, each said once. Nothing heavy is imported at module level."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete

Results = Annotated[Path, typer.Option("--results", help="Results folder.", envvar="BENCH_RESULTS")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder with the datasets.", envvar="BENCH_DATA_ROOT")]
CacheDir = Annotated[Path | None, typer.Option(help="Folder for decoded pixels.", envvar="BENCH_CACHE_DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes; errors are still told.")]

Models = Annotated[
    str, typer.Option(help="Names, comma-separated, or all; also FILE.py:function.", autocompletion=complete.models)
]
Datasets = Annotated[
    str, typer.Option(help="Names, groups (polyp, skin, phantom) or FILE.toml.", autocompletion=complete.datasets)
]
Split = Annotated[
    str,
    typer.Option(
        help="Who trains, who tests: paper, grouped, pranet, paper-skin, or FILE.json.", autocompletion=complete.splits
    ),
]
SplitSeed = Annotated[int, typer.Option(help="Seed of the split's random draw.")]
Recipe = Annotated[str, typer.Option(help="Packaged recipe or TOML file.", autocompletion=complete.recipes)]
Seeds = Annotated[str, typer.Option(help="Training seeds, comma-separated.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Override a recipe field: key=value.")]
IfExists = Annotated[str, typer.Option(help="skip, resume or overwrite what is there.")]
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
    typer.Option("--deterministic", help="Same bytes on the same GPU, where torch can; names what cannot. A CPU does."),
]
Executor = Annotated[
    str, typer.Option(help="Where cells run: local, ray (an existing cluster) or slurm (a job for each).")
]
Workers = Annotated[
    int | None, typer.Option(help="Cells at once; one (local) or as many as fit (ray, slurm) if unset.", min=1)
]
ExecutorOptions = Annotated[
    list[str] | None,
    typer.Option("--executor-option", help="key=value, for example gpus=1; benchmark/README.md lists them."),
]
Engine = Annotated[str, typer.Option(help="Scoring engine: fast or reference (py_sod_metrics).")]
ShowCost = Annotated[
    bool,
    typer.Option("--estimate", help="Print what the plan costs on this and other devices, and stop."),
]
TimeFirst = Annotated[bool, typer.Option(help="Time a few steps of each model before starting.")]
Track = Annotated[bool, typer.Option(help="Mirror the records into MLflow.")]
LogCheckpoints = Annotated[bool, typer.Option("--log-checkpoints", help="Keep the best weights in MLflow too.")]
