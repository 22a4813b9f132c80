"""The kept trials of the search among BSANet's designs, and the page that tells of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmark.runtime.source_tree import commits_in_no_history

FOLDER = Path(__file__).parents[2] / "results" / "reference" / "bsanet-search"
OF_UNET = ("unet", "unet-lr-5e-4", "unet-lr-2e-3", "unet-lr-4e-3", "unet-adamw")


def trials() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / "trials.jsonl").read_text().splitlines()]


def section(title: str) -> list[list[str]]:
    """The cells of the rows of a section's table."""
    text = (FOLDER / "README.md").read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip()[1:-1].split("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def test_the_page_has_every_trials_score() -> None:
    scores = {(one["design"], one["seed"]): f"{one['best']:.3f}" for one in trials()}
    named = [[re.sub(r"[*`]", "", row[0]), *row[1:]] for row in section("BSANet")]
    named += [[name, *row[1:], ""] for name, row in zip(OF_UNET, section("U-Net"), strict=True)]
    told = {(row[0], seed): row[1 + seed] for row in named for seed in range(3) if row[1 + seed]}
    assert told == scores


def test_its_counts_and_differences_are_those_of_the_trials() -> None:
    page, found = " ".join((FOLDER / "README.md").read_text().split()), trials()
    assert f"{len(found)} trials, {sum(one['cpu_s'] for one in found) / 60:.0f} minutes" in page
    ours = [one for one in found if not one["design"].startswith("unet")]
    assert f"{len(ours)} trials of BSANet, seven of U-Net" in page and len(found) == len(ours) + 7
    old = [one for one in ours if one["design"] not in ("no-isam-map", "small-slow-lr-5e-4")]
    assert not any(one["used_in_prediction"]["rendering"] for one in old) and f"none of the {len(old)} kept" in page
    new = sorted((one for one in ours if one["design"] == "no-isam-map"), key=lambda one: one["seed"])
    gains = [one["best"] - one["switched_off"]["rendering"]["val_dice_half"] for one in new]
    assert " | ".join(f"{gain:+.3f}" for gain in gains) in page
    moved = [
        one["history"][one["best_epoch"] - 1]["val_mdsc"] - one["switched_off"]["rendering"]["val_mdsc"] for one in new
    ]
    assert f"gains less: {', '.join(f'{gain:.3f}' for gain in moved)}" in page


def test_every_trial_finished_and_every_commit_is_in_the_history() -> None:
    assert {one["status"] for one in trials()} == {"ok"}
    lost = commits_in_no_history({one["commit"] for one in trials()})
    if lost is None:
        pytest.skip("no whole git history is here")
    assert lost == []
