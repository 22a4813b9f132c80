"""What a record holds. ``results/README.md`` explains every key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from benchmark.errors import BenchError
from benchmark.store.layout import ResultsLayout

SCHEMA_VERSION = 1
LeakKind = Literal["exact", "near", "sequence"]
"""How a test image is leaked: the same pixels, nearly the same picture, or a frame of the same sequence trains."""

Count = Annotated[int, Field(ge=0, le=10**9)]
Score = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
"""A figure of a test set: a share, or a distance in pixels."""

Status = Literal["ok", "diverged", "failed", "interrupted", "skipped"]


class SplitInfo(BaseModel):
    """Who trained and who validated, by number and by fingerprint of the pixels' files."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    seed: int
    num_train: int
    num_val: int
    fingerprint_train: str
    fingerprint_val: str


class TestResult(BaseModel):
    """One test set: how many images, which, how many of them stand in training too, and the scores by protocol."""

    __test__ = False  # not a test class, whatever pytest makes of the name
    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str
    n: Count
    of: Count | None = Field(default=None, description="Images that the set holds, where fewer were scored.")
    fingerprint: str
    num_leaked: Count
    leaked: dict[LeakKind, list[str]] | None = Field(
        default=None, description="Ids of leaked test images by kind; None where nobody looked."
    )
    scores: dict[str, dict[str, Score]]


class Record(BaseModel):
    """``run.json``: one cell, complete enough to repeat it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    schema_version: int = Field(default=SCHEMA_VERSION, alias="schema")
    cell: str
    model: str
    model_title: str
    model_options: dict[str, Any] = {}
    ablation: list[str] = []
    parts: list[str] = Field(default=[], description="Parts that an ablation of this model can leave out.")
    recipe_name: str
    recipe: dict[str, Any]
    recipe_hash: str
    split: SplitInfo
    seed: int
    status: Status
    error: str | None = None
    synthetic: bool = False
    engine: str = Field(default="fast", description="Which scoring engine made the numbers.")
    origin: str | None = Field(default=None, description="Who made the maps, where it was not this harness.")
    pretrained: dict[str, Any] = {}
    num_params: int | None = None
    protocols: dict[str, str] = {}
    best_epoch: int | None = None
    best_sha256: str | None = Field(default=None, description="SHA-256 of best.pt; another file is never loaded.")
    val: dict[str, float] = {}
    tests: dict[str, TestResult] = {}
    missing: dict[str, str] = {}
    partial: dict[str, str] = Field(default={}, description="Datasets of which only some images were at hand.")
    environment: dict[str, Any] = {}
    training: dict[str, Any] = Field(
        default={}, description="How the device computed, where memory was short, and of a divergence step and images."
    )
    timing: dict[str, float] = {}
    created: str

    @field_validator("recipe")
    @classmethod
    def _of_today(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        """What older records call 32-true and not channels_last was the default, which is auto today."""
        if "precision" not in recipe or "compile" in recipe:
            return recipe
        was = {"precision": "32-true", "channels_last": False}
        auto = {key: "auto" for key, default in was.items() if recipe.get(key, default) == default}
        return {**recipe, **auto, "compile": "auto", "micro_batch": None}

    @field_validator("cell", "tests")
    @classmethod
    def _names_stay_inside(cls, value: Any) -> Any:
        """Cells and test sets become paths: a stranger's record must not lead out of the results folder."""
        try:
            paths = ResultsLayout(Path()).cell(value if isinstance(value, str) else "cell")
            for dataset in value if isinstance(value, dict) else ():
                paths.maps(dataset)
        except BenchError as error:
            raise ValueError(str(error)) from None
        return value

    def to_json(self) -> dict[str, Any]:
        """Return the dictionary that ``run.json`` holds."""
        return self.model_dump(mode="json", by_alias=True)
