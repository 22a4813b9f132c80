"""`bench report` on real records, read in a real browser."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from browser import Visit, Visitor
from conftest import NET
from harness import TINY

SETS = "phantom-colondb,phantom-etis"
Call = Callable[..., str]


@pytest.fixture(scope="module")
def call(
    tmp_path_factory: pytest.TempPathFactory,
    shared_cache: Path,
    run_bench: Callable[..., subprocess.CompletedProcess[str]],
) -> Call:
    """Run `bench` in a folder with two small networks; returns standard output."""
    folder = tmp_path_factory.mktemp("report")
    for name in ("tiny_net", "other_net"):
        (folder / f"{name}.py").write_text(NET)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "MLFLOW_TRACKING"))}
    env = {**kept, "BENCH_CACHE_DIR": str(shared_cache), "COLUMNS": "200"}

    def run(*arguments: str) -> str:
        done = run_bench(list(arguments), cwd=folder, env=env)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    run.folder = folder  # type: ignore[attr-defined]
    return run


@pytest.fixture(scope="module")
def page(call: Call) -> Path:
    """The page of two small networks with two seeds on two phantom sets."""
    models = "./tiny_net.py:build,./other_net.py:build"
    fixed = ("--recipe", "smoke", *TINY, "--seeds", "0,1", "--no-track", "--no-time-first", "--quiet")
    call("run", "--models", models, "--datasets", SETS, *fixed)
    assert call("report").strip() == "results/report.html"
    return call.folder / "results/report.html"  # type: ignore[attr-defined]


def _column(visit: Visit, table: int, column: int) -> list[str]:
    rows = visit.page.locator("#scores table").nth(table).locator("tbody tr")
    return [rows.nth(i).locator("th, td").nth(column).inner_text() for i in range(rows.count())]


def _picture(visit: Visit) -> str:
    return str(visit.page.locator("#cards canvas").first.evaluate("canvas => canvas.toDataURL()"))


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_its_window_and_is_quiet(page: Path, visit: Visitor, width: int, dark: bool) -> None:
    seen = visit(page, width=width, dark=dark)
    seen.page.wait_for_selector("#cards[data-ready]")
    assert seen.overflow_px() == 0
    assert seen.errors == []
    assert seen.requests == []
    background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(17, 21, 26)" if dark else "rgb(255, 255, 255)")
    text = seen.page.inner_text("body")
    for said in ("Synthetic images.", "Short training: 2 epochs", "Random initialisation", "Not drawn, and why"):
        assert said in text
    assert seen.page.locator("#figures img").count() == 11  # four kinds for each of two sets, and three for all
    assert seen.page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


def test_a_head_sorts_its_column_both_ways(page: Path, visit: Visitor) -> None:
    seen = visit(page)
    head = seen.page.locator("#scores table").first.locator("thead th").nth(1)
    for order, reverse in (("descending", True), ("ascending", False)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        assert _column(seen, 0, 1) == sorted(_column(seen, 0, 1), reverse=reverse)
    other = seen.page.locator("#scores table").first.locator("thead th").nth(0)
    other.locator("button").click()
    assert (other.get_attribute("aria-sort"), head.get_attribute("aria-sort")) == ("ascending", "none")
    assert _column(seen, 0, 0) == ["other_net", "tiny_net"]


def test_a_score_opens_its_models_worst_images(page: Path, visit: Visitor) -> None:
    seen = visit(page)
    cell = seen.page.locator("button.open[data-set='1:phantom-etis'][data-model='tiny_net'][data-measure='MAE']")
    cell.click()
    seen.page.wait_for_selector("#cards[data-ready='1:phantom-etis tiny_net MAE']")
    assert seen.page.evaluate("document.activeElement.id") == "gallery-h"
    shown = seen.page.locator("#cards article").evaluate_all("cards => cards.map(card => card.dataset.id)")
    files = list((page.parent / "runs/file_tiny_net_build").rglob("scores.parquet"))
    assert len(files) == 2
    rows = pd.concat([pd.read_parquet(file) for file in files])
    rows = rows[(rows["dataset"] == "phantom-etis") & (rows["protocol"] == "pranet")]
    worst = rows.groupby("id")["mae"].mean().sort_values(ascending=False)
    assert shown == list(worst.index[:4])
    assert f"MAE {worst.iloc[0]:.3f}" in seen.page.locator("#cards h3").first.inner_text()


def test_the_slider_changes_the_pixels(page: Path, visit: Visitor) -> None:
    seen = visit(page)
    seen.page.wait_for_selector("#cards[data-ready]")
    before = _picture(seen)
    seen.page.locator("#threshold").fill("0")
    everything = _picture(seen)
    seen.page.locator("#threshold").fill("255")
    nothing = _picture(seen)
    assert len({before, everything, nothing}) == 3
    assert seen.page.inner_text("#level") == "1.00"
    assert "Dice here 0.00" in seen.page.locator("#cards figcaption").nth(2).inner_text()  # nothing exceeds 255
    seen.page.locator("#threshold").fill("128")
    assert _picture(seen) == before
    seen.page.locator("#stretch").uncheck()
    assert _picture(seen) != before


def test_the_keyboard_alone_is_enough(page: Path, visit: Visitor) -> None:
    seen = visit(page)
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.className") == "skip"
    seen.page.keyboard.press("Enter")
    for _ in range(4):  # the table's region, then its heads
        seen.page.keyboard.press("Tab")
        if seen.page.evaluate("document.activeElement.textContent.startsWith('mDSC')"):
            break
    seen.page.keyboard.press("Enter")
    head = seen.page.locator("#scores table").first.locator("thead th").nth(1)
    assert head.get_attribute("aria-sort") == "descending"
    button = seen.page.locator("button.open").first
    button.focus()
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_function("document.activeElement.id === 'gallery-h'")
    for _ in range(4):
        seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.id") == "threshold"
    before = _picture(seen)
    seen.page.keyboard.press("Home")
    assert seen.page.inner_text("#level") == "0.00"
    assert _picture(seen) != before


def test_the_commands_make_the_same_cells(page: Path, call: Call, visit: Visitor) -> None:
    seen = visit(page)
    command = seen.page.locator("pre.command")
    assert command.count() == 1
    words = shlex.split(command.inner_text())
    assert words[:2] == ["bench", "run"]
    plan = json.loads(call(*words[1:], "--dry-run", "--json", "--quiet"))
    made = {str(file.parent.relative_to(page.parent / "runs")) for file in page.parent.rglob("run.json")}
    assert set(plan["cells"]) == made


def test_a_page_without_images_still_lists_the_worst(page: Path, call: Call, visit: Visitor) -> None:
    call("report", "--no-images", "--out", "bare.html", "--title", "A <b>title</b>")
    bare = page.parents[1] / "bare.html"
    text = bare.read_text()
    assert "image/jpeg" not in text
    seen = visit(bare, width=390)
    assert seen.page.inner_text("h1") == "A <b>title</b>"
    seen.page.wait_for_selector("#cards[data-ready]")
    assert seen.page.locator("#cards article").count() == 4
    assert seen.page.locator("#cards canvas").count() == 0
    assert "Pictures were left out with --no-images" in seen.page.inner_text("#told")
    assert (seen.errors, seen.overflow_px()) == ([], 0)
