"""Small image trees in every layout, written by PIL and tifffile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.listing.published import published_ids


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads the developer's data root or writes the developer's cache unless it asks to."""
    monkeypatch.delenv("BENCH_DATA_ROOT", raising=False)
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "user-cache"))


def write_image(path: Path, seed: int = 0, height: int = 12, width: int = 16) -> None:
    """Write a small random picture; its seed makes it unlike the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_mask(path: Path, height: int = 12, width: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, width), np.uint8)
    pixels[3:8, 4:11] = 255
    Image.fromarray(pixels).save(path)


@pytest.fixture
def make_pairs() -> Callable[..., None]:
    """Return a function that writes images and masks of the given ids into two folders."""

    def make(images: Path, masks: Path, ids: Iterable[str], image: str = "{}.png", mask: str = "{}.png") -> None:
        for number, name in enumerate(ids):
            write_image(images / image.format(name), seed=hash_seed(name, number))
            write_mask(masks / mask.format(name))

    return make


def hash_seed(name: str, number: int) -> int:
    return sum(ord(letter) * 31**place for place, letter in enumerate(name)) % 2**32 + number


@pytest.fixture(scope="session")
def bundle_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PraNet's bundles, whole: every published id, each image the same small picture (hard links)."""
    root = tmp_path_factory.mktemp("bundle")
    image, mask = root / "image.png", root / "mask.png"
    write_image(image)
    write_mask(mask)
    train = [*published_ids("kvasir", "train"), *published_ids("clinicdb", "train")]
    tests = {
        "Kvasir": published_ids("kvasir", "test"),
        "CVC-ClinicDB": published_ids("clinicdb", "test"),
        "CVC-300": published_ids("cvc300", "test"),
        "CVC-ColonDB": [str(n) for n in range(1, 381)],
        "ETIS-LaribPolypDB": [str(n) for n in range(1, 197)],
    }
    _link_all(root / "TrainDataset", train, image, mask)
    for name, ids in tests.items():
        _link_all(root / "TestDataset" / name, ids, image, mask)
    return root


def _link_all(folder: Path, ids: Iterable[str], image: Path, mask: Path) -> None:
    for inside, source in (("images", image), ("masks", mask)):
        (folder / inside).mkdir(parents=True)
        for name in ids:
            os.link(source, folder / inside / f"{name}.png")
