"""A tracking database from a stranger is not opened where its runs claim folders outside the results."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmark.tracking.mirror import _stray_in


@pytest.mark.parametrize(
    ("place", "strays"),
    [
        ("file:///results/mlartifacts/1/abc/artifacts", False),
        ("mlflow-artifacts:/1/abc/artifacts", False),
        ("s3://bucket/abc", False),
        ("file:///etc", True),
        ("/home/somebody", True),
        ("file:///results/mlartifacts/../../etc", True),
    ],
)
def test_runs_that_lie_elsewhere_are_found(tmp_path: Path, place: str, strays: bool) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE runs (artifact_uri TEXT)")
        database.execute("INSERT INTO runs VALUES (?)", (place,))
        database.commit()
    assert (_stray_in(path, "file:///results/mlartifacts") is not None) == strays


def test_bytes_that_are_no_database_have_no_runs(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"no database at all" * 100)
    assert _stray_in(path, "file:///results/mlartifacts") is None
