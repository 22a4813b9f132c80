"""`bench doctor`, `bench clean`, `bench export`, `bench init`, `bench measure`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmark.commands.printing import print_json, print_rows, say
from benchmark.errors import BenchError


def doctor(data_root: Path | None, results: Path, cache_dir: Path | None, *, weights: bool, as_json: bool) -> int:
    """Print every finding; returns 1 where something needed is broken."""
    from benchmark.maintenance.doctor import examine

    console = Console(stderr=True)
    if weights:
        say(console, "building each model from ImageNet weights (--no-weights leaves this out)")
    findings = examine(data_root, results, cache_dir, weights=weights)
    if as_json:
        print_json([asdict(one) for one in findings])
    else:
        print_rows([asdict(one) for one in findings])
    broken = [one.name for one in findings if one.state == "broken"]
    if broken:
        say(console, f"broken: {', '.join(broken)}")
    return int(bool(broken))


def clean(
    results: Path,
    cache_dir: Path | None,
    *,
    kinds: Sequence[str] | None,
    cells: Sequence[str],
    older_than: str,
    caches: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """List what can go; with ``yes`` remove it."""
    from benchmark.maintenance.clean import find_clutter, parse_age, remove

    found = find_clutter(results, cache_dir, kinds=kinds, cells=cells, min_age_s=parse_age(older_than), caches=caches)
    gone = remove(found.items, results) if yes else []
    rows = [
        {"kind": one.kind, "path": str(one.path), "mb": round(one.num_bytes / 1e6, 1), "why": one.why}
        for one in found.items
    ]
    if as_json:
        print_json({"items": rows, "removed": [str(path) for path in gone], "left": found.left})
        return
    print_rows(rows)
    console = Console(stderr=True)
    for note in found.left:
        say(console, f"left alone: {note}")
    total = sum(one.num_bytes for one in found.items) / 1e6
    verb = "removed" if yes else "would go (--yes removes them)"
    say(console, f"{len(gone) if yes else len(rows)} things, {total:.1f} MB {verb}" if rows else "nothing to clean")


def export(results: Path, out: Path, *, protocols: Sequence[str] | None, compact: bool, as_json: bool) -> None:
    """Write the export and say how large it is."""
    from benchmark.maintenance.export import export_records

    done = export_records(results, out, protocols=protocols, compact=compact)
    if as_json:
        files = [path.relative_to(out).as_posix() for path in done.files]
        print_json({"out": str(out), "cells": done.cells, "files": files, "num_bytes": done.num_bytes})
        return
    print(out)
    size = f"{done.num_bytes / 1e6:.1f} MB"
    say(Console(stderr=True), f"{len(done.cells)} cells in {len(done.files)} files, {size}; no image, map or weight")


def init(name: str, out: Path, *, as_json: bool) -> None:
    """Write the file; one that is there is never overwritten."""
    from benchmark.commands.starter import model_file

    stem, text = model_file(name)
    path = out / f"{stem}.py"
    if path.exists():
        raise BenchError(f"{path} is there already; give another name or --out")
    from benchmark.store import io

    io.write_text(path, text)
    shown = path if path.is_absolute() else Path(path)
    model = f"{shown}:build" if shown.is_absolute() else f"./{shown}:build"
    command = f"bench run --models {model} --datasets phantom --recipe smoke"
    if as_json:
        print_json({"file": str(path), "model": model, "command": command})
        return
    print(path)
    say(Console(stderr=True), f"it trains at once: {command}")


def measure(
    text: str,
    results: Path,
    *,
    models: Sequence[str] | None,
    datasets: Sequence[str] | None,
    data_root: Path | None,
    cache_dir: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compute, keep and print a metric of the user's own."""
    from benchmark.data.listing.datasets import expand_datasets
    from benchmark.display.progress import watch
    from benchmark.scoring import custom_metric as measuring

    console = Console(stderr=True)
    metric = measuring.load_metric(text)
    sets = expand_datasets(datasets, data_root) if datasets else None
    with watch(console, quiet=quiet) as watcher:
        measured = measuring.measure(
            metric,
            results,
            models=models,
            datasets=sets,
            data_root=data_root,
            cache_dir=cache_dir,
            progress=watcher.phase,
        )
    rows = measuring.summarise(measured, metric)
    if as_json:
        files = [str(path) for path in measured.files]
        print_json({"metric": metric.name, "code": metric.code, "rows": rows, "files": files, "left": measured.left})
        return
    print_rows(rows)
    for line in () if quiet else measured.left:
        say(console, f"left out: {line}")
