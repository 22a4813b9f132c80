"""The search space: fields of a recipe with their ranges or choices, and the pruner; from strict TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.config import Recipe, config_hash
from benchmark.errors import BenchError, unknown_name
from benchmark.recipes.read import validate_recipe
from benchmark.untrusted import parse_toml, read_toml

if TYPE_CHECKING:
    from optuna.trial import Trial

_FIXED = {"name", "tuned_trials", "image_size", "select", "select_metric", "postprocess", "model_options"}
_FIXED |= {"max_val_images", "max_test_images"}
"""Fields that decide how a trial is scored, or that validation cannot score."""


class Dimension(BaseModel):
    """One searched field: a range (whole numbers when both ends are), or choices."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: list[Any] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _is_whole(self) -> Dimension:
        if (self.choices is None) == (self.low is None) or (self.low is None) != (self.high is None):
            raise ValueError("expected low and high, or choices")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        if self.log and (self.low is None or self.low <= 0):
            raise ValueError("log = true needs low above 0")
        return self

    def suggest(self, trial: Trial, field: str) -> Any:
        """Draw a value; choices are stored as JSON, which every database supports."""
        if self.choices is not None:
            return json.loads(trial.suggest_categorical(field, [json.dumps(one) for one in self.choices]))
        assert self.low is not None and self.high is not None
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(field, self.low, self.high, log=self.log)
        return trial.suggest_float(field, self.low, self.high, log=self.log)

    @property
    def corners(self) -> list[Any]:
        """Return the values that must all be valid for the dimension to be valid."""
        return [self.low, self.high] if self.choices is None else self.choices


class Pruner(BaseModel):
    """Median rule: a trial stops when its best score is below the median of the others at the same epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    startup_trials: int = Field(5, ge=0)
    warmup_epochs: int = Field(1, ge=0)


@dataclass(frozen=True)
class Space:
    """Searched fields and the pruner; the same for every model."""

    search: Mapping[str, Dimension]
    pruner: Pruner

    @property
    def hash(self) -> str:
        """Eight hex digits over everything."""
        dims = {field: dim.model_dump(mode="json") for field, dim in self.search.items()}
        return config_hash({"search": dims, "pruner": self.pruner.model_dump()})

    def of(self, *, takes_encoder: bool) -> dict[str, Dimension]:
        """The dimensions that apply to a model: ``encoder`` only where it takes one."""
        return {field: dim for field, dim in self.search.items() if field != "encoder" or takes_encoder}

    def check(self, base: Recipe) -> None:
        """Refuse a value that no recipe may have, before anything is trained."""
        fields = base.model_dump()
        for field, dimension in self.search.items():
            for value in dimension.corners:
                validate_recipe({**fields, field: value}, where="search space")


def load_space(path: Path | None) -> Space:
    """Read a search space; the packaged one if None.

    Raises:
        BenchError: No such file, not TOML, an unknown field, or an invalid range.
    """
    where = "search space" if path is None else f"search space {path}"
    table = _read(path, where)
    for key in table:
        if key not in ("search", "pruner"):
            raise BenchError(f"{where}: {unknown_name('table', key, ['search', 'pruner'])}")
    search, pruner = table.get("search", {}), table.get("pruner", {})
    if not isinstance(search, dict) or not search or not all(isinstance(one, dict) for one in search.values()):
        raise BenchError(f"{where}: expected tables such as [search.lr] with low and high, or choices")
    for field in search:
        if field not in Recipe.model_fields:
            raise BenchError(f"{where}: {unknown_name('field', field, Recipe.model_fields)}")
        if field in _FIXED:
            raise BenchError(
                f"{where}: {field} cannot be searched: it decides how trials are scored; use --set {field}="
            )
    dimensions = {field: _build(Dimension, one, f"{where}: search.{field}") for field, one in search.items()}
    return Space(dimensions, _build(Pruner, pruner, f"{where}: pruner"))


def _read(path: Path | None, where: str) -> dict[str, Any]:
    try:
        packaged = resources.files("benchmark.tuning") / "space.toml"
        return parse_toml(packaged.read_text(encoding="utf-8")) if path is None else read_toml(path)
    except FileNotFoundError:
        raise BenchError(f"{where}: not found; leave --space out for the packaged one") from None
    except (OSError, ValueError) as error:
        raise BenchError(f"{where}: not readable as TOML: {error}") from None


def _build(kind: Any, table: Any, where: str) -> Any:
    try:
        return kind(**table)
    except (ValidationError, TypeError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise BenchError(f"{where}: {first.removeprefix('Value error, ')}") from None
