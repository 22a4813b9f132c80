"""What every test shares: no network, one thread, and nothing written outside the test's own folder."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

NO_HUB = Path(tempfile.gettempdir()) / "bench-tests-without-a-hub"
os.environ.update(HF_HOME=str(NO_HUB))  # weights that somebody has downloaded change no test
os.environ.update(HF_HUB_OFFLINE="1", OMP_WAIT_POLICY="PASSIVE", OMP_NUM_THREADS="1", MLFLOW_DISABLE_TELEMETRY="true")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out further variants of what other tests prove, unless BENCH_TEST_FULL=1 asks for them."""
    if os.environ.get("BENCH_TEST_FULL"):
        return
    left_out = [item for item in items if item.get_closest_marker("exhaustive")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]


def pytest_collection_finish() -> None:
    """Leave what the imports made out of garbage collections, some of which the code under test asks for."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with the real images; tests that need it are skipped by name where it is not set."""
    root = os.environ.get("BENCH_DATA_ROOT")
    if not root:
        pytest.skip("BENCH_DATA_ROOT is not set: no real images")
    return Path(root)


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run of the tests, the same for all of its workers."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def shared_cache(session_folder: Path) -> Path:
    """One cache of pixels, with phantom in it, for the tests of a session, in whichever of its processes they run."""
    from benchmark.data.phantom.dataset import materialise_phantom

    folder = session_folder / "cache"
    with FileLock(f"{folder}.lock"):
        materialise_phantom(folder)
    return folder
