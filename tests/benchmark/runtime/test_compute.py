"""What a recipe leaves to the device is settled per device; hashes and records from before stay what they were."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.recipes.read import parse_overrides, validate_recipe
from benchmark.runtime.compute import Compute, resolve, set_kernels
from benchmark.runtime.determinism import deterministic
from benchmark.store.schema import Record

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def recipe_of(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe of a record that is read."""
    split = {"name": "", "seed": 0, "num_train": 0, "num_val": 0, "fingerprint_train": "", "fingerprint_val": ""}
    names = dict.fromkeys(("cell", "model", "model_title", "recipe_name", "recipe_hash", "created"), "x")
    rest = {"schema": 1, "seed": 0, "status": "ok", "split": split, "recipe": recipe}
    return Record.model_validate({**names, **rest}).recipe


def test_auto_is_plain_on_a_cpu() -> None:
    assert resolve(Recipe(), CPU) == Compute("32-true", channels_last=False, compile=False)


def test_on_cuda_channels_last_is_the_default_and_what_is_asked_for_stands() -> None:
    kernels = {"tf32": False, "cudnn_benchmark": True, "fused_optimizer": True}
    assert resolve(Recipe(precision="16-mixed"), CUDA) == Compute("16-mixed", True, False, **kernels)
    asked = Recipe(precision="32-true", channels_last=False, compile=True)
    assert resolve(asked, CPU) == Compute("32-true", channels_last=False, compile=True)
    assert resolve(asked, CUDA) == Compute("32-true", False, True, **kernels)


def test_kernels_are_named_choices_that_stand_in_the_record(cuda_switches: None) -> None:
    named = Recipe(precision="32-true", tf32=True, cudnn_benchmark=False, compile="cuda-graphs")
    compute = resolve(named, CUDA)
    assert compute.facts()["tf32"] is True and compute.facts()["cudnn_benchmark"] is False
    assert compute.in_words() == "32-true, channels last, TF32, CUDA graphs"
    assert "tf32" not in resolve(named, CPU).facts()
    for recipe in (named, Recipe(precision="32-true")):
        set_kernels(resolve(recipe, CUDA))
        tf32 = recipe.tf32 is True
        assert torch.backends.cudnn.allow_tf32 is tf32 and torch.backends.cuda.matmul.allow_tf32 is tf32
        assert torch.backends.cudnn.benchmark is not tf32


def test_deterministic_kernels_are_not_chosen_by_time_and_keep_tf32_off(cuda_switches: None) -> None:
    set_kernels(resolve(Recipe(precision="32-true"), CUDA))
    with deterministic(True, CUDA):
        assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cudnn.benchmark
        assert resolve(Recipe(precision="32-true"), CUDA).cudnn_benchmark is False


@pytest.fixture
def cuda_switches() -> Any:
    cudnn, precision = torch.backends.cudnn, torch.get_float32_matmul_precision()
    before = cudnn.benchmark, cudnn.allow_tf32
    yield
    cudnn.benchmark, cudnn.allow_tf32 = before
    torch.set_float32_matmul_precision(precision)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_is_half_precision_on_cuda() -> None:
    bf16 = torch.cuda.get_device_capability() >= (8, 0)
    assert resolve(Recipe(), CUDA).precision == ("bf16-mixed" if bf16 else "16-mixed")


def test_the_words_of_a_plan() -> None:
    assert Compute("bf16-mixed", channels_last=True, compile=True).in_words() == "bf16-mixed, channels last, compiled"


def test_hashes_are_those_from_before_these_fields() -> None:
    assert Recipe().hash == "dc1b0818"


def test_each_of_these_fields_counts_where_it_is_set() -> None:
    asked = [
        {"precision": "32-true"},  # on CUDA not what auto gives, so another cell
        {"precision": "bf16-mixed"},
        {"channels_last": False},
        {"channels_last": True},
        {"compile": True},
        {"compile": "cuda-graphs"},
        {"tf32": True},
        {"cudnn_benchmark": False},
        {"micro_batch": 4},
    ]
    hashes = {Recipe(**fields).hash for fields in asked} | {Recipe().hash}  # type: ignore[arg-type]
    assert len(hashes) == len(asked) + 1


def test_the_command_line_takes_them_and_refuses_others() -> None:
    fields = parse_overrides(["precision=auto", "channels_last=true", "compile=auto", "micro_batch=2"])
    recipe = validate_recipe(fields, where="--set")
    assert (recipe.channels_last, recipe.compile, recipe.micro_batch) == (True, "auto", 2)
    for pair in ("compile=sometimes", "precision=8-bit", "micro_batch=0", "channels_last=maybe"):
        with pytest.raises(BenchError) as caught:
            validate_recipe(parse_overrides([pair]), where="--set")
        assert pair.partition("=")[0] in str(caught.value) and "\n" not in str(caught.value)


def test_an_older_record_names_todays_default_and_keeps_its_hash() -> None:
    later = ("compile", "micro_batch", "tf32", "cudnn_benchmark")
    old = {k: v for k, v in Recipe().model_dump(mode="json").items() if k not in later}
    old |= {"precision": "32-true", "channels_last": False}
    assert recipe_of(old) == Recipe().model_dump(mode="json")
    assert recipe_of({**old, "precision": "16-mixed"})["precision"] == "16-mixed"
    new = Recipe(precision="32-true").model_dump(mode="json")
    assert recipe_of(new) == new
