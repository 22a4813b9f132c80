"""The README's first command, run once for every test that needs its six models."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

README = Path(__file__).parents[2] / "README.md"
SMALL = ("epochs=1", "image_size=32", "max_train_images=8", "max_val_images=2", "max_test_images=2")


def readme_command() -> list[str]:
    """The words of the `bench run ...` in the README's first code block."""
    block = re.search(r"```\n(.*?)\n```", README.read_text(encoding="utf-8"), re.S)
    assert block is not None
    lines = [shlex.split(line) for line in block[1].splitlines()]
    (command,) = [words for words in lines if words[0] == "bench"]
    return command


@pytest.fixture(scope="session")
def six_models(
    session_folder: Path,
    shared_cache: Path,
    run_bench: Callable[..., subprocess.CompletedProcess[str]],
) -> Path:
    """A folder with the results of the README's command; trained once, whichever worker of the tests comes first.

    The command runs as it stands with BENCH_TEST_FULL=1; otherwise with fewer and smaller images for one epoch. What it
    tracked is removed, so that `bench ui` has all of it to add.
    """
    folder = session_folder / "six-models"
    sizes = [] if os.environ.get("BENCH_TEST_FULL") else [word for size in SMALL for word in ("--set", size)]
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            folder.mkdir(exist_ok=True)
            kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "MLFLOW_TRACKING"))}
            command = [*readme_command()[1:], *sizes]
            done = run_bench(command, cwd=folder, env={**kept, "BENCH_CACHE_DIR": str(shared_cache)})
            assert done.returncode == 0, done.stderr[-2000:]
            tracked = list((folder / "results").glob("mlflow.db*"))
            assert tracked, "the README's command tracks what it trains"
            for path in tracked:
                path.unlink()
            (folder / "done").touch()
    return folder
