"""`bench evaluate`, `bench profile`, `bench protocols`, `bench models`, `bench recipes`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.cli import complete
from benchmark.cli.app import TOOLS, TRAIN, app, integers, names
from benchmark.cli.options import CacheDir, DataRoot, Engine, Json, Key, Overrides, Results, StripPrefix
from benchmark.cli.printing import events, print_json, print_rows, say
from benchmark.errors import BenchError


@app.command(rich_help_panel=TRAIN)
def evaluate(
    predictions: Annotated[
        Path | None, typer.Option(help="Folder of maps, one per image, or nested by dataset.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "--datasets", help="Test sets, comma-separated.", autocompletion=complete.datasets),
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of masks, for a test set of your own.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the method in tables; the folder's, or the network's, if unset.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Network of a released checkpoint.", autocompletion=complete.models)
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Released checkpoint of --model.")] = None,
    key: Key = None,
    strip_prefix: StripPrefix = None,
    recipe: Annotated[
        str, typer.Option(help="Test-time processing of the checkpoint.", autocompletion=complete.recipes)
    ] = "native",
    set_: Overrides = None,
    images: Annotated[
        Literal["pranet", "all"], typer.Option(help="The images of PraNet's test lists, or every image.")
    ] = "pranet",
    protocol: Annotated[
        str, typer.Option(help="Protocol that is printed: name or FILE.toml.", autocompletion=complete.protocols)
    ] = "pranet",
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Score the maps that exist, and print n of N.")
    ] = False,
    boundary: Annotated[bool, typer.Option("--boundary", help="Also HD95 and surface Dice, 2 px (maps only).")] = False,
    lesions: Annotated[bool, typer.Option("--lesions", help="Also lesions and false alarms (maps only).")] = False,
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Also Brier score and calibration error (maps only).")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the scores to this JSON file.")] = None,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:<k>, mps (checkpoints only).")] = "auto",
    engine: Engine = "fast",
) -> None:
    """Score maps of other methods, or a released checkpoint; both become records in the same tables.

    Example: bench evaluate --predictions PraNet/Kvasir --dataset kvasir --name PraNet --json pranet.json
    """
    from benchmark.recipes.read import parse_overrides
    from benchmark.scoring.evaluate import evaluate as score
    from benchmark.store import io
    from benchmark.study.plan import Request

    request = Request(
        recipe=recipe,
        overrides=parse_overrides(set_ or []),
        data_root=data_root,
        results=results,
        cache_dir=cache_dir,
        protocol=protocol,
        engine=engine,
        device=device,
    )
    idle = {"--images": masks is not None and images != "pranet"}
    if checkpoint is None:
        idle |= {"--model": model is not None, "--device": device != "auto", "--set": bool(set_)}
        idle |= {"--recipe": recipe != "native", "--key": key is not None, "--strip-prefix": strip_prefix is not None}
    else:
        idle |= {"--allow-partial": allow_partial}
    for option in (option for option, on in idle.items() if on):
        what = "--masks" if option == "--images" else "--predictions" if checkpoint is None else "--checkpoint"
        say(f"ignored: {option} has no effect with {what}")
    with events() as shown:
        rows = score(
            request,
            predictions=predictions,
            datasets=names(dataset) if dataset else [],
            masks=masks,
            name=name,
            model=model,
            checkpoint=checkpoint,
            key=key,
            strip_prefix=strip_prefix,
            images=images,
            allow_partial=allow_partial,
            boundary=boundary,
            on_request=[name for name, on in (("lesions", lesions), ("calibration", calibration)) if on],
            events=shown,
        )
    if json_file is not None:
        io.write_json(json_file, rows[0] if len(rows) == 1 else rows)
    for row in rows:
        numbers = "  ".join(f"{key} {row['metrics'][key]:.4f}" for key in row["metrics"])
        of = f" of {row['of']}" if row["of"] else ""
        facts = f"{row['n']}{of} images, {row['protocol']} {row['protocol_hash']}"
        print(f"{row['method']} on {row['dataset']} ({facts}): {numbers}")


@app.command(rich_help_panel=TOOLS)
def profile(
    models: Annotated[
        str,
        typer.Option(
            help="Names, comma-separated; all or paper (the six), field, every.", autocompletion=complete.models
        ),
    ] = "all",
    size: Annotated[int, typer.Option(help="Side of the square input, px.")] = 256,
    batches: Annotated[str, typer.Option(help="Batch sizes, comma-separated.")] = "1,16",
    repeats: Annotated[int, typer.Option(help="Timed forward passes, after two of warm-up.", min=1)] = 10,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:<k>.")] = "cpu",
    train: Annotated[
        str | None,
        typer.Option(
            help="Also time training steps, with this recipe's loss and precision.",
            autocompletion=complete.recipes,
        ),
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also time each network's ONNX file by onnxruntime (extra onnx; CPU).")
    ] = False,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Measure parameters, multiply-adds, latency and peak memory; kept in RESULTS/profile.csv.

    With --onnx the same batches, as often and with as many threads, by onnxruntime, after the file's maps were compared
    with the network's. With --train also training steps: bench estimate then uses these figures for the device instead
    of an assumption.

    Example: bench profile --models all --size 256
    """
    from benchmark.costs.profile import as_rows
    from benchmark.costs.profile import profile as measure
    from benchmark.costs.profile_file import keep_profile
    from benchmark.models.registry import expand_models
    from benchmark.recipes.read import load_recipe
    from benchmark.store.layout import ResultsLayout

    sizes = integers(batches, "--batches")
    if min(sizes, default=0) < 1:
        raise BenchError(f"--batches {batches}: expected whole numbers from 1")
    specs = expand_models(names(models))
    if train is not None:
        load_recipe(train, model=specs[0].name)  # refused before anything is measured
    with events(as_json=as_json) as shown:
        measured = measure(
            specs,
            size=size,
            batches=sizes,
            repeats=repeats,
            device=device,
            recipe=train,
            onnx=onnx,
            progress=partial(shown.phase, "profile"),
        )
    rows, file = as_rows(measured), ResultsLayout(results).profile
    keep_profile(file, rows)
    if as_json:
        print_json(rows)
        return
    hidden = {"title", "device_name", "torch"}
    hidden |= {"onnxruntime"} | (set() if train else {key for key in rows[0] if key.startswith("train_")})
    hidden |= set() if onnx else {key for key in rows[0] if key.startswith("onnx_")}
    print_rows([{key: value for key, value in row.items() if key not in hidden} for row in rows])
    first = rows[0]
    by = f"torch {first['torch']}" + (f", onnxruntime {first['onnxruntime']}" if first["onnxruntime"] else "")
    say(f"{first['device_name']}, {first['num_threads']} threads, {by}; kept in {file}")
    for fault in dict.fromkeys(cost.onnx_fault for cost in measured if cost.onnx_fault):
        say(f"no ONNX time: {fault}")


