"""Data, cells and machines of the records, as rows for a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.report.records import select
from benchmark.report.records.identity import is_foreign
from benchmark.report.records.select import set_title
from benchmark.report.tables.captions import commit_label
from benchmark.report.tables.leaks import LEAK_KINDS
from benchmark.store.schema import Record, TestResult

SHORT_EPOCHS = 20


def study_labels(records: Sequence[Record]) -> dict[str, Any]:
    """Return heading, facts and warnings of comparable records."""
    ours = [r for r in records if not is_foreign(r)]
    if not ours:
        return {"heading": "Maps and checkpoints by others", "facts": [], "warnings": []}
    name, seed, _ = select.split_label(ours[0]).split(":")
    heading = f"Split {name} (seed {seed}), recipe {select.recipe_label(ours[0]).replace(',', ', ')}"
    recipes = [dict(r.recipe) for r in ours]
    split = ours[0].split
    facts = [
        f"{split.num_train} training and {split.num_val} validation images in the split",
        f"{_range(recipes, 'image_size')} px",
        f"{_range(recipes, 'epochs')} epochs",
        f"batch {_range(recipes, 'batch_size')}",
        f"seeds {', '.join(str(s) for s in sorted({r.seed for r in ours}))}",
    ]
    return {"heading": heading, "facts": facts, "warnings": _warnings(ours, recipes)}


def _range(recipes: Sequence[Mapping[str, Any]], field: str) -> str:
    values = sorted({r[field] for r in recipes if r.get(field) is not None})
    return " to ".join(str(v) for v in (values[:1] + values[-1:] if len(values) > 1 else values)) or "unknown"


def _warnings(ours: Sequence[Record], recipes: Sequence[Mapping[str, Any]]) -> list[str]:
    found = []
    if any(r.synthetic for r in ours):
        found.append("Synthetic images: these numbers say nothing about real polyps")
    limits = [r["max_train_images"] for r in recipes if r.get("max_train_images")]
    epochs = [r["epochs"] for r in recipes if r.get("epochs")]
    if limits or (epochs and max(epochs) < SHORT_EPOCHS):
        part = f" on at most {max(limits)} images" if limits else ""
        found.append(f"Short training: {_range(recipes, 'epochs')} epochs{part}; not comparable with published figures")
    tested = [r["max_test_images"] for r in recipes if r.get("max_test_images")]
    if tested:
        found.append(f"At most {max(tested)} images of each test set were scored")
    if not any(r.pretrained.get("name") or r.recipe.get("pretrained") for r in ours):
        found.append("Random initialisation: no network started from ImageNet weights")
    return found


def data_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One row per split and test set: images, leaks, gaps."""
    rows: dict[str, dict[str, Any]] = {}
    for record in (one for one in records if one.ensemble is None):  # the same images as its cells'
        split = "maps or weights by others" if is_foreign(record) else _split(record)
        for name in dict.fromkeys([*record.tests, *record.missing]):
            key = json.dumps([split, name])
            if key not in rows:
                rows[key] = {"split": split, "set": set_title(records, name)}
            row = rows[key]
            test = record.tests.get(name)
            if test is not None:
                row |= {"n": test.n, "of": test.of, "fingerprint": test.fingerprint[:8]}
                if "leaks" not in row or test.leaked is not None:  # older records counted fewer kinds
                    row["leaks"] = _leaks(test, foreign=is_foreign(record))
            notes = row.setdefault("notes", {})
            for kind, found in (("missing", record.missing), ("partial", record.partial)):
                if name in found:
                    notes[f"{kind}: {found[name]}"] = None
    return [{"n": None, "of": None, "fingerprint": "", "leaks": "", **row} for row in rows.values()]


def _split(record: Record) -> str:
    return f"{record.split.name} (seed {record.split.seed})"


def _leaks(test: TestResult, *, foreign: bool) -> str:
    """Describe the leaked images; for external models they are unknown."""
    if foreign:
        return "unknown"
    kinds = {kind: number for kind, number in test.num_leaked_by_kind().items() if number is not None}
    said = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    sought = [kind for kind in LEAK_KINDS if kind not in kinds]
    return said + (f"; {' and '.join(sought)} not looked for" if sought else "")


def cell_states(records: Sequence[Record]) -> dict[str, Any]:
    """Cells by status, and the error of each that did not finish."""
    counts = Counter(r.status for r in records)
    failed = [{"cell": r.cell, "status": r.status, "error": r.error or ""} for r in records]
    return {"counts": dict(counts.most_common()), "failed": [f for f in failed if f["status"] != "ok"]}


def environments(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return each environment once, with its cells and their cost."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(json.dumps(record.environment, sort_keys=True), []).append(record)
    found = []
    for key, members in groups.items():
        env = json.loads(key)
        packages = {k: v for k, v in (env.pop("packages", None) or {}).items() if v}
        others = {k: v for k, v in env.items() if k not in ("commit", "commit_state", "dirty")}
        facts = {"commit": commit_label(env), **others}
        seconds = sum(float(r.timing.get("train_s") or 0) for r in members)
        facts |= {"training, all cells": f"{seconds:,.0f} s"} if seconds else {}
        facts |= {"packages": ", ".join(f"{k} {v}" for k, v in packages.items())} if packages else {}
        known = {k.replace("_", " "): v for k, v in facts.items() if v not in (None, "")}
        found.append({"facts": known, "cells": [r.cell for r in members]})
    return found
