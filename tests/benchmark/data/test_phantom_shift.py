"""The phantom domains differ as hospitals do: what is fitted on one fits the others less well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmark.data.listing.datasets import list_dataset
from benchmark.data.phantom.domains import DOMAINS
from benchmark.data.pixels.cache import open_cache

Part = tuple[np.ndarray, np.ndarray]  # features (N, S, S, F), masks (N, S, S)


def _features(image: np.ndarray) -> np.ndarray:
    """Colour here, colour around, and the squares of the first, (S, S, 12)."""
    channels = list(np.moveaxis(image.astype(np.float32) / 255, 2, 0))
    around = [gaussian_filter(channel, sigma) for channel in channels for sigma in (3, 8)]
    return np.stack([*channels, *around, *(channel**2 for channel in channels)], axis=-1)


@pytest.fixture(scope="module")
def parts(shared_cache: Path) -> dict[str, tuple[Part, Part]]:
    """Every second sequence of each domain to fit on, the others to score on."""
    found = {}
    for name in DOMAINS:
        items = list_dataset(name, cache_dir=shared_cache)
        cached = open_cache(items, size=64, cache_dir=shared_cache)
        held = np.isin([item.group for item in items], sorted({item.group for item in items})[1::2])
        features, masks = np.stack([_features(image) for image in cached.images]), cached.masks > 127
        found[name] = ((features[~held], masks[~held]), (features[held], masks[held]))
    return found


def _dice(found: np.ndarray, masks: np.ndarray) -> float:
    both = 2 * (found & masks).sum((1, 2))
    return float((both / (found.sum((1, 2)) + masks.sum((1, 2)))).mean())


class _Linear:
    """A linear classifier of pixels with the threshold of best Dice."""

    def __init__(self, features: np.ndarray, masks: np.ndarray) -> None:
        flat = features.reshape(-1, features.shape[-1])
        self.mean, self.std = flat.mean(0), flat.std(0)
        design = self._design(features)
        penalty = 1e-3 * len(flat) * np.eye(design.shape[1])
        self.weights = np.linalg.solve(design.T @ design + penalty, design.T @ masks.ravel().astype(np.float32))
        scores = self._scores(features)
        self.cut = max(np.quantile(scores, np.linspace(0.5, 0.99, 40)), key=lambda cut: _dice(scores > cut, masks))

    def _design(self, features: np.ndarray) -> np.ndarray:
        flat = (features.reshape(-1, features.shape[-1]) - self.mean) / self.std
        return np.concatenate([flat, np.ones((len(flat), 1), flat.dtype)], axis=1)

    def _scores(self, features: np.ndarray) -> np.ndarray:
        return (self._design(features) @ self.weights).reshape(features.shape[:-1])

    def dice(self, part: Part) -> float:
        return _dice(self._scores(part[0]) > self.cut, part[1])


@pytest.mark.parametrize("name", [name for name in DOMAINS if name != "phantom-etis"])
def test_what_fits_one_domain_fits_the_others_less(name: str, parts: dict[str, tuple[Part, Part]]) -> None:
    model = _Linear(*parts[name][0])
    scores = {other: model.dice(held) for other, (_, held) in parts.items()}
    assert scores[name] > 0.6
    assert all(scores[name] - score > 0.1 for other, score in scores.items() if other != name), scores


def test_etis_is_hardest_for_what_was_fitted_on_the_other_three(parts: dict[str, tuple[Part, Part]]) -> None:
    trained = [fit for name, (fit, _) in parts.items() if name != "phantom-etis"]
    model = _Linear(np.concatenate([part[0] for part in trained]), np.concatenate([part[1] for part in trained]))
    scores = {name: model.dice(held) for name, (_, held) in parts.items()}
    assert min(scores, key=lambda one: scores[one]) == "phantom-etis"
