"""`bench doctor`, `clean`, `export`, `init` and `measure`: checks, upkeep and extensions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import RESULTS, TOOLS, app, names
from benchmark.cli.options import CELL_HELP, CacheDir, DataRoot, Json, Results
from benchmark.cli.printing import events, print_json, print_rows, say, tell
from benchmark.errors import BenchError


@app.command(rich_help_panel=TOOLS)
def doctor(
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    weights: Annotated[bool, typer.Option(help="Build each model from its ImageNet weights, offline.")] = True,
    as_json: Json = False,
) -> None:
    """Report what is installed and what is missing: versions, devices, datasets, ImageNet weights, disk space, tools.

    For each missing item, says how to get it. Exit code 1 if something that every study needs is broken.

    Example: bench doctor --data-root ~/datasets
    """
    from dataclasses import asdict

    from benchmark.maintenance.doctor import examine

    if weights:
        say("building each model from ImageNet weights (--no-weights skips this)")
    findings = examine(data_root, results, cache_dir, weights=weights)
    (print_json if as_json else print_rows)([asdict(one) for one in findings])
    broken = [one.name for one in findings if one.state == "broken"]
    if broken:
        tell(f"broken: {', '.join(broken)}")
    raise typer.Exit(int(bool(broken)))


@app.command(rich_help_panel=TOOLS)
def clean(
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    only: Annotated[
        str | None, typer.Option(help="Only these kinds: unfinished, failed, locks, leftovers, outdated, caches.")
    ] = None,
    cell: Annotated[list[str] | None, typer.Option(help=f"Also this cell, whatever its status. {CELL_HELP}")] = None,
    older_than: Annotated[str, typer.Option(help="Only files last written at least this long ago: 12h, 7d, 0.")] = "0",
    caches: Annotated[
        bool, typer.Option("--caches", help="Also cached pixels, plans and phantom; rebuilt on use.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; by default they are only listed.")] = False,
    as_json: Json = False,
) -> None:
    """List what can be removed, and with --yes remove it: unfinished trainings, failed cells, locks, leftovers, caches.

    A cell locked by another process is skipped. A record with status ok is removed only if --cell names it.

    Example: bench clean --older-than 7d
    """
    from benchmark.maintenance.clean import find_clutter, parse_age, remove

    found = find_clutter(
        results,
        cache_dir,
        kinds=names(only) if only else None,
        cells=cell or [],
        min_age_s=parse_age(older_than),
        caches=caches,
    )
    gone = remove(found.items, results) if yes else []
    rows = [
        {"kind": one.kind, "path": str(one.path), "mb": round(one.num_bytes / 1e6, 1), "why": one.why}
        for one in found.items
    ]
    if as_json:
        print_json({"items": rows, "removed": [str(path) for path in gone], "left": found.left})
        return
    print_rows(rows)
    for note in found.left:
        say(f"skipped: {note}")
    total = sum(one.num_bytes for one in found.items) / 1e6
    verb = "removed" if yes else "would be removed (pass --yes)"
    say(f"{len(gone) if yes else len(rows)} things, {total:.1f} MB {verb}" if rows else "nothing to clean")


@app.command(rich_help_panel=RESULTS)
def export(
    out: Annotated[Path, typer.Option(help="Folder of the export; it must not hold records yet.")],
    results: Results = Path("results"),
    protocols: Annotated[str | None, typer.Option(help="Keep these scoring protocols only, comma-separated.")] = None,
    compact: Annotated[
        bool, typer.Option("--compact", help="Store per-image scores and curves in single precision.")
    ] = False,
    maps: Annotated[bool, typer.Option("--maps", help="Also the probability maps of the test images.")] = False,
    weights: Annotated[
        bool, typer.Option("--weights", help="Also best.pt of each cell, with a model card made from its record.")
    ] = False,
    archive: Annotated[
        Path | None, typer.Option(help="Also pack the export into this zip; the same content gives the same bytes.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Copy a study's records, to publish with a paper: without images and the machine's name, with checksums.

    `bench tables`, `plots`, `compare` and `report` work on the copy; what needs maps (`plots qualitative`, `measure`)
    does with --maps. Lists records without a commit, or with one that is not in the source tree's history.

    Example: bench export --out supplement --protocols pranet,half
    """
    from benchmark.maintenance.bulk import num_bytes
    from benchmark.maintenance.export import export_records
    from benchmark.store import io

    if maps or weights:
        size = num_bytes(results, io.read_records(results), maps=maps, weights=weights)
        say(f"maps and weights: {size / 1e6:.1f} MB beside the records")
    chosen = names(protocols) if protocols else None
    held = {"compact": compact, "maps": maps, "weights": weights, "archive": archive}
    done = export_records(results, out, protocols=chosen, **held)  # type: ignore[arg-type]
    if as_json:
        files = [path.relative_to(out).as_posix() for path in done.files]
        facts = {"cells": done.cells, "files": files, "num_bytes": done.num_bytes, "commits": done.commits}
        print_json({"out": str(out), **facts, "archive": None if archive is None else str(archive)})
        return
    print(out)
    size_mb = f"{done.num_bytes / 1e6:.1f} MB"
    lacking = [name for name, held in (("map", maps), ("weight", weights)) if not held]
    say(f"{len(done.cells)} cells in {len(done.files)} files, {size_mb}; no {' or '.join(['image', *lacking])}")
    if done.archive_bytes is not None:
        print(archive)
        say(
            f"{done.archive_bytes / 1e6:.1f} MB; 'bench import {archive}' checks it and brings it into a results folder"
        )
    if done.commits:
        say(f"note: {done.commits}; environment.code identifies the code that made a record")


