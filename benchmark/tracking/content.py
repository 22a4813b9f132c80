"""A record in MLflow's terms: parameters, tags, metrics, dataset inputs and files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.metrics.measures import MEASURE_KEYS
from benchmark.store.commands import Command
from benchmark.store.layout import ResultsLayout
from benchmark.store.robust_pack import cell_results
from benchmark.store.robust_results import RobustResult
from benchmark.store.schema import LEAK_KINDS, Record, TestResult
from benchmark.tracking.robust import robust_means

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric

FORMAT = 6
"""Part of every digest: increased when this file's output changes, so that mirrors are updated."""
MAIN_PROTOCOL = "pranet"
DIGITS = 3
"""Decimals of scores, as tables print them: MLflow shows all that it is given. All digits are in ``run.json``."""
FIGURES = MEASURE_KEYS
"""Scores that become metrics; the others are in the run's ``run.json``, since MLflow charts every metric."""
_LONGEST_PARAM = 6000
_LONGEST_TAG = 5000


def digest(record: Record, parent: str | None, results: Sequence[RobustResult] = ()) -> str:
    """Return the digest of a record and its results on corrupted images; equal digests mean the same run.

    Fields added by later versions change none.
    """
    robust = [one.model_dump(mode="json", exclude={"environment", "timing"}) for one in results]
    return _hash([FORMAT, record.model_dump(mode="json", exclude_defaults=True), parent, *([robust] if robust else [])])


def command_digest(command: Command) -> str:
    """The same for a command."""
    return _hash([FORMAT, command.model_dump(mode="json")])


def _hash(payload: Any) -> str:
    return hashlib.blake2b(json.dumps(payload, sort_keys=True).encode(), digest_size=8).hexdigest()


def run_name(record: Record) -> str:
    """For people: model, parts left out, recipe, seed."""
    without = f" without {', '.join(record.ablation)}" if record.ablation else ""
    how = f", {record.recipe_name}, seed {record.seed}" if record.recipe_name else f", {record.origin or 'foreign'}"
    return f"{record.model_title}{without}{how}"


def params(record: Record) -> dict[str, str]:
    """Return all settings: model, switches, seed, split, protocols, and each field of the recipe."""
    given: dict[str, Any] = {
        "model": record.model,
        "ablation": ",".join(record.ablation) or "none",
        "seed": record.seed,
        "split": record.split.name or "none",
        "split_seed": record.split.seed,
        "num_train": record.split.num_train,
        "num_val": record.split.num_val,
        "num_params": record.num_params,
        "engine": record.engine,
        "recipe": record.recipe_name or "none",
        "recipe_hash": record.recipe_hash,
        "parts": ",".join(record.parts) or "none",  # one for each would read "unknown" for networks without it
        "parts_off": ",".join(dict.fromkeys((*record.parts_off, *record.ablation))) or "none",
        **{f"option.{key}": value for key, value in record.model_options.items()},
        **{f"protocol.{name}": value for name, value in record.protocols.items()},
        **flatten(record.recipe, "recipe."),
    }
    return {key: str(value)[:_LONGEST_PARAM] for key, value in given.items() if value is not None}


def flatten(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Nested tables become dotted keys; lists stay one value."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def tags(record: Record) -> dict[str, str]:
    """Return where and how it ran, and how it ended."""
    env = record.environment
    return _texts(
        {
            "bench.kind": "cell",
            "bench.cell": record.cell,
            "bench.created": record.created,
            "bench.model": record.model_title,
            "bench.status": record.status,
            "bench.synthetic": record.synthetic,
            "bench.error": record.error,
            "bench.origin": record.origin,
            "bench.weights": record.pretrained.get("name", "random initialisation") if record.recipe else None,
            "bench.best_epoch": record.best_epoch,
            "bench.commit": env.get("commit"),
            "bench.commit_state": env.get("commit_state"),
            "bench.dirty": env.get("dirty"),
            "bench.host": env.get("host"),
            "bench.device": env.get("device_name"),
            **_leaks(record),
            "bench.missing": "; ".join(f"{name}: {why}" for name, why in record.missing.items()) or None,
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": env.get("commit"),
            "mlflow.note.content": _note(record),
        }
    )


def _leaks(record: Record) -> dict[str, int | None]:
    """Leaked images over all test sets, in all and by kind; left out where a set does not state them."""
    kinds = ("num_leaked", *(f"num_leaked_{kind}" for kind in LEAK_KINDS))
    stated = {kind: [getattr(test, kind) for test in record.tests.values()] for kind in kinds}
    return {f"bench.{kind}": None if None in found else sum(found) for kind, found in stated.items()}


def _note(record: Record) -> str:
    lines = ["**Synthetic images: these scores say nothing about real polyps.**"] if record.synthetic else []
    lines += [f"Cell `{record.cell}`, status {record.status}."]
    return "\n\n".join([*lines, *([record.error] if record.error else [])])


def command_tags(command: Command) -> dict[str, str]:
    """Return the tags of a parent run."""
    return _texts({"bench.kind": "command", "bench.status": command.status, "bench.num_cells": len(command.cells)})


def command_params(command: Command) -> dict[str, str]:
    """Return the parameters of the command."""
    return {key: str(value)[:_LONGEST_PARAM] for key, value in {"command": command.name, **command.asked}.items()}


def _texts(values: dict[str, Any]) -> dict[str, str]:
    plain = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in values.items()}
    return {key: text[:_LONGEST_TAG] for key, text in plain.items() if values[key] is not None}


