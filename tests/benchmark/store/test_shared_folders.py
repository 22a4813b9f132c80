"""Files and locks for a group: the umask and the folder say who may write, and a full disk is told as what it is."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.errors import BenchError
from benchmark.prediction.maps import save_map
from benchmark.store import io
from benchmark.store.checkpoint import save_state, save_weights
from benchmark.store.locks import Lock


@pytest.fixture
def group_umask() -> Iterator[None]:
    before = os.umask(0o002)
    yield
    os.umask(before)


@pytest.mark.usefixtures("group_umask")
def test_what_is_written_in_a_groups_folder_is_the_groups(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2775)
    with Lock(shared / "locks" / "unet").attempt() as held:
        assert held
        save_weights(shared / "best.pt", {"w": torch.zeros(3)})
        io.write_text(shared / "cell" / "run.json", "{}")
        save_map(shared / "maps" / "1.png", np.zeros((4, 4), np.uint8))
    for path in shared.rglob("*"):
        wanted = 0o2775 if path.is_dir() else 0o664
        assert path.stat().st_mode & 0o7777 == wanted, f"{path}: {path.stat().st_mode & 0o7777:o}"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


BIG = {"w": torch.zeros(400_000)}
WRITERS: dict[str, Callable[[Path], object]] = {
    "best.pt": lambda path: save_weights(path, BIG),
    "last.pt": lambda path: save_state(path, BIG, owner="cell"),
    "run.json": lambda path: io.write_json(path, "x" * 400_000),
    "table.tex": lambda path: io.write_text(path, "x" * 400_000),
    "map.png": lambda path: save_map(path, np.random.default_rng(0).integers(0, 256, (700, 700), np.uint8)),
}


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_full_disk_is_told_as_one_whoever_writes(small_disk: Path, name: str) -> None:
    with pytest.raises(BenchError, match=r"no space left for .*: free some space") as told:
        WRITERS[name](small_disk / name)
    cause = told.value.__cause__
    assert isinstance(cause, OSError) and cause.errno == errno.ENOSPC, "the runner stops the study by this"
    assert not list(small_disk.iterdir()), "nothing half-written stays"
