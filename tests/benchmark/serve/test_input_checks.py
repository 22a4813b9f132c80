"""What a picture is warned of: each rule fires on a picture spoiled for it, and on no sound one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmark.data.phantom.domains import DOMAINS
from benchmark.data.phantom.draw import draw_sequence
from benchmark.prediction.sources import read_upright
from benchmark.serve.input_checks import check_picture

Pixels = np.ndarray


@pytest.fixture(scope="module")
def sound() -> Pixels:
    return next(iter(draw_sequence(DOMAINS["phantom-kvasir"], "sound", 1)))[0]


def whitened(image: Pixels) -> Pixels:
    image = image.copy()
    image[: image.shape[0] // 5] = 255
    return image


SPOILED: dict[str, tuple[Callable[[Pixels], Pixels], str]] = {
    "small": (lambda image: image[:100, :100], "too small: 100 x 100 px"),
    "grey": (lambda image: np.repeat(image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2), "grey"),
    "blurred": (lambda image: gaussian_filter(image, (4, 4, 0)), "blurred or flat"),
    "white": (whitened, "over-exposed: 20%"),
    "green": (lambda image: np.ascontiguousarray(image[..., [1, 0, 2]]), "not like an endoscopy image"),
}


def test_a_sound_picture_is_not_warned_of(sound: Pixels) -> None:
    assert check_picture(sound) == []


@pytest.mark.parametrize("name", list(SPOILED))
def test_each_rule_fires(name: str, sound: Pixels) -> None:
    spoil, said = SPOILED[name]
    assert any(warning.startswith(said) for warning in check_picture(spoil(sound)))


@pytest.mark.real_data
def test_real_images_are_not_warned_of(data_root: Path) -> None:
    files = sorted((data_root / "Kvasir-SEG" / "images").iterdir())[::50]
    assert len(files) >= 10
    warned = {path.name: found for path in files if (found := check_picture(read_upright(path)))}
    assert warned == {}
