"""Operations without a deterministic implementation are named from torch's own warnings."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmark.cli.run import _say_nondeterministic
from benchmark.runtime.determinism import deterministic, in_words, naming, operation


class Put(torch.autograd.Function):
    """``put_`` has no deterministic implementation, on a CPU either: the one that torch warns of there."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0].clone().put_(torch.tensor([0]), torch.ones(1))


@pytest.fixture
def strict() -> Any:
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_what_torch_warns_of_is_named_once_and_not_shown(strict: None, way: str) -> None:
    with warnings.catch_warnings(record=True) as shown, naming() as names:
        for _ in range(2):
            if way == "forward":
                torch.zeros(4).put_(torch.tensor([0]), torch.ones(1))
            else:
                Put.apply(torch.zeros(4, requires_grad=True)).sum().backward()
        assert names == ["put_"] and not shown
        warnings.warn("another warning", stacklevel=1)
    assert [str(one.message) for one in shown] == ["another warning"]


def test_a_warning_seen_before_is_named_all_the_same(strict: None) -> None:
    for _ in range(2):  # by its own filters Python shows a text once per line of code
        with naming() as names:
            torch.zeros(4).put_(torch.tensor([0]), torch.ones(1))
        assert names == ["put_"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "upsample_bilinear2d_backward_out_cuda does not have a deterministic implementation, but you set "
            "'torch.use_deterministic_algorithms(True, warn_only=True)'. You can file an issue at ...",
            "upsample_bilinear2d_backward_out_cuda",
        ),
        ("Memory Efficient attention defaults to a non-deterministic algorithm. ...", "Memory Efficient attention"),
        (
            "Deterministic behavior was enabled with either `torch.use_deterministic_algorithms(True)` or `at::Context`"
            ", but this operation is not deterministic because it uses CuBLAS and you have CUDA >= 10.2.",
            "CuBLAS",
        ),
        ("lr_scheduler.step() before optimizer.step()", None),
    ],
)
def test_torchs_texts(text: str, name: str | None) -> None:
    assert operation(text) == name


def test_on_a_cpu_nothing_is_changed() -> None:
    with deterministic(True, torch.device("cpu")) as names:
        assert not torch.are_deterministic_algorithms_enabled()
        torch.zeros(4).put_(torch.tensor([0]), torch.ones(1))
    assert names == [] and in_words(names) == ""
    assert in_words(["b", "a", "b"]).endswith(": a, b")


def test_on_cuda_torch_is_held_to_it_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU is needed to see the switches, nor for an operation that warns on a CPU too."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "kept")
    with deterministic(True, torch.device("cuda")) as names:
        assert torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic
        torch.zeros(4).put_(torch.tensor([0]), torch.ones(1))
    assert names == ["put_"]
    assert not torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.deterministic
    with deterministic(False, torch.device("cuda")):
        assert not torch.are_deterministic_algorithms_enabled()


def test_the_names_of_all_records_end_a_run_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    found: list[dict[str, Any]] = [{}, {"nondeterministic": ["b"]}, {"nondeterministic": ["a", "b"]}]
    records: Any = [SimpleNamespace(environment=environment) for environment in found]
    _say_nondeterministic(records, False)
    _say_nondeterministic(records[:1], False)
    _say_nondeterministic(records, True)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("not deterministic on this device") and line.endswith(": a, b")
