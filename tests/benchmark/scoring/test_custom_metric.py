"""Your own metric from a file: what is wrong with it is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.errors import BenchError
from benchmark.scoring.custom_metric import load_metric


@pytest.mark.parametrize(
    ("text", "content", "says"),
    [
        ("metric.txt:error", "", "expected FILE.py:function, for example"),
        ("metric.py", "", "expected FILE.py:function, for example"),
        ("metric.py:error", None, r"metric file .*metric\.py: not found; expected FILE\.py:function"),
        ("metric.py:error", "1 / 0", "ZeroDivisionError: division by zero"),
        ("metric.py:error", "error = 3", "error"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "metric.py").write_text(content)
    with pytest.raises(BenchError, match=says):
        load_metric(str(tmp_path / text))


def test_a_function_of_a_file_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "metric.py").write_text("def error(probability, truth):\n    return 0.25\n")
    assert load_metric(f"{tmp_path}/metric.py:error") is not None
