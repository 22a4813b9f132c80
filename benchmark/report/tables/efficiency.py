"""Cost of the networks, from `bench profile` and from the records: one table per input size and hardware."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.report.records.identity import is_foreign
from benchmark.report.records.names import model_order, model_title
from benchmark.report.sheets.escape import label
from benchmark.report.sheets.sheet import Cell, Column, Sheet
from benchmark.store.schema import Record

Cost = Mapping[str, Any]
_NUMBERS = ("size_px", "batch", "num_params", "gmacs", "latency_ms", "latency_p95_ms", "peak_memory_mb", "num_threads")
_OF_TRAINING = ("train_ms", "train_gmacs", "train_memory_mb")
_SETTING = ("size_px", "device", "device_name", "num_threads", "torch")


def read_profile(path: Path) -> list[dict[str, Any]]:
    """Read ``profile.csv``; no rows where the file is not there.

    Raises:
        BenchError: It lacks a column, or a cell is not a number.
    """
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    try:
        return [{**row, **{key: float(row[key]) for key in _NUMBERS}, **_training(row)} for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        what = f"no column {error}" if isinstance(error, KeyError) else str(error)
        raise BenchError(f"{path}: {what}; delete it and run 'bench profile --models all' again") from None


def _training(row: Cost) -> dict[str, float | None]:
    """What `bench profile --train` measured; older files have no such columns."""
    return {key: float(row[key]) if row.get(key) else None for key in _OF_TRAINING}


def efficiency_sheets(
    records: Sequence[Record], profile: Sequence[Cost], *, models: Sequence[str] | None = None
) -> list[Sheet]:
    """Build one table per input size and hardware that was profiled.

    A model that has a record but was not profiled there is a row with what its record tells: parameters and time of
    training. External maps have no measurable cost and no row.

    Args:
        records: Finished cells; those of full models count.
        profile: Rows of ``profile.csv``.
        models: Rows wanted; None: every model with a record or a profile.
    Raises:
        BenchError: Nothing was profiled or recorded of the models wanted.
    """
    ours = [r for r in records if r.status == "ok" and not r.ablation and not is_foreign(r)]
    found = dict.fromkeys([*(r.model for r in ours), *(str(c["model"]) for c in profile)])
    wanted = sorted(models if models is not None else found, key=model_order)
    if not set(wanted) & set(found):
        raise BenchError(
            f"--efficiency: nothing measured of {', '.join(wanted) or 'any model'}; run 'bench profile --models "
            f"{','.join(wanted) or 'all'}' with the same --results"
        )
    settings = dict.fromkeys(tuple(cost[key] for key in _SETTING) for cost in profile if cost["model"] in wanted)
    return [_sheet(wanted, ours, profile, setting, alone=len(settings) == 1) for setting in settings or [None]]


def _sheet(
    models: Sequence[str],
    records: Sequence[Record],
    profile: Sequence[Cost],
    setting: tuple[Any, ...] | None,
    *,
    alone: bool,
) -> Sheet:
    here = [cost for cost in profile if setting == tuple(cost[key] for key in _SETTING)]
    batches = sorted({int(cost["batch"]) for cost in here}) or [1]
    lines = [_line(model, records, here, setting) for model in models]
    heads = [Column("Model", align="l"), Column("Params (M)"), Column("GMACs")]
    heads += [Column(f"ms, batch {batch}") for batch in batches]
    heads += [Column("Memory (MB)"), Column("Training (min)")]
    notes = [
        f"Blank, {line['model_title']}: not profiled here; run 'bench profile --models {line['model']}'"
        for line in lines
        if line["gmacs"] is None
    ]
    notes += [
        f"{line['model_title']}: the trained network has {line['num_params_trained']:,} parameters, so it is "
        "not the one profiled (another encoder or options)"
        for line in lines
        if line["num_params_trained"] and line["num_params"] and line["num_params_trained"] != line["num_params"]
    ]
    return Sheet(
        stem="efficiency" if alone or setting is None else f"efficiency-{label('-'.join(map(_plain, setting)))}",
        caption=_caption(setting, records),
        columns=tuple(heads),
        rows=tuple(_cells(line, batches) for line in lines),
        notes=tuple(notes),
        data=tuple({k: v for k, v in line.items() if k != "latency"} | _latencies(line, batches) for line in lines),
    )


def _line(model: str, records: Sequence[Record], here: Sequence[Cost], setting: Sequence[Any] | None) -> dict[str, Any]:
    costs = sorted((cost for cost in here if cost["model"] == model), key=lambda cost: cost["batch"])
    mine = [r for r in records if r.model == model]
    first: Cost = costs[0] if costs else {}
    trained = {r.num_params for r in mine if r.num_params}
    times = [float(t) for r in mine if (t := r.timing.get("train_s"))]
    title = next((r.model_title for r in mine), first.get("title"))
    return {
        "model": model,
        "model_title": model_title(model, title),
        "num_params": int(first["num_params"]) if first else None,
        "gmacs": first.get("gmacs"),
        "latency": {int(cost["batch"]): (cost["latency_ms"], cost["latency_p95_ms"]) for cost in costs},
        "peak_memory_mb": first.get("peak_memory_mb"),
        "num_params_trained": trained.pop() if len(trained) == 1 else None,
        "train_s": math.fsum(times) / len(times) if times else None,
        **dict(zip(_SETTING, setting or [None] * len(_SETTING), strict=True)),
    }


def _latencies(line: Mapping[str, Any], batches: Sequence[int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for batch in batches:
        median, p95 = line["latency"].get(batch, (None, None))
        found |= {f"latency_ms_batch{batch}": median, f"latency_p95_ms_batch{batch}": p95}
        found |= {f"fps_batch{batch}": _fps(median, batch)}
    return found


def _cells(line: Mapping[str, Any], batches: Sequence[int]) -> tuple[Cell, ...]:
    params = line["num_params"] or line["num_params_trained"]
    latencies = [_latency(line["latency"].get(batch, (None,))[0], batch) for batch in batches]
    return (
        Cell(line["model_title"]),
        _number(params and params / 1e6, ".2f"),
        _number(line["gmacs"], ".2f"),
        *latencies,
        _number(line["peak_memory_mb"], ".0f"),
        _number(line["train_s"] and line["train_s"] / 60, ".1f"),
    )


def _fps(latency_ms: float | None, batch: int) -> float | None:
    return 1000 * batch / latency_ms if latency_ms else None


def _latency(latency_ms: float | None, batch: int) -> Cell:
    """Milliseconds of a batch, and below them images per second."""
    fps = _fps(latency_ms, batch)
    return replace(_number(latency_ms, ".1f"), below=f"{fps:.1f} FPS" if fps else "")


def _number(value: float | None, form: str) -> Cell:
    return Cell() if value is None else Cell(format(value, form), value=float(value))


def _caption(setting: tuple[Any, ...] | None, records: Sequence[Record]) -> str:
    sentences = ["Cost of the networks"]
    if setting is not None:
        size, device, name, threads, torch = setting
        sentences[0] += f" at {_plain(size)} px"
        sentences.append(
            f"Multiply-adds of one image; latency: median of one forward pass of the whole batch on {name} ({device}, "
            f"{_plain(threads)} CPU thread{'s' if threads != 1 else ''}, torch {torch}), "
            "below it images per second (FPS); "
            "memory: peak at the smallest batch"
        )
    where = sorted({str(r.environment.get("device_name") or "unknown hardware") for r in records})
    if where:
        sentences.append(f"Training: mean over the finished cells of each model, on {', '.join(where)}")
    return ". ".join(sentences) + "."


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