def score_key(test: TestResult, figure: str, protocol: str = MAIN_PROTOCOL) -> str:
    """``mDSC/Kvasir``; scores of other protocols than the printed one are prefixed with its name.

    MLflow's columns show about twelve characters, so the figure comes first and test sets have short names.
    """
    plain = f"{figure}/{_short(test.title)}"
    return safe(plain if protocol == MAIN_PROTOCOL else f"{protocol}/{plain}")


def robust_key(test: TestResult, corruption: str, denoise: str) -> str:
    """``robust jpeg/Kvasir``, or ``robust jpeg behind nlm/Kvasir``; ``robust all`` is the mean."""
    behind = "" if denoise == "none" else f" behind {denoise}"
    return safe(f"robust {corruption}{behind}/{_short(test.title)}")


def _short(title: str) -> str:
    """``Clinic`` for CVC-ClinicDB, ``ph-Clinic`` for Phantom-ClinicDB; other names as they are."""
    name = title.removesuffix(" (synthetic)")
    rest = name.removeprefix("Phantom-").removesuffix("DB")
    rest = rest.removeprefix("CVC-") if not rest.endswith("300") else rest
    return f"ph-{rest}" if name.startswith("Phantom-") else rest


def score_keys(records: Sequence[Record]) -> list[str]:
    """Every key of the printed protocol's figures."""
    tests = [test for record in records for test in record.tests.values()]
    return [
        score_key(test, figure) for test in tests for figure in FIGURES if figure in test.scores.get(MAIN_PROTOCOL, {})
    ]


def metrics(layout: ResultsLayout, record: Record) -> list[Metric]:
    """Final scores, seconds, and one value per epoch of everything in the history."""
    from mlflow.entities import Metric

    begun = started_ms(record)
    final = [
        Metric(score_key(test, name, protocol), round(value, DIGITS), begun, 0)
        for test in record.tests.values()
        for protocol, scores in test.scores.items()
        for name, value in scores.items()
        if name in FIGURES
    ]
    means = robust_means(record, cell_results(layout.cell(record.cell)), MAIN_PROTOCOL)
    final += [
        Metric(robust_key(record.tests[dataset], corruption, denoise), round(value, DIGITS), begun, 0)
        for (dataset, corruption, denoise), value in means.items()
        if dataset in record.tests
    ]
    final += [Metric(safe(f"time/{name}"), value, begun, 0) for name, value in record.timing.items()]
    paths = layout.cell(record.cell)
    per_epoch_ms = 1000 * record.timing.get("train_s", 0.0) / max(1, _num_epochs(paths.history))
    epochs = [
        Metric(safe(key), value, begun + round(row["epoch"] * per_epoch_ms), int(row["epoch"]))
        for row in _rows(paths.history)
        for key, value in row.items()
        if key != "epoch"
    ]
    system = [
        Metric(safe(f"system/{key}"), value, begun + round(1000 * row["time_s"]), step)
        for step, row in enumerate(_rows(paths.system))
        for key, value in row.items()
        if key != "time_s"
    ]
    return [*final, *epochs, *system]


def history_rows(layout: ResultsLayout, record: Record) -> Iterator[dict[str, float]]:
    """Yield the rows of a cell's history: ``epoch`` and the values that are there."""
    return _rows(layout.cell(record.cell).history)


def _num_epochs(history: Path) -> int:
    return sum(1 for _ in _rows(history))


def _rows(path: Path) -> Iterator[dict[str, float]]:
    """Rows of a CSV of numbers; blanks are left out; nothing where there is no file."""
    import csv

    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield {key: float(value) for key, value in row.items() if value}


def safe(key: str) -> str:
    """Return a key with characters that MLflow accepts."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in key)


def inputs(record: Record) -> list[DatasetInput]:
    """Training, validation and test images with the digests of their files' contents."""
    split = record.split
    found = (
        []
        if not split.fingerprint_train
        else [(f"{split.name}/train", split.fingerprint_train, split.num_train, "training")]
    )
    found += (
        [] if not split.fingerprint_val else [(f"{split.name}/val", split.fingerprint_val, split.num_val, "validation")]
    )
    found += [(name, test.fingerprint, test.n, "test") for name, test in record.tests.items()]
    return [_input(*one, split_seed=split.seed) for one in found]


def _input(name: str, fingerprint: str, count: int, context: str, *, split_seed: int) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"split_seed": split_seed, "fingerprint": fingerprint})
    profile = json.dumps({"num_images": count})
    dataset = Dataset(name, fingerprint[:32], "polyp-bench", source, profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


def files(layout: ResultsLayout, record: Record) -> list[tuple[Path, str | None]]:
    """Return the files stored with a run, and their folders."""
    paths = layout.cell(record.cell)
    plain = (paths.record, paths.history, paths.system, paths.scores, paths.curves, paths.summary)
    worst = sorted(paths.all_worst.glob("*.png"))
    found = [(path, None) for path in plain if path.is_file()] + [(path, "worst") for path in worst]
    return [(path, folder) for path, folder in found if not path.is_symlink()]  # a link may lead to any file


def started_ms(record: Record) -> int:
    """Milliseconds since 1970."""
    return to_ms(record.created)


def ended_ms(record: Record) -> int:
    """Return the end time by the record's clock: start plus its seconds."""
    spent = sum(record.timing.get(name, 0.0) for name in ("train_s", "predict_s", "score_s"))
    return started_ms(record) + round(1000 * spent)


def to_ms(created: str) -> int:
    return int(datetime.fromisoformat(created).timestamp() * 1000)
