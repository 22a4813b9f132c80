"""`bench models` and `profile`: what there is and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark.commands.printing import Notes, print_json, print_rows, say
from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.layout import ResultsLayout


def models(name: str | None, *, as_json: bool) -> None:
    """List the models, or build one and describe it."""
    from benchmark.models.registry import FIELD, MODELS, VARIANTS

    if name is not None:
        facts = _describe_model(name)
        if as_json:
            print_json(facts)
        else:
            for key, value in facts.items():
                print(f"{key:12} {value}")
        return
    rows = [
        {"name": spec.name, "title": spec.title, "summary": spec.summary}
        for spec in (*MODELS.values(), *FIELD.values(), *VARIANTS.values())
    ]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows)
        others = "smp:<architecture>[:<encoder>] (smp:segformer:tu-mit_b0), FILE.py:function, entry points bench.models"
        say(Console(stderr=True), f"any other network by name: {others}")


def _describe_model(name: str) -> dict[str, Any]:
    from benchmark.models.registry import build_model, get_spec, switches

    spec = get_spec(name)
    model = build_model(spec)
    unique = {id(p): p for p in model.parameters()}.values()
    return {
        "name": spec.name,
        "title": spec.title,
        "summary": spec.summary,
        "parameters": f"{sum(p.numel() for p in unique):,}",
        "built by": spec.target,
        "parts": "; ".join(f"{part}: {text}" for part, text in switches(spec).items()) or "none declared",
    }


def profile(
    names: Sequence[str],
    *,
    size: int,
    batches: Sequence[int],
    repeats: int,
    device: str,
    train: str | None,
    results: Path,
    as_json: bool,
) -> None:
    """Measure models, print the rows and keep them beside older ones of other models, sizes and devices."""
    import pandas as pd

    from benchmark.config import load_recipe
    from benchmark.costs.profile import as_rows
    from benchmark.costs.profile import profile as measure
    from benchmark.display.progress import watch
    from benchmark.models.registry import expand_models

    if min(batches, default=0) < 1:
        raise BenchError(f"--batches {','.join(map(str, batches))}: expected numbers from 1 on")
    specs = expand_models(list(names))
    if train is not None:
        load_recipe(train, model=specs[0].name)  # refused before anything is measured
    with watch(Console(stderr=True), quiet=as_json or Notes.silent) as watcher:
        rows = as_rows(
            measure(
                specs,
                size=size,
                batches=batches,
                repeats=repeats,
                device=device,
                recipe=train,
                progress=partial(watcher.phase, "profile"),
            )
        )
    file = ResultsLayout(results).profile
    frame = pd.DataFrame(rows)
    if file.is_file():
        frame = pd.concat([pd.read_csv(file), frame])
    key = ["model", "size_px", "batch", "device", "device_name", "num_threads", "torch"]
    newest = (
        frame.groupby(key, sort=False, dropna=False).last().reset_index()
    )  # training steps measured before are kept
    io.write_text(file, newest[frame.columns].to_csv(index=False))
    if as_json:
        print_json(rows)
        return
    hidden = {"title", "device_name", "torch"} | (
        {k for k in rows[0] if k.startswith("train_")} if not train else set()
    )
    print_rows([{k: v for k, v in row.items() if k not in hidden} for row in rows])
    first = rows[0]
    say(
        Console(stderr=True),
        f"{first['device_name']}, {first['num_threads']} threads, torch {first['torch']}; kept in {file}",
    )
