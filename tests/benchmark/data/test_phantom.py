"""Phantom: deterministic, written whole, in sequences, with domains that differ measurably."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.files.hashing import pixel_hash
from benchmark.data.listing.datasets import DATASETS, list_dataset
from benchmark.data.phantom.dataset import VERSION, materialise_phantom
from benchmark.data.phantom.domains import DOMAINS, sequence_lengths
from benchmark.data.phantom.draw import draw_sequence, generator
from benchmark.data.pixels.cache import load_pair, open_cache
from benchmark.errors import BenchError


def test_counts_sizes_and_titles(shared_cache: Path) -> None:
    for name, domain in DOMAINS.items():
        items = list_dataset(name, cache_dir=shared_cache)
        assert len(items) == domain.num_images == DATASETS[name].expected
        assert DATASETS[name].synthetic
        assert "(synthetic)" in DATASETS[name].title
        image, mask = load_pair(items[0])
        assert image.shape == (domain.height, domain.width, 3)
        assert set(np.unique(mask)) == {0, 255}


def test_no_mask_is_empty_and_polyps_are_of_all_sizes(shared_cache: Path) -> None:
    for name in DOMAINS:
        masks = open_cache(list_dataset(name, cache_dir=shared_cache), size=96, cache_dir=shared_cache).masks
        shares = (masks > 0).mean(axis=(1, 2))
        assert 0 < shares.min() < 0.08
        assert 0.08 < shares.max() < 0.6


def test_drawn_once_and_version_in_the_name(shared_cache: Path) -> None:
    root = materialise_phantom(shared_cache)
    stamp = root.stat().st_mtime_ns
    assert materialise_phantom(shared_cache) == root
    assert root.stat().st_mtime_ns == stamp
    assert root.name == f"phantom-v{VERSION}"
    assert not list(shared_cache.glob(f".building-{root.name}-*"))


def test_equal_names_give_equal_pixels(shared_cache: Path) -> None:
    domain = DOMAINS["phantom-colondb"]
    items = list_dataset("phantom-colondb", cache_dir=shared_cache)
    again = list(draw_sequence(domain, "phantom-colondb/s02", 2))
    second = [item for item in items if item.group.endswith("-s02")]
    for item, (image, mask) in zip(second, again, strict=False):
        stored, stored_mask = load_pair(item)
        np.testing.assert_array_equal(stored, image)
        np.testing.assert_array_equal(stored_mask, mask)
    other = next(draw_sequence(domain, "phantom-colondb/s03", 1))
    assert (other[0] != again[0][0]).mean() > 0.5
    assert generator("a").integers(2**62) == generator("a").integers(2**62) != generator("b").integers(2**62)


def test_the_number_of_threads_changes_no_pixel(tmp_path: Path) -> None:
    """BLAS adds in another order with more threads, and a sum's last bit can be a pixel's. Two sequences per domain."""
    code = "import sys; from dataclasses import replace; from pathlib import Path; "
    code += "import benchmark.data.phantom.dataset as phantom; "
    code += "phantom.DOMAINS = {name: replace(d, num_images=10) for name, d in phantom.DOMAINS.items()}; "
    code += "phantom.materialise_phantom(Path(sys.argv[1]))"
    drawn = []
    for threads in ("1", "4"):
        pools = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        subprocess.run([sys.executable, "-c", code, str(tmp_path / threads)], check=True, env={**os.environ, **pools})
        files = sorted((tmp_path / threads).rglob("*.png"))
        drawn.append({str(path.relative_to(tmp_path / threads)): path.read_bytes() for path in files})
    assert len(drawn[0]) == 2 * 10 * len(DOMAINS)
    assert [name for name in drawn[0] for other in drawn[1:] if other[name] != drawn[0][name]] == []


def test_sequences_show_the_same_polyp_moved(shared_cache: Path) -> None:
    assert sequence_lengths(20) == [5, 4, 6, 5]
    items = list_dataset("phantom-endoscene", cache_dir=shared_cache)
    groups = {item.group for item in items}
    assert len(groups) == len(sequence_lengths(len(items)))
    masks = open_cache(items, size=48, cache_dir=shared_cache).masks > 0

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        return float((a & b).sum() / (a | b).sum())

    within = [overlap(masks[i], masks[i + 1]) for i in range(79) if items[i].group == items[i + 1].group]
    across = [overlap(masks[i], masks[i + 1]) for i in range(79) if items[i].group != items[i + 1].group]
    assert np.mean(within) > 2 * np.mean(across)
    assert len({pixel_hash(item.image_path) for item in items}) == len(items)


def test_domains_differ_measurably(shared_cache: Path) -> None:
    """Mean colour and polyp size set the domains apart, phantom-etis by the smallest polyps."""
    colours, shares = {}, {}
    for name in DOMAINS:
        cache = open_cache(list_dataset(name, cache_dir=shared_cache), size=96, cache_dir=shared_cache)
        colours[name] = cache.images[:, 16:80, 16:80].mean(axis=(0, 1, 2))
        shares[name] = float((cache.masks > 0).mean())
    names = list(DOMAINS)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            assert np.abs(colours[first] - colours[second]).max() > 3, (first, second)
    assert min(shares, key=lambda name: shares[name]) == "phantom-etis"


def test_polyp_can_be_seen(shared_cache: Path) -> None:
    """Red over green is, on the whole, another inside the mask than in the tissue around it."""
    for name in DOMAINS:
        cache = open_cache(list_dataset(name, cache_dir=shared_cache), size=96, cache_dir=shared_cache)
        images, masks = cache.images.astype(float), cache.masks > 0
        lit = images[..., 0] > 40
        inside = np.array([image[mask & light].mean(0) for image, mask, light in zip(images, masks, lit, strict=True)])
        outside = np.array(
            [image[~mask & light].mean(0) for image, mask, light in zip(images, masks, lit, strict=True)]
        )
        assert np.abs(inside - outside).max(axis=1).mean() > 8, name


def test_unwritable_cache_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match=r"cannot write .*phantom"):
        materialise_phantom(tmp_path / "file")


def test_a_lost_file_is_found(shared_cache: Path, tmp_path: Path) -> None:
    shutil.copytree(materialise_phantom(shared_cache), tmp_path / f"phantom-v{VERSION}")
    victim = tmp_path / f"phantom-v{VERSION}" / "phantom-etis" / "masks" / "s01-f2.png"
    victim.unlink()
    with pytest.raises(BenchError, match=r"image without mask .*s01-f2\.png"):
        list_dataset("phantom-etis", cache_dir=tmp_path)
