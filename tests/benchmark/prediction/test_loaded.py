"""A loaded model's flips: each mirror image is predicted, and its map turned back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmark.prediction.loaded import LoadedModel


@pytest.fixture
def model() -> LoadedModel:
    """A network whose map is the red channel: it sees every picture as it is, so all maps agree once turned back."""
    red: Any = SimpleNamespace(maps=lambda images: [image[:, :, 0].copy() for image in images], title="red")
    return LoadedModel(red)


def test_maps_of_mirror_images_are_turned_back(model: LoadedModel) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    made = model.predict(picture, flips=True)
    assert np.array_equal(made.prob, picture[:, :, 0]) and len(made.flipped) == 3
    assert all(np.array_equal(one, made.prob) for one in made.flipped)
    assert model.predict(picture).flipped == ()


def test_the_network_sees_three_mirror_images(model: LoadedModel) -> None:
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    seen: list[np.ndarray] = []
    model.network.maps = lambda images: seen.extend(images) or [one[:, :, 0] for one in images]  # type: ignore[method-assign, func-returns-value]
    model.predict(picture, flips=True)
    wanted = [picture, picture[:, ::-1], picture[::-1], picture[::-1, ::-1]]
    assert all(np.array_equal(one, other) for one, other in zip(seen, wanted, strict=True))
