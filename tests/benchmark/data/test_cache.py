"""The pixel cache: right pixels, built once, whole or absent, whoever else builds it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.files.generated import STALE_S, build_folder, default_cache_dir
from benchmark.data.files.hashing import content_hash, file_hash, pixel_hash
from benchmark.data.listing.datasets import list_dataset
from benchmark.data.listing.items import Item
from benchmark.data.pixels.cache import fingerprint, load_pair, open_cache
from benchmark.errors import BenchError


@pytest.fixture
def items(tmp_path: Path, make_pairs: Callable[..., None]) -> list[Item]:
    make_pairs(tmp_path / "mine/images", tmp_path / "mine/masks", [f"{n}" for n in range(20)])
    return list_dataset("mine", tmp_path)


def leftovers(cache_dir: Path) -> list[str]:
    return sorted(path.name for path in (cache_dir / "pixels").iterdir()) if (cache_dir / "pixels").exists() else []


def test_pixels_in_order(items: list[Item], tmp_path: Path) -> None:
    cache = open_cache(items[::-1], size=8, cache_dir=tmp_path)
    assert (cache.images.shape, cache.masks.shape, cache.images.dtype) == ((20, 8, 8, 3), (20, 8, 8), np.uint8)
    assert len(cache) == 20
    for row, item in enumerate(items[::-1]):
        expected = Image.open(item.image_path).resize((8, 8), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(cache.images[row], np.asarray(expected))
    assert set(np.unique(cache.masks)) == {0, 255}


def test_second_opening_decodes_nothing(items: list[Item], tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    first = open_cache(items, size=8, cache_dir=tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(n, 20) for n in range(1, 21)]
    assert not first.reused
    again = open_cache(items, size=8, cache_dir=tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert again.reused
    assert len(calls) == 20
    np.testing.assert_array_equal(first.images, again.images)
    with pytest.raises(ValueError, match="read-only"):
        again.images[0, 0, 0, 0] = 1


def test_key_follows_content_and_parameters(items: list[Item], tmp_path: Path) -> None:
    def folder(**changes: object) -> Path:
        options = {"size": 8, "cache_dir": tmp_path, **changes}
        return open_cache(items, **options).folder  # type: ignore[arg-type]

    base = folder()
    others = [folder(size=9), folder(mask_mode="soft"), folder(mask_mode="nearest"), folder(resize="linear")]
    assert len({base, *others}) == 5
    renamed = [replace(item, id=f"x{item.id}") for item in items]
    assert open_cache(renamed, size=8, cache_dir=tmp_path).folder == base
    Image.fromarray(np.full((12, 16, 3), 9, np.uint8)).save(items[4].image_path)
    assert folder() != base
    assert open_cache(items, size=8, cache_dir=tmp_path).images[4].max() == 9


def test_mask_modes(tmp_path: Path) -> None:
    grey = np.zeros((8, 8), np.uint8)
    grey[:, :3] = 255
    grey[:, 3] = 100  # background at its own size, grey when soft or nearest
    (tmp_path / "mine/images").mkdir(parents=True)
    (tmp_path / "mine/masks").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "mine/images/1.png")
    Image.fromarray(grey).save(tmp_path / "mine/masks/1.png")
    items = list_dataset("mine", tmp_path)
    rows = {
        mode: open_cache(items, size=8, mask_mode=mode, cache_dir=tmp_path).masks[0, 0].tolist()  # type: ignore[arg-type]
        for mode in ("binary", "soft", "nearest")
    }
    assert rows == {
        "binary": [255, 255, 255, 0, 0, 0, 0, 0],
        "soft": [255, 255, 255, 100, 0, 0, 0, 0],
        "nearest": [255, 255, 255, 100, 0, 0, 0, 0],
    }


def test_damaged_cache_is_built_anew(items: list[Item], tmp_path: Path) -> None:
    cache = open_cache(items, size=8, cache_dir=tmp_path)
    good = np.array(cache.images)
    for name in ("images.npy", "masks.npy"):
        path = cache.folder / name
        path.write_bytes(path.read_bytes()[:300])
        rebuilt = open_cache(items, size=8, cache_dir=tmp_path)
        assert not rebuilt.reused
        np.testing.assert_array_equal(rebuilt.images, good)


def test_interruption_leaves_nothing(items: list[Item], tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_cache(items, size=8, cache_dir=tmp_path, progress=stop)
    assert leftovers(tmp_path) == []


def test_faulty_file_is_named_and_leaves_nothing(items: list[Item], tmp_path: Path) -> None:
    path = items[13].image_path
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(BenchError, match=r"cannot read image .*13\.png"):
        open_cache(items, size=8, cache_dir=tmp_path)
    assert leftovers(tmp_path) == []


def test_mask_of_another_size_is_refused(items: list[Item], tmp_path: Path) -> None:
    Image.fromarray(np.zeros((16, 12), np.uint8)).save(items[2].mask_path)
    with pytest.raises(BenchError, match=r"2\.png is 12x16 and its image .*2\.png 16x12: expected equal sizes"):
        open_cache(items, size=8, cache_dir=tmp_path)
    with pytest.raises(BenchError, match="expected equal sizes"):
        load_pair(items[2])


def test_no_space_is_refused_beforehand(items: list[Item], tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no space left; free some space there or set BENCH_CACHE_DIR"):
        open_cache(items, size=10**8, cache_dir=tmp_path)
    assert leftovers(tmp_path) == []


_SCRIPT = """
import sys
from pathlib import Path
from benchmark.data.pixels.cache import open_cache
from benchmark.data.listing.datasets import list_dataset
from benchmark.errors import BenchError
root, limit = Path(sys.argv[1]), int(sys.argv[2])
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    cache = open_cache(list_dataset("mine", root), size=64, cache_dir=root / "cache")
except BenchError as error:
    sys.exit(str(error))
