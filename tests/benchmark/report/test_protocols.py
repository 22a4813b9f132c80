"""Which scores a protocol's name or file stands for, and what to do where there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from made_results import changed

from benchmark.errors import BenchError
from benchmark.metrics import load_protocol
from benchmark.report.records.protocols import resolve_protocol


def held(make_record: Callable, **protocols: str) -> list:
    record = make_record()
    return [changed(record, protocols={"pranet": "aa11bb22", **protocols})]


def test_a_name_stands_for_itself(make_record: Callable) -> None:
    assert resolve_protocol(held(make_record), "pranet") == "pranet"


def test_a_file_is_found_by_its_hash_whatever_its_name(make_record: Callable, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\nthresholds = [0.7]\n')
    digest = load_protocol(file).hash
    assert resolve_protocol(held(make_record, mine=digest), str(file)) == "mine"
    assert resolve_protocol(held(make_record, other=digest), str(file)) == "other"
    assert resolve_protocol(held(make_record, a=digest, mine=digest), str(file)) == "mine"


def test_what_was_not_scored_is_answered_with_the_next_step(make_record: Callable, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\nthresholds = [0.7]\n')
    with pytest.raises(BenchError, match=r"mine \(.*was not scored here.*--protocol .*mine\.toml scores it"):
        resolve_protocol(held(make_record), str(file))
    with pytest.raises(BenchError, match="in another version only"):
        resolve_protocol(held(make_record, mine="00000000"), str(file))
    with pytest.raises(BenchError, match=r"engine 'reference' cannot follow it.*--engine fast"):
        resolve_protocol(held(make_record), "ldnet")
    with pytest.raises(BenchError, match="did you mean 'pranet'"):
        resolve_protocol(held(make_record), "pranett")
    with pytest.raises(BenchError, match="cannot be read as TOML"):
        resolve_protocol(held(make_record), str(tmp_path / "none.toml"))
    with pytest.raises(BenchError, match="holds no record"):
        resolve_protocol([], "pranet")