@app.command(name="import", rich_help_panel=RESULTS)
def import_(
    source: Annotated[str, typer.Argument(metavar="ARCHIVE", help="Zip or folder of bench export, or its address.")],
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Check somebody's export and bring its cells into a results folder; nothing in it is run.

    Refused, by name: files that no export holds, links, bombs, wrong checksums, records whose figures do not follow
    from the scores of their images, weights of another record, cells that are there with another record.

    Example: bench import supplement.zip --results theirs
    """
    from benchmark.maintenance.importing import import_export

    with events(as_json=as_json) as shown:
        done = import_export(source, results, progress=lambda have, of: shown.phase("fetch", have, of or 0))
    if as_json:
        print_json({"cells": done.cells, "kept": done.kept, "num_files": done.num_files})
        return
    print("\n".join(done.cells) or "nothing new")
    say(f"{len(done.cells)} cells imported into {results}, {len(done.kept)} there already; 'bench tables' prints them")


@app.command(rich_help_panel=TOOLS)
def init(
    name: Annotated[str, typer.Argument(help="Name of the model and of the file.")],
    out: Annotated[Path, typer.Option(help="Folder for the file.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write a documented ten-line model file, ready to train.

    Example: bench init my-model
    """
    from benchmark.models.starter import model_file
    from benchmark.store import io

    stem, text = model_file(name)
    path = out / f"{stem}.py"
    if path.exists():
        raise BenchError(f"{path} exists already; give another name or --out")
    io.write_text(path, text)
    model = f"{path}:build" if path.is_absolute() else f"./{path}:build"
    command = f"bench run --models {model} --datasets phantom --recipe smoke"
    if as_json:
        print_json({"file": str(path), "model": model, "command": command})
        return
    print(path)
    say(f"ready to train: {command}")


@app.command(rich_help_panel=RESULTS)
def measure(
    metric: Annotated[str, typer.Argument(help="FILE.py:function of a map (H, W) uint8 and a mask (H, W) bool.")],
    results: Results = Path("results"),
    models: Annotated[str | None, typer.Option(help="Only these models.", autocompletion=complete.models)] = None,
    datasets: Annotated[
        str | None, typer.Option(help="Only these test sets or groups.", autocompletion=complete.datasets)
    ] = None,
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Compute a custom metric on the stored maps of finished cells, per image and on average; nothing is trained.

    The values are stored beside each cell's scores, in metrics/NAME-HASH.parquet; HASH is of the file's text.

    Example: bench measure ./my_metric.py:area_error --datasets phantom
    """
    from benchmark.data.listing.datasets import expand_datasets
    from benchmark.scoring import custom_metric

    loaded = custom_metric.load_metric(metric)
    sets = expand_datasets(names(datasets), data_root) if datasets else None
    with events() as shown:
        measured = custom_metric.measure(
            loaded,
            results,
            models=names(models) if models else None,
            datasets=sets,
            data_root=data_root,
            cache_dir=cache_dir,
            progress=shown.phase,
        )
    rows = custom_metric.summarise(measured, loaded)
    if as_json:
        files = [str(path) for path in measured.files]
        print_json({"metric": loaded.name, "code": loaded.code, "rows": rows, "files": files, "left": measured.left})
        return
    print_rows(rows)
    for line in measured.left:
        say(f"skipped: {line}")
