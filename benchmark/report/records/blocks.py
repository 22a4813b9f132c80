"""Per-image scores as arrays: models x seeds x images of one test set, with the group of each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmark.data.listing.groups import group_word
from benchmark.errors import BenchError, unknown_name
from benchmark.metrics.measures import COLUMNS
from benchmark.report.records.grouping import regrouped
from benchmark.report.records.names import dataset_order, model_order

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SetScores:
    """One cell's scores of one test set, images in the order of their names.

    Attributes:
        ids: n image names. groups: Their groups, as they are known today.
        scores: (6, n) in the order of ``MEASURE_KEYS``; NaN where the file has no such column.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    scores: Floats


@dataclass(frozen=True)
class Block:
    """Scores of several models on one test set.

    Attributes:
        models: M names. seeds: S seeds, the same for every model.
        scores: (M, S, n), one score per image.
        groups: (n,) integers from 0; images of one sequence or duplicate cluster share theirs.
        ids: n image names.
        trained: (M,) whether a row was trained with these seeds; fixed maps count once for every seed. Empty: all were.
        paired: Whether seed k means the same initial values in every trained row, as in an ablation.
        word: Kind of the groups, in the plural: sequences, scenes.
    """

    dataset: str
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: Floats
    groups: npt.NDArray[np.int64]
    ids: tuple[str, ...]
    trained: tuple[bool, ...] = ()
    paired: bool = False
    word: str = "groups of images"

    @property
    def num_groups(self) -> int:
        """Number of groups G."""
        return int(self.groups.max()) + 1

    def index(self, model: str) -> int:
        """Return the position of a model.

        Raises:
            BenchError: It is not in this block.
        """
        if model not in self.models:
            raise unknown_name("model", model, self.models)
        return self.models.index(model)


def stack_block(
    dataset: str, by_model: Mapping[str, Sequence[SetScores]], seeds: Sequence[int], *, column: str
) -> Block:
    """Stack the scores of one test set, one set of scores per seed for each model.

    Args:
        dataset: Test set.
        by_model: Scores of the same images.
        seeds: As many as there are sets of scores per model.
        column: Which per-image score.
    Raises:
        BenchError: A model scored other images or lacks a seed.
    """
    import pandas as pd

    models, measure = tuple(sorted(by_model, key=model_order)), list(COLUMNS.values()).index(column)
    first = by_model[models[0]][0]
    scores = np.empty((len(models), len(seeds), len(first.ids)))
    for m, model in enumerate(models):
        if len(by_model[model]) != len(seeds):
            raise BenchError(f"{dataset}: {model} lacks a seed that others have; choose seeds that all models have")
        for s, one in enumerate(by_model[model]):
            if one.ids != first.ids:
                raise BenchError(
                    f"{dataset}: {model} scored an image twice or other images; choose one recipe and split"
                )
            scores[m, s] = one.scores[measure]
    codes, _ = pd.factorize(np.array(first.groups, dtype=object))
    return Block(dataset, models, tuple(seeds), scores, codes.astype(np.int64), first.ids, word=group_word(dataset))


def make_blocks(rows: pd.DataFrame, *, column: str = "dice", protocol: str | None = None) -> list[Block]:
    """Turn per-image rows into one block per test set.

    Args:
        rows: Columns model, seed, dataset, id, group, ``column``, and protocol where ``protocol`` is given.
        column: Which per-image score.
        protocol: Keep the rows of this protocol.
    Returns:
        Blocks in the paper's order of test sets; within each, models in the paper's order.
    Raises:
        BenchError: No such column or protocol, a model lacks a seed or an image, or a score is not a number.
    """
    if column not in rows.columns:
        raise unknown_name("score column", column, map(str, rows.columns))
    if protocol is not None:
        if protocol not in set(rows["protocol"]):
            raise unknown_name("protocol", protocol, map(str, rows["protocol"].unique()))
        rows = rows[rows["protocol"] == protocol]
    rows = regrouped(rows)
    sets = sorted(map(str, rows["dataset"].unique()), key=dataset_order)
    return [_make_block(rows[rows["dataset"] == name], name, column) for name in sets]


def _make_block(rows: pd.DataFrame, dataset: str, column: str) -> Block:
    import pandas as pd

    if rows.duplicated(["model", "seed", "id"]).any():
        raise BenchError(f"{dataset}: one model and seed scored an image twice; choose one recipe and one split")
    wide = rows.pivot(index="id", columns=["model", "seed"], values=column)
    models = tuple(sorted(map(str, rows["model"].unique()), key=model_order))
    seeds = tuple(sorted(int(seed) for seed in rows["seed"].unique()))
    for model in models:
        for seed in seeds:
            if (model, seed) not in wide.columns:
                raise BenchError(
                    f"{dataset}: {model} has no seed {seed}, which others have; choose seeds that all models have"
                )
            num_bad = int((~np.isfinite(wide[(model, seed)].to_numpy(dtype=float))).sum())
            if num_bad:
                raise BenchError(
                    f"{dataset}: {model}, seed {seed}: {column} is missing or not a number for {num_bad} of "
                    f"{len(wide)} images; score that cell again (bench run --if-exists overwrite)"
                )
    ordered = [(model, seed) for model in models for seed in seeds]
    scores = wide[ordered].to_numpy(dtype=float).T.reshape(len(models), len(seeds), len(wide))
    groups = rows.drop_duplicates("id").set_index("id").loc[wide.index, "group"]
    codes, _ = pd.factorize(groups)
    ids = tuple(map(str, wide.index))
    return Block(dataset, models, seeds, scores, codes.astype(np.int64), ids, word=group_word(dataset))
