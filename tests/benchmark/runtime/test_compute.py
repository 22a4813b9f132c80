"""What a recipe leaves to the device is settled per device; hashes and records from before stay what they were."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmark.config import Recipe, parse_overrides, validate_recipe
from benchmark.errors import BenchError
from benchmark.runtime.compute import Compute, resolve
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
    assert resolve(Recipe(precision="16-mixed"), CUDA) == Compute("16-mixed", channels_last=True, compile=False)
    asked = Recipe(precision="32-true", channels_last=False, compile=True)
    assert resolve(asked, CUDA) == resolve(asked, CPU) == Compute("32-true", channels_last=False, compile=True)


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
    old = {k: v for k, v in Recipe().model_dump(mode="json").items() if k not in ("compile", "micro_batch")}
    old |= {"precision": "32-true", "channels_last": False}
    assert recipe_of(old) == Recipe().model_dump(mode="json")
    assert recipe_of({**old, "precision": "16-mixed"})["precision"] == "16-mixed"
    new = Recipe(precision="32-true").model_dump(mode="json")
    assert recipe_of(new) == new
