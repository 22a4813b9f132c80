"""Exports of strangers on a leaderboard: whatever a record says, it is shown, or refused in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fuzzing import changed, one_line
from hypothesis import given
from hypothesis import strategies as st

from benchmark.report.board.collect import Board, collect

STUDY = Path(__file__).parents[2] / "results" / "reference" / "cpu-study"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict]:
    """Two submissions of two cells each; one record of the second is changed."""
    folder = tmp_path_factory.mktemp("exports")
    for name in ("one", "two"):
        for cell in sorted((STUDY / "main" / "runs" / "unet").rglob("run.json")):
            target = folder / name / cell.parent.relative_to(STUDY / "main")
            target.mkdir(parents=True)
            for file in ("run.json", "scores.parquet"):
                shutil.copy(cell.with_name(file), target / file)
    path = sorted((folder / "two").rglob("run.json"))[0]
    assert len(collect(folder).lines) > 4 and collect(folder).refused == []
    return folder, path, json.loads(path.read_text())


@given(data=st.data())
def test_any_value_of_a_record_may_be_anything(exports: tuple[Path, Path, dict], data: st.DataObject) -> None:
    folder, path, record = exports
    path.write_text(json.dumps(data.draw(changed(record))))
    board = one_line(lambda: collect(folder), "record on a board")
    if board is not None:
        assert isinstance(board, Board) and any(line.submission == "one" for line in board.lines)
        assert all("\n" not in one.reason for one in board.refused)
