"""The command line: parse, call, print; nothing else. Nothing heavy is imported at module level."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark.errors import BenchError

app = typer.Typer(
    name="bench",
    help="Benchmark and ablation harness for polyp segmentation: one set-up, one protocol, honest tables.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
data_app = typer.Typer(help="Find and check datasets.", no_args_is_help=True, rich_markup_mode=None)
audit_app = typer.Typer(help="Check printed numbers by arithmetic.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")
app.add_typer(audit_app, name="audit")

Results = Annotated[Path, typer.Option("--results", help="Results folder.", envvar="BENCH_RESULTS")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder with the datasets.", envvar="BENCH_DATA_ROOT")]
CacheDir = Annotated[Path | None, typer.Option(help="Folder for decoded pixels.", envvar="BENCH_CACHE_DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        from benchmark import __version__

        print(f"polyp-bench {__version__}")
        raise typer.Exit


@app.command()
def run(
    models: Annotated[str, typer.Option(help="Names, comma-separated, or all; also FILE.py:function.")] = "all",
    datasets: Annotated[str, typer.Option(help="Names or groups: polyp, skin, phantom (synthetic).")] = "polyp",
    split: Annotated[str, typer.Option(help="Who trains, who tests: paper, pranet, ...")] = "paper",
    split_seed: Annotated[int, typer.Option(help="Seed of the split's random draw.")] = 0,
    recipe: Annotated[str, typer.Option(help="Packaged recipe or TOML file.")] = "paper",
    seeds: Annotated[str, typer.Option(help="Training seeds, comma-separated.")] = "0",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a recipe field: key=value.")] = None,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    if_exists: Annotated[str, typer.Option(help="skip, resume or overwrite what is there.")] = "resume",
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Run without absent datasets.")] = False,
    weights_dir: Annotated[Path | None, typer.Option(help="Folder with <model>.pth for pretrained=true.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:<k>, mps.")] = "auto",
    engine: Annotated[str, typer.Option(help="Scoring engine: fast or reference (py_sod_metrics).")] = "fast",
    track: Annotated[bool, typer.Option(help="Mirror the records into MLflow.")] = True,
    estimate: Annotated[bool, typer.Option(help="Time a few steps of each model before starting.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train and score models on the same set-up, then print the tables.

    Finished cells are kept; unfinished ones continue from their last checkpoint (--if-exists resume), start again
    (skip), or everything is trained anew (overwrite).

    Example: bench run --models all --datasets phantom --recipe smoke
    """
    from benchmark.commands import study
    from benchmark.config import parse_overrides
    from benchmark.plan import Request

    request = Request(
        models=_names(models),
        datasets=_names(datasets),
        split=split,
        split_seed=split_seed,
        recipe=recipe,
        overrides=parse_overrides(set_ or []),
        seeds=_integers(seeds, "--seeds"),
        data_root=data_root,
        results=results,
        cache_dir=cache_dir,
        engine=_choice(engine, "--engine", ("fast", "reference")),
        if_exists=_choice(if_exists, "--if-exists", ("skip", "resume", "overwrite")),  # type: ignore[arg-type]
        allow_missing=allow_missing,
        device=device,
        weights_dir=weights_dir,
    )
    code = study.run(
        request, track=track, with_estimate=estimate, dry_run=dry_run, as_json=as_json, quiet=quiet or as_json
    )
    raise typer.Exit(code)


