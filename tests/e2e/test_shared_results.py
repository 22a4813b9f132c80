"""A results folder that others use too: what they lock up or own costs one cell, told in a line, never the run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import TINY, Bench, bench_executable

ASKED = (
    *("run", "--models", "./tiny_net.py:build", "--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY),
    *("--set", "epochs=1", "--no-track", "--no-time-first", "--seeds", "0,1,2", "--results", "shared"),
)


@pytest.fixture
def cells(bench: Bench, tmp_path: Path) -> list[str]:
    """Plan the study in an empty results folder and return its cells."""
    bench(*ASKED, "--seeds", "0")
    shared = tmp_path / "shared"
    first = str(next((shared / "runs").rglob("run.json")).parent.relative_to(shared / "runs"))
    shutil.rmtree(shared)
    return [first.removesuffix("0") + seed for seed in "012"]


def lock_of(cell: str) -> Path:
    return Path("shared/locks") / cell.replace("/", "__")


def told(stderr: str, cell: str) -> str:
    """What the run says of a cell at its end, in one line."""
    (line,) = (line for line in stderr.splitlines() if line.startswith(f"failed: {cell}: "))
    return line


def finished(shared: Path) -> list[str]:
    return sorted(str(path.parent.relative_to(shared / "runs")) for path in (shared / "runs").rglob("best.pt"))


@pytest.mark.parametrize("workers", [(), ("--workers", "2", "--if-exists", "overwrite")])
def test_a_lock_that_cannot_be_made_costs_its_cell_alone(
    bench: Bench, tmp_path: Path, cells: list[str], workers: tuple[str, ...]
) -> None:
    lock = tmp_path / lock_of(cells[0])
    lock.parent.mkdir(parents=True)
    lock.write_text("a file, no folder")
    done = bench(*ASKED, *workers, code=1)
    assert f"cannot write {lock_of(cells[0])}" in told(done.stderr, cells[0]) and "Traceback" not in done.stderr
    assert finished(tmp_path / "shared") == cells[1:], "the others are trained"


def test_finished_cells_need_no_lock(bench: Bench, tmp_path: Path) -> None:
    bench(*ASKED, "--seeds", "0")
    shutil.rmtree(tmp_path / "shared" / "locks")
    (tmp_path / "shared" / "locks").write_text("a file, no folder")
    done = bench(*ASKED, "--seeds", "0,1", code=1)
    assert done.stderr.count("  kept: ") == 1 and done.stderr.count("failed: ") >= 1


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A folder mounted read-only."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    if subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode:
        pytest.skip("mounting a folder needs root")
    subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_cell_on_a_read_only_disk_does_not_stop_the_others(
    bench: Bench, tmp_path: Path, cells: list[str], mounted: Path
) -> None:
    folder = tmp_path / "shared" / "runs" / cells[1]
    folder.parent.mkdir(parents=True)
    folder.symlink_to(mounted)
    done = bench(*ASKED, code=1)
    assert "cannot write" in told(done.stderr, cells[1]) and "read-only" in told(done.stderr, cells[1])
    assert finished(tmp_path / "shared") == [cells[0], cells[2]]


def test_cells_and_locks_of_another_user_are_left_to_them(
    tmp_path: Path, cells: list[str], environment: dict[str, str]
) -> None:
    setpriv = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]  # root then obeys permissions
    if os.geteuid() or subprocess.run([*setpriv, "true"], capture_output=True).returncode:
        pytest.skip("giving folders to another user needs root, giving up its rights setpriv")
    for folder, mode in ((tmp_path / "shared" / "runs" / cells[0], 0o755), (tmp_path / lock_of(cells[1]), 0o700)):
        folder.mkdir(parents=True)
        (folder / "theirs").touch()
        folder.chmod(mode)
        os.chown(folder, 12345, 12345)
    done = subprocess.run(
        [*setpriv, bench_executable(), *ASKED], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr[-3000:]
    assert "permission denied" in told(done.stderr, cells[0]) and "permission denied" in told(done.stderr, cells[1])
    assert finished(tmp_path / "shared") == cells[2:]
    assert (tmp_path / "shared" / "runs" / cells[0] / "theirs").exists()
