"""The kept trials of the search among BSANet's designs, and the page that tells of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.runtime.source_tree import commits_in_no_history

FOLDER = Path(__file__).parents[2] / "results" / "reference" / "bsanet-search"


def trials() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / "trials.jsonl").read_text().splitlines()]


def section(title: str) -> list[list[str]]:
    """The cells of the rows of a section's table."""
    text = (FOLDER / "README.md").read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip()[1:-1].split("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def test_the_page_has_every_trials_score() -> None:
    scores = {(one["design"], one["seed"]): f"{one['best']:.3f}" for one in trials()}
    named = [[re.sub(r"[*`]", "", row[0]), *row[1:]] for row in [*section("BSANet"), *section("U-Net")]]
    told = {(row[0], seed): row[2 + seed] for row in named for seed in range(3) if row[2 + seed]}
    assert told == scores


def test_its_counts_and_differences_are_those_of_the_trials() -> None:
    page, found = " ".join((FOLDER / "README.md").read_text().split()), trials()
    assert f"{len(found)} trials, {sum(one['cpu_s'] for one in found) / 60:.0f} minutes" in page
    ours = [one for one in found if not one["design"].startswith("unet")]
    assert len(ours) == len(found) - len(ours), "equal budgets"
    assert f"{len(ours)} of BSANet and {len(found) - len(ours)} of U-Net" in page
    old = [one for one in ours if not one["used_in_prediction"]["rendering"]]
    assert f"none of the {len(old)} kept" in page
    for name in ("no-isam-map", "small-slow-lr-5e-4", "structure-loss"):
        new = of(name)
        gains = [one["best"] - one["switched_off"]["rendering"]["val_dice_half"] for one in new]
        assert " | ".join(f"{gain:+.3f}" for gain in gains) in page
        moved = [mdsc(one) - one["switched_off"]["rendering"]["val_mdsc"] for one in new]
        assert name == "structure-loss" or f"{', '.join(f'{gain:.3f}' for gain in moved)} in `{name}`" in page


def of(design: str) -> list[dict[str, Any]]:
    return sorted((one for one in trials() if one["design"] == design), key=lambda one: one["seed"])


def mdsc(trial: dict[str, Any]) -> float:
    return trial["history"][trial["best_epoch"] - 1]["val_mdsc"]


def test_what_the_page_concludes_of_the_loss_follows_from_the_trials() -> None:
    page = " ".join((FOLDER / "README.md").read_text().split())

    def told(one: str, other: str, score: Callable[[dict[str, Any]], float]) -> str:
        pairs = zip(of(one), of(other), strict=True)
        return ", ".join(f"{score(a) - score(b):+.3f}" for a, b in pairs)

    def best(trial: dict[str, Any]) -> float:
        return trial["best"]

    now, then = ("structure-loss", "unet-structure-loss"), ("small-slow-lr-5e-4", "unet-lr-5e-4")
    assert f"U-Net gains {told(now[1], then[1], best)}, BSANet {told(now[0], then[0], best)};" in page
    assert f"less U-Net is then {told(*now, best)}, with BCE and Dice {told(*then, best)}" in page
    assert f"(in mDSC of the same epochs {told(*now, mdsc)} and {told(*then, mdsc)})" in page


def test_the_rates_are_those_that_the_page_names() -> None:
    rates = {row[0].strip("*`"): float(row[1]) for row in [*section("BSANet"), *section("U-Net")]}
    for one in trials():
        reached = max(row["lr"] for row in one["history"])  # warm-up ends where decay has begun
        assert reached == pytest.approx(rates[one["design"]], rel=0.1), one["design"]


def test_every_trial_finished_and_every_commit_is_in_the_history() -> None:
    assert {one["status"] for one in trials()} == {"ok"}
    lost = commits_in_no_history({one["commit"] for one in trials()})
    if lost is None:
        pytest.skip("no whole git history is here")
    assert lost == []
