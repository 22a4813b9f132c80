"""Progress: an ETA on plain lines, a live bar for commands without cells."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmark.config import Recipe
from benchmark.display import progress
from benchmark.display.progress import LiveDisplay, PlainDisplay
from benchmark.recipes.idle import idle_fields


def test_plain_lines_say_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    text = io.StringIO()
    events = PlainDisplay(Console(file=text, width=200))
    events.phase("score kvasir", 1, 101)
    assert text.getvalue() == ""
    now[0] = 120.0
    events.phase("score kvasir", 21, 101)  # 20 images in 20 s: 80 are left
    assert text.getvalue() == "  score kvasir 21/101, about 80 s left\n"
    now[0] = 140.0
    events.phase("score etis", 1, 50)  # no pace yet
    assert text.getvalue().endswith("  score etis 1/50\n")


def test_a_command_without_cells_has_a_live_bar() -> None:
    events = LiveDisplay(Console(file=io.StringIO(), force_terminal=True, width=100))
    events.phase("check kvasir", 3, 10)
    (task,) = events.progress.tasks
    assert (task.description, task.completed, task.total) == ("check kvasir", 3, 10)
    events.phase("check etis", 1, 5)
    assert (task.description, task.completed, task.total) == ("check etis", 1, 5)


def test_an_epoch_whose_number_no_cell_told_is_shown_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A denoiser is trained outside any cell: 'epoch 2/0' would be wrong."""
    text, now = io.StringIO(), [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    plain = PlainDisplay(Console(file=text, width=200))
    now[0] = 200.0
    plain.step(2, 3, 20, 0.5, 10.0)
    assert text.getvalue() == "  epoch 2 step 3/20 loss 0.5000 10.0 images/s\n"
    live = LiveDisplay(Console(file=io.StringIO(), force_terminal=True, width=100))
    live.step(2, 3, 20, 0.5, 10.0)
    task = live.progress.tasks[-1]
    assert task.description.startswith("epoch 2 loss") and task.total is None


def test_fields_that_change_nothing_are_named() -> None:
    assert idle_fields(Recipe(momentum=0.5), ["momentum", "lr"]) == {"momentum": "optimizer = sgd"}
    assert idle_fields(Recipe(momentum=0.5, optimizer="sgd"), ["momentum"]) == {}
    assert idle_fields(Recipe(select="last"), ["select_metric"]) == {
        "select_metric": "select = best, schedule = plateau or patience"
    }