@app.command(rich_help_panel=TOOLS)
def protocols(
    name: Annotated[
        str | None,
        typer.Argument(help="Only this protocol: name or FILE.toml.", autocompletion=complete.protocols),
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain the scoring protocols.

    Example: bench protocols
    """
    from dataclasses import asdict

    from benchmark.metrics import PROTOCOLS, get_protocol

    chosen = list(PROTOCOLS.values()) if name is None else [get_protocol(name)]
    if as_json:
        print_json([{"hash": one.hash, **asdict(one)} for one in chosen])
        return
    for one in chosen:
        gap = f"engine 'reference' cannot follow it: {one.reference_gap}" if one.reference_gap else ""
        lines = (f"{one.name} ({one.hash})", one.description, one.in_words, gap)
        print("\n  ".join(line for line in lines if line) + "\n")


@app.command(rich_help_panel=TOOLS)
def models(
    name: Annotated[
        str | None, typer.Argument(help="Build this model and describe it.", autocompletion=complete.models)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models, or describe one: parameters, options, parts that an ablation can drop.

    Example: bench models bsanet
    """
    if name is not None:
        from benchmark.models.summary import describe_model

        facts = describe_model(name)
        if as_json:
            print_json(facts)
        else:
            print("\n".join(f"{key:12} {value}" for key, value in facts.items()))
        return
    from benchmark.models.registry import FIELD, MODELS, VARIANTS

    known = (*MODELS.values(), *FIELD.values(), *VARIANTS.values())
    rows = [{"name": spec.name, "title": spec.title, "summary": spec.summary} for spec in known]
    if as_json:
        print_json(rows)
        return
    print_rows(rows)
    others = "smp:<architecture>[:<encoder>] (smp:segformer:tu-mit_b0), FILE.py:function, entry points bench.models"
    say(f"any other network by name: {others}")


@app.command(rich_help_panel=TOOLS)
def recipes(
    name: Annotated[
        str | None, typer.Argument(help="Resolve this recipe: name or FILE.toml.", autocompletion=complete.recipes)
    ] = None,
    model: Annotated[
        str, typer.Option(help="Model to resolve for; a recipe may differ by model.", autocompletion=complete.models)
    ] = "unet",
    fields: Annotated[bool, typer.Option("--fields", help="Explain every field: values, default, unit.")] = False,
    as_json: Json = False,
) -> None:
    """List the packaged recipes, explain the fields that a recipe may set, or resolve one recipe for a model.

    Example: bench recipes --fields
    """
    from benchmark.recipes.explain import field_rows, recipe_rows
    from benchmark.recipes.read import load_recipe

    if name is not None:
        recipe = load_recipe(name, model=model)
        values = recipe.model_dump(mode="json")
        rows = [{**row, "default": json.dumps(values[row["field"]])} for row in field_rows()]
        rows = [{("value" if key == "default" else key): text for key, text in row.items()} for row in rows]
    else:
        rows = field_rows() if fields else recipe_rows()
    (print_json if as_json else print_rows)(rows)
