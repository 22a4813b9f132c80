"""Reports take a network from a file by the name that `bench run --models` takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.models.sources import file_spec
from benchmark.report.records.names import recorded_model
from benchmark.report.tables.request import model_names


@pytest.mark.parametrize("given", ["./my_net.py:build", "my_net.py", "nets/../my_net.py:other"])
def test_it_is_the_name_that_training_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    (tmp_path / "my_net.py").write_text("")
    (tmp_path / "nets").mkdir()
    monkeypatch.chdir(tmp_path)
    assert recorded_model(given) == file_spec(given).name
    assert model_names(["unet", given]) == ["unet", file_spec(given).name]


@pytest.mark.parametrize("name", ["unet", "unet:classic", "smp:unet:resnet34", "file:my_net:build", "my-net"])
def test_other_names_stay(name: str) -> None:
    assert recorded_model(name) == name
