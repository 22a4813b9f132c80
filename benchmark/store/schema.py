"""The content of a record. ``results/README.md`` explains every key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from benchmark.errors import BenchError
from benchmark.store.layout import ResultsLayout

SCHEMA_VERSION = 1
LeakKind = Literal["exact", "near", "sequence"]
"""Kind of leak: identical pixels, a near-duplicate, or a frame of the same sequence or scene in training."""
LEAK_KINDS: tuple[LeakKind, ...] = get_args(LeakKind)

Count = Annotated[int, Field(ge=0, le=10**9)]
Score = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
"""Score of a test set: a share, or a distance in pixels."""

Status = Literal["ok", "diverged", "failed", "interrupted", "skipped"]

PRETRAINING = "pretraining"
"""The part of a model that consists of weights only."""


class SplitInfo(BaseModel):
    """Training and validation images, by number and by fingerprint of their files."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    seed: int
    num_train: int
    num_val: int
    fingerprint_train: str
    fingerprint_val: str


class EmptyMasks(BaseModel):
    """Images of a test set whose mask is empty, and what the protocol did with them (``Protocol.empty_mask``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    n: Count
    rule: Literal["score", "skip", "one-if-empty"]


class TestResult(BaseModel):
    """One test set: how many images, which, how many of them are leaked and how, and the scores by protocol."""

    __test__ = False  # not a test class, despite its name
    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str
    n: Count
    of: Count | None = Field(default=None, description="Images that the set holds, where fewer were scored.")
    fingerprint: str
    num_leaked: Count | None = Field(default=None, description="Leaked images of every kind; None where not counted.")
    num_leaked_exact: Count | None = None
    num_leaked_near: Count | None = None
    num_leaked_sequence: Count | None = None
    leaked: dict[LeakKind, list[str]] | None = Field(
        default=None, description="Ids of leaked test images by kind; None where nobody looked."
    )
    scores: dict[str, dict[str, Score]]
    empty_masks: dict[str, EmptyMasks] = Field(
        default={}, description="By protocol, where there are any. Records of older versions did not count them."
    )

    def num_scored(self, protocol: str) -> int:
        """Return how many images a protocol's means are over: all, or those with a polyp."""
        empty = self.empty_masks.get(protocol)
        return self.n - empty.n if empty is not None and empty.rule == "skip" else self.n

    @model_validator(mode="before")
    @classmethod
    def _read_counts(cls, data: Any) -> Any:
        """Counts follow the lists where there are any; older records call the exact copies alone ``num_leaked``."""
        if not isinstance(data, dict) or not isinstance(stated := data.get("num_leaked") or 0, int) or stated < 0:
            return data  # leave it to validation to refuse
        leaked = data.get("leaked")
        if isinstance(leaked, dict) and all(isinstance(ids, list) for ids in leaked.values()):
            counts = {f"num_leaked_{kind}": len(leaked.get(kind, ())) for kind in LEAK_KINDS}
            return {**data, **counts, "num_leaked": sum(counts.values())}
        if "num_leaked_exact" not in data and "num_leaked" in data:
            return {**data, "num_leaked_exact": data["num_leaked"], "num_leaked": None}
        return data

    def num_leaked_by_kind(self) -> dict[str, int | None]:
        """Return the leaked images by kind; None where that kind was not looked for."""
        return {kind: getattr(self, f"num_leaked_{kind}") for kind in LEAK_KINDS}


class Parent(BaseModel):
    """A cell that an ensemble takes part of: its name and the digest of its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    cell: str
    sha256: str


class Ensemble(BaseModel):
    """The mean of several cells' maps, or of one network's over flipped images."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    parents: list[Parent]
    averaged: Literal["maps", "probabilities"] = Field(
        description="The kept 8-bit maps, or probabilities predicted again and rounded once."
    )
    flips: list[str] = Field(default=[], description="Flips of the images beside the images as they are.")


class Record(BaseModel):
    """``run.json``: one cell, complete enough to repeat it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    schema_version: int = Field(default=SCHEMA_VERSION, alias="schema")
    cell: str
    model: str
    model_title: str
    model_options: dict[str, Any] = {}
    ablation: list[str] = []
    parts: list[str] = Field(default=[], description="Declared parts that the network has.")
    parts_off: list[str] = Field(
        default=[], description="Declared parts that it lacks: left out, or weights that were not loaded."
    )
    recipe_name: str
    recipe: dict[str, Any]
    recipe_hash: str
    split: SplitInfo
    train_sets: list[str] | None = Field(
        default=None, description="Datasets that training images come from; None in records of older versions."
    )
    seed: int
    status: Status
    error: str | None = None
    synthetic: bool = False
    engine: str = Field(default="fast", description="Which scoring engine made the numbers.")
    origin: str | None = Field(
        default=None, description="Who made the maps, where it was not one training of this harness."
    )
    ensemble: Ensemble | None = Field(default=None, description="Of what the maps are the mean; mostly null.")
    pretrained: dict[str, Any] = {}
    num_params: int | None = None
    protocols: dict[str, str] = {}
    own_protocols: dict[str, dict[str, Any]] = Field(
        default={}, description="The fields of each protocol that came from a file."
    )
    best_epoch: int | None = None
    best_sha256: str | None = Field(default=None, description="SHA-256 of best.pt; another file is never loaded.")
    val: dict[str, float] = {}
    tests: dict[str, TestResult] = {}
    missing: dict[str, str] = {}
    partial: dict[str, str] = Field(default={}, description="Datasets of which only some images were on disk.")
    environment: dict[str, Any] = {}
    training: dict[str, Any] = Field(
        default={}, description="How the device computed, where memory was short, and of a divergence step and images."
    )
    timing: dict[str, float] = {}
    created: str

    @model_validator(mode="before")
    @classmethod
    def _read_parts(cls, data: Any) -> Any:
        """Older records list every declared part, also those left out and pretraining where nothing was loaded."""
        if not isinstance(data, dict) or "parts_off" in data or not isinstance(declared := data.get("parts"), list):
            return data
        dropped, pretrained = data.get("ablation") or [], data.get("pretrained") or {}
        loaded = not isinstance(pretrained, dict) or pretrained.get("used", True)
        off = [part for part in declared if part in dropped or (part == PRETRAINING and not loaded)]
        return {**data, "parts": [part for part in declared if part not in off], "parts_off": off}

    @field_validator("recipe")
    @classmethod
    def _of_today(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        """What older records call 32-true and not channels_last was the default, which is auto today."""
        if "precision" not in recipe:
            return recipe
        recipe = {"tf32": "auto", "cudnn_benchmark": "auto", **recipe}
        if "compile" in recipe:
            return recipe
        was = {"precision": "32-true", "channels_last": False}
        auto = {key: "auto" for key, default in was.items() if recipe.get(key, default) == default}
        return {**recipe, **auto, "compile": "auto", "micro_batch": None}

    @field_validator("cell", "tests")
    @classmethod
    def _names_stay_inside(cls, value: Any) -> Any:
        """Check cells and test sets, which become paths: a record must not lead out of the results folder."""
        try:
            paths = ResultsLayout(Path()).cell(value if isinstance(value, str) else "cell")
            for dataset in value if isinstance(value, dict) else ():
                paths.maps(dataset)
        except BenchError as error:
            raise ValueError(str(error)) from None
        return value

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``run.json`` as a dictionary."""
        return self.model_dump(mode="json", by_alias=True)
