"""JSON, TOML, records and weights of strangers: refused in a line, and in no time."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.checkpoint import DamagedCheckpointError, load_weights
from benchmark.untrusted import FormatFault, parse_toml

DEEP = [
    "a" + ".a" * 100_000 + " = 1",
    "[" + "a." * 100_000 + "a]",
    "x = {" + "a." * 100_000 + "b = 1}",
    '"a"' + '."a"' * 50_000 + " = 1",
    "a . " * 50_000 + "a = 1",
    "'' # '\nb" + ".c" * 90_000 + " = 1",
]


@pytest.mark.parametrize("text", DEEP, ids=range(len(DEEP)))
def test_dotted_keys_of_a_hundred_thousand_parts_are_refused_at_once(text: str) -> None:
    begun = time.process_time()
    with pytest.raises(FormatFault, match="nested too deep"):
        parse_toml(text)
    assert time.process_time() - begun < 2


def test_dots_in_texts_numbers_and_comments_are_no_depth() -> None:
    numbers = ", ".join(["0.5"] * 500)
    text = f'# {"." * 500}\na = [{numbers}]\nb = "{"." * 500}"\nc = """{"x." * 500}"""\nd.e.f = 1  # it\'s {"." * 300}'
    assert parse_toml(text)["d"] == {"e": {"f": 1}}


def test_numbers_beyond_64_bits_are_refused() -> None:
    with pytest.raises(FormatFault, match=r"a number of 4299 digits"):
        parse_toml(f"a.b = [1, {{c = {'9' * 4299}}}]")


@pytest.mark.parametrize(
    ("field", "value"),
    [("n", -5), ("n", 10**12), ("num_leaked", -1), ("scores", {"pranet": {"dice": 1e308}}), ("of", -2)],
)
def test_records_with_impossible_figures_are_refused(tmp_path: Path, field: str, value: object) -> None:
    study = Path(__file__).parents[2] / "results" / "reference" / "cpu-study" / "main" / "runs"
    record = json.loads(next(iter(sorted(study.rglob("run.json")))).read_text())
    next(iter(record["tests"].values()))[field] = value
    path = tmp_path / "run.json"
    path.write_text(json.dumps(record))
    with pytest.raises(BenchError, match=rf"not a readable record \(tests\..*{field}"):
        io.read_record(path)


@pytest.mark.parametrize("odd", [torch.eye(3).to_sparse(), torch.ones(3) * 1j], ids=["sparse", "complex"])
def test_weights_that_are_not_plain_tensors_are_refused(tmp_path: Path, odd: torch.Tensor) -> None:
    torch.save({"w": odd}, tmp_path / "best.pt")
    with pytest.raises(DamagedCheckpointError, match="w is sparse or complex"):
        load_weights(tmp_path / "best.pt", None)


@pytest.mark.parametrize("number", [2**64, -(2**64), 10**40])
def test_whole_numbers_beyond_64_bits_are_refused(number: int) -> None:
    assert parse_toml(f"a = {2**63 - 1}") == {"a": 2**63 - 1}
    with pytest.raises(FormatFault, match=f"a number of {len(str(abs(number)))} digits; expected at most 64 bits"):
        parse_toml(f"a = [{{b = {number}}}]")
