"""The reference study's means, intervals and p-values, worked out a second time from its committed scores.

Written from benchmark/report/statistics/README.md in numpy alone, with loops and explicit sums, sharing no code with
the package: a mistake would have to be made twice.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmark.report.records.set_scores import score_reader
from benchmark.report.tables.build import build_tables
from benchmark.store import io

STUDY = Path(__file__).parents[3] / "results" / "reference" / "cpu-study" / "main"
SCENES = (1, 39, 61, 77, 98, 149, 156, 204, 226, 264, 274, 301, 321, 341, 361)
Scores = dict[str, dict[int, dict[str, float]]]  # row -> seed -> image -> Dice


def t_beyond(t: float, df: float) -> float:
    """Two-sided tail of Student's t by integrating its density, substituting t = tan(angle) sqrt(df)."""
    angle = np.linspace(math.atan(t / math.sqrt(df)), math.pi / 2, 20001)
    values = np.cos(angle) ** (df - 1)
    norm = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi)
    return float(2 * norm * np.sum((values[1:] + values[:-1]) / 2) * (angle[1] - angle[0]))


def t_critical(df: float) -> float:
    low, high = 0.0, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_beyond(middle, df) > 0.05 else (low, middle)
    return low


def read(dataset: str, seeds: tuple[int, ...]) -> tuple[Scores, dict[str, str]]:
    scores: Scores = {}
    groups: dict[str, str] = {}
    for path in sorted(STUDY.glob("runs/*/*/seed*/run.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        row = "-".join([record["model"], *record["ablation"]])
        if record["seed"] not in seeds:
            continue
        for line in pq.read_table(path.parent / "scores.parquet").to_pylist():
            if line["dataset"] == dataset and line["protocol"] == "pranet":
                scores.setdefault(row, {}).setdefault(record["seed"], {})[line["id"]] = line["dice"]
                scene = f"scene {bisect_right(SCENES, int(line['id']))}" if dataset == "colondb" else line["group"]
                groups[line["id"]] = scene
    return scores, groups


def group_df(sizes: list[int]) -> float:
    """Bell and McCaffrey's, with all matrices over images."""
    n = sum(sizes)
    label = np.repeat(np.arange(len(sizes)), sizes)
    lever = np.zeros((n, len(sizes)))
    for g, size in enumerate(sizes):
        mine = (label == g).astype(float)
        lever[:, g] = (mine - size / n) / math.sqrt(1 - size / n) / n
    moved = np.array([lever[label == g].sum(axis=0) for g in range(len(sizes))])  # groups that move as one
    forms = (lever.T @ lever, moved.T @ moved)
    found = [np.trace(form) ** 2 / (form**2).sum() for form in forms]
    return float(min(found))


class Recomputed:
    """One contrast of rows: weights 1 and -1 for a difference, 1 for a mean."""

    def __init__(
        self, scores: Scores, groups: dict[str, str], rows: list[str], weights: dict[str, float], paired: bool
    ):
        self.rows, self.weights = rows, weights
        ids = sorted(groups)
        names = sorted({groups[i] for i in ids})
        seeds = sorted(scores[rows[0]])
        n, s = len(ids), len(seeds)
        sizes = [sum(groups[i] == name for i in ids) for name in names]
        at = {row: {seed: np.mean([scores[row][seed][i] for i in ids]) for seed in seeds} for row in rows}
        self.value = sum(w * np.mean(list(at[row].values())) for row, w in weights.items())

        image = 0.0
        for name, size in zip(names, sizes, strict=True):
            e = sum(
                sum(w * np.mean([scores[row][seed][i] for seed in seeds]) for row, w in weights.items()) - self.value
                for i in ids
                if groups[i] == name
            )
            image += e**2 / (1 - size / n) / n**2
        image_df = group_df(sizes)

        own = {row: np.var(list(at[row].values()), ddof=1) for row in rows}
        by_seed = {seed: np.mean([at[row][seed] for row in rows]) for seed in seeds}

        def centred(row: str, seed: int, *, both: bool) -> float:
            left = at[row][seed] - np.mean(list(at[row].values()))
            return left - (by_seed[seed] - np.mean(list(by_seed.values())) if both else 0)

        def rest(row: str, seed: int, name: str) -> float:
            return sum(
                scores[row][seed][i] - np.mean([scores[row][k][i] for k in seeds]) - centred(row, seed, both=False)
                for i in ids
                if groups[i] == name
            )

        pairs_seeds = paired and len(weights) == 2
        table = {name: np.array([[rest(row, seed, name) for seed in seeds] for row in rows]) for name in names}
        noise = 0.0
        for name, size in zip(names, sizes, strict=True):
            values = table[name] - (table[name].mean(axis=0) if pairs_seeds else 0)
            noise += (values**2).sum() / (1 - size / n) / n**2
        m = len(rows)
        noise /= (s - 1) * ((m - 1) if pairs_seeds else m)
        mine = list(weights)
        if pairs_seeds:
            a, b = mine
            parts = [np.var([at[a][seed] - at[b][seed] for seed in seeds], ddof=1)]
            pool = 2 * sum(centred(r, k, both=True) ** 2 for r in rows for k in seeds) / ((m - 1) * (s - 1))
            pool_df, noise = (m - 1) * (s - 1), 2 * noise
        else:
            parts = [own[row] for row in mine]
            pool = len(mine) * np.mean(list(own.values()))
            pool_df, noise = m * (s - 1), len(mine) * noise
            if paired:
                shared = np.var(list(by_seed.values()), ddof=1)
                left = max(pool - shared, 0)
                pool_df = pool**2 / (shared**2 / (s - 1) + left**2 / ((m - 1) * (s - 1)))
        used = (2 * pool + (s - 1) * sum(parts)) / (s + 1)
        regimes = [(used, min(len(parts) * (s - 1) + 2, pool_df))]
        if self.spreads_differ(rows, seeds, centred, paired):
            regimes.append((sum(parts), sum(parts) ** 2 / sum(v**2 / (s - 1) for v in parts)))
        self.half, self.p = 0.0, 0.0
        for raw, raw_df in regimes:
            total = image + max(raw - noise, 0) / s
            df = total**2 / (image**2 / image_df + (raw / s) ** 2 / raw_df)
            df = max(df, min(image_df, raw_df))
            self.half = max(self.half, t_critical(df) * math.sqrt(total))
            self.p = max(self.p, t_beyond(abs(self.value) / math.sqrt(total), df))

    @staticmethod
    def spreads_differ(rows: list[str], seeds: list[int], centred: Any, paired: bool) -> bool:
        def bartlett(values: np.ndarray) -> np.ndarray:
            squares = (values**2).sum(axis=-1)
            return np.asarray(np.log(squares.mean(axis=-1)) - np.log(squares).mean(axis=-1))

        found = bartlett(np.array([[centred(row, seed, both=paired) for seed in seeds] for row in rows]))
        drawn = np.random.default_rng(123).normal(size=(40_000, len(rows), len(seeds)))
        drawn -= drawn.mean(axis=-1, keepdims=True)
        drawn -= drawn.mean(axis=-2, keepdims=True) if paired else 0
        share = float((bartlett(drawn) >= found).mean())
        assert abs(share - 0.1) > 0.005, "too near to the limit for two draws to agree; choose other data"
        return share < 0.1


@pytest.mark.parametrize("kind", ["main", "ablation"])
@pytest.mark.parametrize("dataset", ["kvasir", "colondb"])
def test_means_intervals_and_p_values_come_out_again(dataset: str, kind: Any) -> None:
    paired = kind == "ablation"
    seeds = (0, 1, 2, 3, 4) if paired else (0, 1, 2)  # three of the six models have no more
    scores, groups = read(dataset, seeds)
    rows = [row for row in scores if row.startswith("bsanet") == paired or row == "bsanet"]
    records, reader = io.read_records(STUDY), score_reader(STUDY, "pranet")
    tables = build_tables(records, kind=kind, ci=True, significance="", seeds=seeds, read=reader)
    table = next(table for table in tables if table.dataset == dataset)
    place = {"-".join([row.model, *row.ablation]): i for i, row in enumerate(table.rows)}
    assert sorted(place) == sorted(rows)
    fit = next(design.fit for design in table.uncertainty.designs)
    tested: list[tuple[float, float]] = []
    for row in rows:
        again = Recomputed(scores, groups, rows, {row: 1.0}, paired)
        assert table.rows[place[row]].values["mDSC"] == pytest.approx(again.value, abs=1e-6)
        low, high = table.uncertainty.intervals[(place[row], "mDSC")]
        expected = max(again.value - again.half, 0), min(again.value + again.half, 1)
        assert (low, high) == (pytest.approx(expected[0], abs=1e-4), pytest.approx(expected[1], abs=1e-4)), row
        if row != "bsanet":
            again = Recomputed(scores, groups, rows, {row: 1.0, "bsanet": -1.0}, paired)
            one = table.uncertainty.tested[(place[row], "mDSC")]
            assert one.difference == pytest.approx(again.value, abs=1e-6)
            assert one.high - one.difference == pytest.approx(again.half, abs=1e-4)
            assert one.p == pytest.approx(again.p, abs=1e-4)
            tested.append((one.p, one.p_holm))
    assert fit.num_seeds == len(seeds)
    below = [(first, second) for first in tested for second in tested if first[0] < second[0]]
    assert len(tested) == len(rows) - 1 and all(p <= holm for p, holm in tested)
    assert all(first[1] <= second[1] for first, second in below), "Holm keeps the order"
