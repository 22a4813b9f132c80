"""Config files, records and tables of which any value, or any byte, may be anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fuzzing import changed, one_line, torn, values
from hypothesis import given
from hypothesis import strategies as st
from test_strangers_files import record

from benchmark.config import Recipe
from benchmark.data.fetching.sources import load_sources
from benchmark.data.listing.datasets import expand_datasets
from benchmark.data.listing.manifest import load_manifest
from benchmark.data.listing.manifest_items import manifest_items
from benchmark.data.splits.files import load_split
from benchmark.metrics.named import load_protocol
from benchmark.recipes.read import load_recipe, parse_overrides, validate_recipe
from benchmark.report.literature.audit import audit_published
from benchmark.report.literature.claims import read_claims
from benchmark.report.tables.build import build_tables
from benchmark.store import io
from benchmark.store.commands import read_commands, study_id
from benchmark.store.layout import ResultsLayout
from benchmark.store.locks import Lock, where
from benchmark.study.files import load_study
from benchmark.tuning.space import load_space

ROOT = Path(__file__).parents[2] / "benchmark"
ROW = ["phantom-kvasir", "1", "0" * 32]
SPLIT = {"schema": 1, "name": "x", "seed": 0, "train": [ROW], "val": [ROW], "tests": {"kvasir": [ROW]}}
SPLIT |= {"missing": {"etis": "not here"}, "partial": {}}
COMMAND = {"schema": 1, "id": "x", "name": "run", "asked": {"models": ["unet"]}, "cells": {"a/b/c": "t"}}
COMMAND |= {"files": ["tables/a.md"], "status": "finished", "created": "2026-01-01T00:00:00+00:00"}
MANIFEST = {"name": "own", "root": "data", "images": "i/*.png", "masks": ["m/*.png"], "match": "stem", "expected": 2}
MANIFEST |= {"image_id": "(?P<id>.+)", "mask_id": "(?P<id>.+)", "mask_threshold": 9, "channels": "bgr"}
MANIFEST |= {"group": {"regex": "(?P<group>.)"}}
RECIPE = {"lr": 0.1, "epochs": 3, "augmentation": ["hflip"], "scales": [0.75, 1.0], "multi_scale": "each"}
RECIPE |= {"model_options": {"a": 1}, "encoder": "resnet18", "models": {"unet": {"lr": 0.2}}, "select": "last"}
SPACE = {"search": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}, "loss": {"choices": ["bce", "dice"]}}}
SPACE |= {"pruner": {"startup_trials": 5, "warmup_epochs": 1}}
PROTOCOL = {"name": "mine", "thresholds": [0.5], "compare": ">=", "stretch": False, "resize": "square", "size_px": 64}
ARCHIVE = {"file": "a.zip", "url": "http://x/a.zip", "folder": "A", "checksum": "md5:" + "0" * 32, "size_mb": 3}
SOURCES = {"schema": 1, "own": {"title": "t", "page": "p", "terms": "t", "files": [ARCHIVE]}}
STUDY = {
    "training": {"recipe": "smoke"},
    "part": [{"command": "run", "models": ["unet"], "folder": "a", "quiet": True}],
}
OPTIONS = {
    "run": {"recipe": True, "models": True, "quiet": False},
    "ablate": {},
    "tables": {},
    "plots": {},
    "report": {},
}
CLAIM = {"location": "p", "quote": "q", "dataset": "kvasir", "model": "unet", "kind": "best", "measures": ["mDSC"]}


def toml(table: dict[str, Any]) -> str:
    """A TOML text of a payload; what TOML lacks (null) is written all the same, as a stranger would."""
    lines = [f"{json.dumps(str(key))} = {inline(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {inline(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")


def read_manifest(path: Path) -> None:
    manifest = load_manifest(path)
    if path.parent.joinpath(manifest.root).resolve().is_relative_to(path.parent.resolve()):
        manifest_items(manifest)


def read_lock(path: Path) -> None:
    Lock(path.parent).is_held()
    Lock(path.parent).holder()


def read_table(path: Path) -> None:
    records = io.read_records(path.parents[4])
    for table in build_tables(records):
        for form in ("markdown", "latex", "csv"):
            text = getattr(table.sheet, f"to_{form}")()
            assert "\x1b" not in text and "\0" not in text


READERS: dict[str, tuple[Any, Any, str]] = {
    "recipe": (RECIPE, lambda path: load_recipe(str(path), model="unet").hash, "r.toml"),
    "manifest": (MANIFEST, read_manifest, "m.toml"),
    "protocol": (PROTOCOL, lambda path: load_protocol(path).hash, "p.toml"),
    "space": (SPACE, lambda path: load_space(path).check(Recipe()), "s.toml"),  # type: ignore[call-arg]
    "sources": (SOURCES, lambda path: load_sources(str(path)), "a.toml"),
    "claims": ({"claim": [CLAIM]}, read_claims, "c.toml"),
    "study file": (STUDY, lambda path: load_study(str(path), OPTIONS), "f.toml"),
    "split": (SPLIT, lambda path: load_split(path, root=path.parent, cache_dir=path.parent), "s.json"),
    "command": (COMMAND, lambda path: read_commands(ResultsLayout(path.parents[1])), "commands/x.json"),
    "study": ({"id": "ab12"}, lambda path: study_id(ResultsLayout(path.parent)), "study.json"),
    "lock": ({"where": where(), "pid": 1, "host": "h", "started": "0"}, read_lock, "lock/1"),
    "record": (record(), read_table, "results/runs/a/b/c/run.json"),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "data" / "i").mkdir(parents=True)
    (tmp_path / "data" / "m").mkdir()
    for name in ("a1.png", "²ü.png"):
        (tmp_path / "data" / "i" / name).write_bytes(b"x")
        (tmp_path / "data" / "m" / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_any_value_may_be_anything(home: Path, kind: str, data: st.DataObject) -> None:
    payload, read, name = READERS[kind]
    payload = data.draw(changed(payload))
    text = toml(payload) if name.endswith(".toml") and isinstance(payload, dict) else json.dumps(payload)
    written = text.encode("utf-8", "surrogatepass")
    one_line(lambda: read(put(home / name, written)), kind)


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_any_byte_may_be_anything(home: Path, kind: str, data: st.DataObject) -> None:
    payload, read, name = READERS[kind]
    text = toml(payload) if name.endswith(".toml") else json.dumps(payload)
    content = data.draw(torn([text.encode()]))
    one_line(lambda: read(put(home / name, content)), f"{kind} bytes")


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@given(key=st.sampled_from([*Recipe.model_fields, "", "x"]), value=values, text=st.text(max_size=40))
def test_set_takes_anything(key: str, value: Any, text: str) -> None:
    for given_ in (f"{key}={inline(value)}", f"{key}={text}", text, f"{key}={'[' * 5000}"):
        one_line(lambda given_=given_: validate_recipe(parse_overrides([given_]), where="--set").hash, "--set")


@given(name=st.text(max_size=20))
def test_dataset_names_take_anything(home: Path, name: str) -> None:
    one_line(lambda: expand_datasets([name], home), "dataset name")


@given(content=torn([b"dataset,model,mDSC,mIoU,n\nkvasir,unet,0.8,0.7,100\netis,pranet,0.6,0.5,196\n"]))
def test_tables_of_printed_numbers(home: Path, content: bytes) -> None:
    one_line(lambda: audit_published([put(home / "x.csv", content)]), "printed table")
