"""The exact commands that made a results folder, reconstructed from its records."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from benchmark.data.listing.datasets import GROUPS
from benchmark.recipes.as_toml import toml_value
from benchmark.report.records import select
from benchmark.report.records.identity import is_foreign, packaged_fields
from benchmark.report.records.names import MODEL_TITLES, model_order
from benchmark.store.schema import Ensemble, Record


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        text: The shell command.
        cells: The cells that it makes.
        notes: Requirements outside the command.
        recipe: TOML text of a recipe that is not packaged, to be saved under the name in ``text``.
    """

    text: str
    cells: tuple[str, ...]
    notes: tuple[str, ...] = ()
    recipe: str = ""


def commands(records: Sequence[Record]) -> list[Command]:
    """Return the commands that make the cells of some records, with the same models, images, recipes and seeds."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(json.dumps(_key(record), sort_keys=True), []).append(record)
    return [_command(group) for group in groups.values()]


def checkouts(records: Sequence[Record]) -> list[str]:
    """Return the commands that check out the code of the records; a warning if that is impossible."""
    lines: dict[str, None] = {}
    for environment in (record.environment for record in records):
        if commit := environment.get("commit"):
            changed = "   # plus local changes that no record holds" if environment.get("dirty") else ""
            lines[f"git checkout {commit}{changed}"] = None
        elif environment.get("commit_state") == "modified":
            lines["# some cells were made by a modified source tree: no commit holds their code"] = None
    return list(lines)


def _key(record: Record) -> Any:
    """What must be equal for cells to come from one command; the origin keeps each foreign record by itself."""
    if is_foreign(record):
        return ["foreign", record.cell]
    sets = [*record.tests, *record.missing]
    model = record.model if record.ablation else ""
    start = _start(record)
    state = [record.engine, sorted(sets), bool(record.missing), sorted(record.pretrained), start]
    return [model, select.split_label(record), _recipe(record), *state]


def _command(records: Sequence[Record]) -> Command:
    first = records[0]
    cells = tuple(record.cell for record in records)
    if first.ensemble is not None:
        return Command(_ensemble(first, first.ensemble), cells, ("after the commands that make its cells",))
    if is_foreign(first):
        return Command(_evaluate(first), cells, _foreign_notes(first))
    name, changes, text = _recipe(first)
    ablated = bool(first.ablation)
    models = [_typed(name) for name in sorted({record.model for record in records}, key=model_order)]
    if set(models) == set(MODEL_TITLES):
        models = ["all"]
    words = ["bench", "ablate", "--model", *models] if ablated else ["bench", "run", "--models", ",".join(models)]
    if ablated:
        variants = list(dict.fromkeys(tuple(record.ablation) for record in records))  # the order of a set is random
        parts = list(dict.fromkeys(part for variant in variants for part in variant))
        words += ["--drop", ",".join(parts), *(["--factorial"] if _is_factorial(variants, parts) else [])]
    split = first.split
    words += ["--datasets", ",".join(_sets([*first.tests, *first.missing]))]
    words += ["--split", str(split.name), "--split-seed", str(split.seed)]
    words += ["--recipe", name if not text else f"{name}.toml"]
    words += [word for key, value in changes for word in ("--set", f"{key}={toml_value(value)}")]
    words += ["--seeds", ",".join(str(seed) for seed in sorted({record.seed for record in records}))]
    if first.engine != "fast":
        words += ["--engine", first.engine]
    if first.missing or first.partial:
        words.append("--allow-missing")
    if start := _start(first):
        words += ["--init-from", start]
    return Command(shlex.join(words), cells, _notes(records), text)


def _start(record: Record) -> str:
    """What ``--init-from`` was: a file, or cells without their seeds; empty for none."""
    start = str(record.pretrained.get("start") or "")
    return str(record.pretrained["name"]) if start == "file" else start.rpartition("/")[0]


def _recipe(record: Record) -> tuple[str, list[tuple[str, Any]], str]:
    """Name, fields changed on the command line, and the whole recipe as TOML where the package has no such recipe."""
    name, fields = record.recipe_name, dict(record.recipe)
    if packaged_fields(name, record.model) is None:
        rest = {k: v for k, v in fields.items() if k != "name" and v is not None}
        return name, [], "".join(f"{key} = {toml_value(value)}\n" for key, value in rest.items())
    base = packaged_fields(name, record.model) or {}
    return name, sorted((k, v) for k, v in fields.items() if k != "name" and base.get(k) != v), ""


def _typed(model: str) -> str:
    """Return the option value of a model: ``file:my_net:build`` came from ``./my_net.py:build``."""
    kind, _, rest = model.partition(":")
    file, _, function = rest.partition(":")
    return f"./{file}.py:{function}" if kind == "file" else model


def _sets(names: Sequence[str]) -> list[str]:
    for group, members in GROUPS.items():
        if set(members) == set(names):
            return [group]
    return list(dict.fromkeys(names))


def _is_factorial(variants: Sequence[tuple[str, ...]], parts: Sequence[str]) -> bool:
    """Return whether every proper subset is present, which a plain ablation of three parts or more lacks."""
    if len(parts) < 3:
        return False
    pairs = {frozenset(pair) for pair in combinations(parts, 2)}
    return pairs <= {frozenset(variant) for variant in variants}


def _notes(records: Sequence[Record]) -> tuple[str, ...]:
    notes = []
    files = sorted({_typed(r.model).partition(":")[0] for r in records if r.model.startswith("file:")})
    if files:
        notes.append(f"{', '.join(files)}: not kept in the records; its text is part of the cell's hash")
    for record in records:
        weights = record.pretrained
        if weights.get("sha256"):
            notes.append(f"{record.model} starts from {weights.get('name')}, SHA-256 {weights['sha256']}")
    for name, reason in records[0].missing.items():
        notes.append(f"{name} was missing: {reason}")
    for name, reason in records[0].partial.items():
        notes.append(f"{name} was not whole: {reason}")
    return tuple(dict.fromkeys(notes))


def _ensemble(record: Record, facts: Ensemble) -> str:
    words = ["bench", "ensemble", *(one.cell for one in facts.parents), "--name", record.model_title]
    words += ["--flips", ",".join(facts.flips)] if facts.flips else []
    words += ["--from-weights"] if facts.averaged == "probabilities" and not facts.flips else []
    return shlex.join([*words, "--datasets", ",".join(record.tests)])


def _evaluate(record: Record) -> str:
    words = ["bench", "evaluate"]
    origin = str(record.origin)
    if origin.startswith("checkpoint "):
        words += ["--model", record.model, "--checkpoint", origin.removeprefix("checkpoint ")]
        told = (("--key", "key"), ("--strip-prefix", "strip_prefix"))
        words += [
            word for option, what in told if record.pretrained.get(what) for word in (option, record.pretrained[what])
        ]
    else:
        words += ["--predictions", "DIR", "--name", record.model_title or record.model]
    words += ["--dataset", ",".join(record.tests)]
    whole = all(test.of in (None, test.n) for test in record.tests.values())
    return shlex.join([*words, *([] if whole else ["--allow-partial"])])


def _foreign_notes(record: Record) -> tuple[str, ...]:
    counts = ", ".join(f"{test.n} of {name}" for name, test in record.tests.items())
    weights = record.pretrained
    sha = (f"{weights.get('name')} has SHA-256 {weights['sha256']}",) if weights.get("sha256") else ()
    return (f"images scored: {counts}; --images pranet takes PraNet's test lists, --images all every image", *sha)