print(int(cache.images.sum()), cache.reused)
"""


def start(root: Path, limit: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _SCRIPT, str(root), str(limit)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are POSIX")
def test_disk_that_fills_up_while_writing(items: list[Item], tmp_path: Path) -> None:
    process = start(tmp_path, limit=100_000)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no space left" in error
    assert len(error.strip().splitlines()) == 1
    assert leftovers(tmp_path / "cache") == []


def test_two_processes_at_once(items: list[Item], tmp_path: Path) -> None:
    both = [start(tmp_path) for _ in range(2)]
    sums = [process.communicate(timeout=60)[0].split()[0] for process in both]
    assert sums[0] == sums[1]
    assert len(leftovers(tmp_path / "cache")) == 1


def test_the_slower_builder_yields(tmp_path: Path) -> None:
    final = tmp_path / "thing"

    def slow(folder: Path) -> None:
        (folder / "slow").touch()
        build_folder(final, lambda other: (other / "fast").touch())

    build_folder(final, slow)
    assert [path.name for path in final.iterdir()] == ["fast"]
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_folders_of_killed_builders_go(tmp_path: Path) -> None:
    old, young = tmp_path / ".building-x-0000000a", tmp_path / ".building-x-0000000b"
    for folder in (old, young):
        folder.mkdir()
    past = old.stat().st_mtime - 2 * STALE_S
    os.utime(old, (past, past))
    build_folder(tmp_path / "new", lambda folder: None)
    assert (old.exists(), young.exists()) == (False, True)


def test_cache_folder_that_is_a_file(items: list[Item], tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(BenchError, match=r"cannot write .*set BENCH_CACHE_DIR"):
        open_cache(items, size=8, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 0}, "image size 0"),
        ({"size": 8, "mask_mode": "hard"}, "mask mode 'hard': expected one of binary, soft, soft_linear, nearest"),
        ({"size": 8, "resize": "cubic"}, "resize 'cubic': expected one of antialias, linear"),
    ],
)
def test_wrong_parameters(items: list[Item], tmp_path: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(BenchError, match=words):
        open_cache(items, cache_dir=tmp_path, **options)  # type: ignore[arg-type]
    with pytest.raises(BenchError, match="no images to cache"):
        open_cache([], size=8, cache_dir=tmp_path)


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert default_cache_dir() == tmp_path / "user-cache"
    monkeypatch.delenv("BENCH_CACHE_DIR")
    assert default_cache_dir().name == "polyp-bench"


def test_hashes_name_content(items: list[Item], tmp_path: Path) -> None:
    one, two = items[0], items[1]
    assert content_hash(one) != content_hash(two)
    assert content_hash(one) == content_hash(replace(one, id="other"))
    assert content_hash(one) != content_hash(replace(one, mask_path=one.image_path))
    assert fingerprint(items) == fingerprint(items[::-1])
    assert fingerprint(items) != fingerprint(items[1:])
    copy = tmp_path / "copy.tif"
    Image.open(one.image_path).save(copy)
    assert file_hash(copy) != file_hash(one.image_path)
    assert pixel_hash(copy) == pixel_hash(one.image_path)
    assert pixel_hash(copy) != pixel_hash(two.image_path)
    for function in (file_hash, pixel_hash):
        with pytest.raises(BenchError, match=r"cannot read .*absent\.png"):
            function(tmp_path / "absent.png")


def test_equal_bytes_of_another_shape_differ(tmp_path: Path) -> None:
    for name, shape in (("a", (4, 6, 3)), ("b", (6, 4, 3))):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / f"{name}.png")
    assert pixel_hash(tmp_path / "a.png") != pixel_hash(tmp_path / "b.png")