@app.command()
def ablate(
    model: Annotated[str, typer.Option(help="The model whose parts are dropped.")] = "bsanet",
    drop: Annotated[str | None, typer.Option(help="Parts, comma-separated; all that it declares if unset.")] = None,
    factorial: Annotated[bool, typer.Option("--factorial", help="Every subset of the parts.")] = False,
    datasets: Annotated[str, typer.Option(help="Names or groups: polyp, skin, phantom (synthetic).")] = "polyp",
    split: Annotated[str, typer.Option(help="Who trains, who tests: paper, grouped, pranet, ...")] = "paper",
    split_seed: Annotated[int, typer.Option(help="Seed of the split's random draw.")] = 0,
    recipe: Annotated[str, typer.Option(help="Packaged recipe or TOML file.")] = "paper",
    seeds: Annotated[str, typer.Option(help="Training seeds, comma-separated.")] = "0",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a recipe field: key=value.")] = None,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    if_exists: Annotated[str, typer.Option(help="skip, resume or overwrite what is there.")] = "resume",
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Run without absent datasets.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:<k>, mps.")] = "auto",
    engine: Annotated[str, typer.Option(help="Scoring engine: fast or reference (py_sod_metrics).")] = "fast",
    track: Annotated[bool, typer.Option(help="Mirror the records into MLflow.")] = True,
    estimate: Annotated[bool, typer.Option(help="Time a few steps before starting.")] = True,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train a model whole, without each part and without all of them, on the same seeds and batches; compare in pairs.

    Before training it proves that each switch changes the network, else it stops. Writes a table (Markdown, LaTeX, CSV)
    and a forest plot of the differences.

    Example: bench ablate --model bsanet --drop isam,fsam,rendering --datasets phantom --recipe smoke
    """
    from benchmark.commands import study
    from benchmark.config import parse_overrides
    from benchmark.plan import Request

    request = Request(
        models=[model],
        datasets=_names(datasets),
        split=split,
        split_seed=split_seed,
        recipe=recipe,
        overrides=parse_overrides(set_ or []),
        seeds=_integers(seeds, "--seeds"),
        data_root=data_root,
        results=results,
        cache_dir=cache_dir,
        engine=_choice(engine, "--engine", ("fast", "reference")),
        if_exists=_choice(if_exists, "--if-exists", ("skip", "resume", "overwrite")),  # type: ignore[arg-type]
        allow_missing=allow_missing,
        device=device,
    )
    code = study.ablate(
        request,
        drop=_names(drop) if drop else [],
        factorial=factorial,
        track=track,
        with_estimate=estimate,
        as_json=as_json,
        quiet=quiet or as_json,
    )
    raise typer.Exit(code)


@app.command()
def tables(
    results: Results = Path("results"),
    latex: Annotated[bool, typer.Option("--latex", help="Write and print LaTeX.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write and print Markdown (the default).")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write and print CSV.")] = False,
    protocol: Annotated[str, typer.Option(help="Scoring protocol of the printed numbers.")] = "pranet",
    models: Annotated[str | None, typer.Option(help="Only these models.")] = None,
    datasets: Annotated[str | None, typer.Option(help="Only these test sets or groups.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Only this recipe (name or name-hash8).")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Average these seeds; all that were run if unset.")] = None,
    std: Annotated[bool, typer.Option("--std", help="Print the standard deviation over seeds.")] = False,
    ablation: Annotated[bool, typer.Option("--ablation", help="Ablated variants below their full model.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the files; RESULTS/tables if unset.")] = None,
    as_json: Json = False,
) -> None:
    """Write one table per test set in the paper's form, from the records alone.

    Example: bench tables --latex
    """
    from benchmark.commands import tabulate

    formats = [name for name, on in (("latex", latex), ("markdown", markdown), ("csv", csv)) if on]
    tabulate.tables(
        results,
        formats=formats or ["markdown"],
        protocol=protocol,
        models=_names(models) if models else None,
        datasets=_names(datasets) if datasets else None,
        recipe=recipe,
        split=split,
        seeds=_integers(seeds, "--seeds") if seeds else None,
        std=std,
        kind="ablation" if ablation else "main",
        out=out,
        as_json=as_json,
    )


@app.command()
def evaluate(
    predictions: Annotated[
        Path | None, typer.Option(help="Folder of maps, one per image, or nested by dataset.")
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", "--datasets", help="Test sets, comma-separated.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of masks, for a set of your own.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the method in tables.")] = None,
    model: Annotated[str | None, typer.Option(help="Network of a released checkpoint.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Released checkpoint of --model.")] = None,
    recipe: Annotated[str, typer.Option(help="Test-time processing of the checkpoint.")] = "native",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a recipe field: key=value.")] = None,
    images: Annotated[
        str, typer.Option(help="pranet: the images of PraNet's test lists; all: every image.")
    ] = "pranet",
    protocol: Annotated[str, typer.Option(help="Protocol that is printed: name or FILE.toml.")] = "pranet",
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Score what exists, print n of N.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this JSON file.")] = None,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:<k>, mps (checkpoints only).")] = "auto",
    engine: Annotated[str, typer.Option(help="Scoring engine: fast or reference (py_sod_metrics).")] = "fast",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Score maps that others made, or a released checkpoint; both become records in the same tables.

    Example: bench evaluate --predictions PraNet/Kvasir --dataset kvasir --name PraNet --json pranet.json
    """
    from benchmark.commands import score
    from benchmark.config import parse_overrides
    from benchmark.plan import Request

    request = Request(
        recipe=recipe,
        overrides=parse_overrides(set_ or []),
        data_root=data_root,
        results=results,
        cache_dir=cache_dir,
        engine=_choice(engine, "--engine", ("fast", "reference")),
        device=device,
    )
    score.evaluate(
        request,
        predictions=predictions,
        datasets=_names(dataset) if dataset else [],
        masks=masks,
        name=name,
        model=model,
        checkpoint=checkpoint,
        images=_choice(images, "--images", ("pranet", "all")),
        protocol=protocol,
        allow_partial=allow_partial,
        json_file=json_file,
        quiet=quiet,
    )


@app.command()
def profile(
    models: Annotated[str, typer.Option(help="Names, comma-separated, or all.")] = "all",
    size: Annotated[int, typer.Option(help="Side of the square input, px.")] = 256,
    batches: Annotated[str, typer.Option(help="Batch sizes, comma-separated.")] = "1,16",
    repeats: Annotated[int, typer.Option(help="Timed forward passes, after two of warm-up.", min=1)] = 10,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:<k>.")] = "cpu",
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Measure parameters, multiply-adds, latency and peak memory; kept in RESULTS/profile.csv.

    Example: bench profile --models all --size 256
    """
    from benchmark.commands import describe

    describe.profile(
        _names(models),
        size=size,
        batches=_integers(batches, "--batches"),
        repeats=repeats,
        device=device,
        results=results,
        as_json=as_json,
    )


@app.command()
def protocols(as_json: Json = False) -> None:
    """Explain the scoring protocols in words.

    Example: bench protocols
    """
    from benchmark.commands import score

    score.protocols(as_json=as_json)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="Build this model and describe it.")] = None,
    as_json: Json = False,
) -> None:
    """List the models, or describe one: parameters, options, parts that an ablation can drop.

    Example: bench models bsanet
    """
    from benchmark.commands import describe

    describe.models(name, as_json=as_json)


@data_app.command("list")
def data_list(data_root: DataRoot = None, as_json: Json = False) -> None:
    """List the known datasets, and which are found below the data root.

    Example: bench data list --data-root ~/datasets
    """
    from benchmark.commands import describe

    describe.data_list(data_root, as_json=as_json)


@data_app.command("check")
def data_check(
    names: Annotated[list[str] | None, typer.Argument(help="Datasets or groups; all that are found if unset.")] = None,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Read every image and mask of a dataset and report counts, sizes, mask levels and faults. Nothing is changed.

    Example: bench data check kvasir
    """
    from benchmark.commands import describe

    raise typer.Exit(describe.data_check(names or [], data_root, as_json=as_json))


@audit_app.command("published")
def audit_published(
    files: Annotated[list[Path] | None, typer.Argument(help="CSV files; results/published/*.csv if unset.")] = None,
    notes: Annotated[bool, typer.Option("--notes", help="Also what may well be so but should be known.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write one object per finding to this file.")] = None,
) -> None:
    """Check tables that papers print: ranges, Dice against IoU, claims of being best, the same number across papers.

    A CSV needs the columns dataset, model and any of mDSC, mIoU, S_alpha, F_beta_w, E_phi_max, MAE.

    Example: bench audit published
    """
    from benchmark.commands import tabulate

    tabulate.audit_published(files or [], notes=notes, json_file=json_file)


def main() -> None:
    """Entry point of ``bench``: a user's mistake ends in one line and exit code 2."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's spinning threads collapse when a core is shared
    try:
        app()
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _integers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in _names(text)]
    except ValueError:
        raise BenchError(f"{option} {text}: expected whole numbers, comma-separated, for example 0,1,2") from None


def _choice(value: str, option: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise BenchError(f"{option} {value}: expected one of {', '.join(known)}")
    return value
