"""Ensembles in tables: labelled, beside their cells, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from benchmark.report.page.reproduce import commands
from benchmark.report.records.select import choose
from benchmark.report.tables.build import build_tables
from benchmark.store.schema import Record

CELLS = ["unet/quick-11112222/seed0", "unet/quick-11112222/seed1"]


@pytest.fixture
def records(make_record: Any) -> list[Record]:
    """Two seeds, and the mean of their maps: all on a part of the set's images."""
    parents = [{"cell": cell, "sha256": "ab"} for cell in CELLS]
    mean = make_record(
        "ensemble",
        cell="ensemble/mean-1/seed0",
        model_title="U-Net, 2 seeds, flips",
        origin="ensemble: mean of the probabilities",
        ensemble={"parents": parents, "averaged": "probabilities", "flips": ["hflip"]},
        tests={"kvasir": 0.9},
        split={"name": ""},
        recipe_name="",
    )
    made = [*(make_record("unet", seed=seed, cell=CELLS[seed]) for seed in (0, 1)), mean]
    found = []
    for one in made:
        payload = one.to_json()
        payload["tests"]["kvasir"]["of"] = 1000
        found.append(Record.model_validate(payload))
    return found


def test_an_ensemble_is_a_labelled_row_that_needs_no_seeds_and_is_ranked(records: Any) -> None:
    (table,) = build_tables(records)
    ours, mean = sorted(table.rows, key=lambda row: row.ensemble)
    assert (mean.title, mean.values["mDSC"], mean.is_ranked) == ("U-Net, 2 seeds, flips", 0.9, True)
    assert ours.seeds == (0, 1) and table.facts.seeds == (0, 1)
    assert "† U-Net, 2 seeds, flips: ensemble: mean of the probabilities" in table.notes
    assert any(cell.sup == "†" and cell.text == mean.title for row in table.sheet.rows for cell in row)
    assert table.marks[(table.rows.index(mean), "mDSC")] == "best"


def test_an_ensemble_stands_only_where_its_cells_do(records: Any, make_record: Any) -> None:
    other = make_record("pranet", recipe_name="native")
    kept = choose([*records, other], recipe="native", split=None)
    assert [one.model for one in kept] == ["pranet"]
    assert len(choose([*records, other], recipe="quick", split=None)) == 3
    assert len(choose([*records, other], recipe=None, split="paper")) == 4


def test_the_command_that_makes_it_is_known(records: Any) -> None:
    texts = [one.text for one in commands(records)]
    made = f"bench ensemble {' '.join(CELLS)} --name 'U-Net, 2 seeds, flips' --flips hflip --datasets kvasir"
    assert made in texts and sum(text.startswith("bench run") for text in texts) == 1
