"""`bench ui` in a real browser, and `bench track --register`: on a study of all six models, tiny and synthetic."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from browser import Visitor
from harness import Process, StartBench, until

NAMES = ("U-Net", "Unet++", "PraNet", "SANet", "LDNet", "BSANet")

pytestmark = pytest.mark.slow
RunBench = Callable[..., "subprocess.CompletedProcess[str]"]
StartUi = Callable[..., "tuple[str, Process]"]


@pytest.fixture
def start_ui(
    six_models: Path, environment: dict[str, str], start_bench: StartBench, tmp_path: Path
) -> Iterator[StartUi]:
    """Start `bench ui` and wait for the address that it prints; MLflow holds nothing of the cells before."""
    started = []

    def start(*arguments: str) -> tuple[str, Process]:
        printed = tmp_path / "stdout"
        with printed.open("w") as out, (tmp_path / "stderr").open("w") as log:
            command = ["ui", "--no-open", *arguments]
            process = start_bench(command, cwd=six_models, env=environment, stdout=out, stderr=log)
        started.append(process)
        until(lambda: "\n" in printed.read_text() or process.poll() is not None)
        url = printed.read_text().strip()
        assert re.match(r"http://127\.0\.0\.1:\d+/#/", url), (tmp_path / "stderr").read_text()
        return url, process

    yield start
    for process in started:
        process.terminate()
        process.wait(30)


def test_six_models_are_compared_in_the_browser(start_ui: StartUi, visit: Visitor, tmp_path: Path) -> None:
    url, process = start_ui()
    seen = visit(url, width=1600)
    page = seen.page
    page.set_default_timeout(180_000)
    for name in NAMES:
        page.get_by_role("link", name=re.compile(rf"^{re.escape(name)}, smoke")).wait_for()
    assert page.get_by_test_id("sort-header-mDSC/ph-Colon").count() == 1, "columns are preset"
    assert page.get_by_text("bench run").count() == 0, "cells only, no commands"

    page.get_by_role("checkbox", name="Select all runs").click()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 6 Runs from 1 Experiment").wait_for()
    plot = page.locator(".js-plotly-plot")
    plot.get_by_text("mDSC/ph-Kvasir").first.wait_for()
    plot.get_by_text("model", exact=True).first.wait_for()
    for name in NAMES:
        page.get_by_role("cell", name=re.compile(rf"^{re.escape(name)}, smoke")).or_(
            page.get_by_text(f"{name}, smoke, seed 0")
        ).first.wait_for()
    keep = Path(os.environ.get("BENCH_SCREENSHOTS", tmp_path))
    keep.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=keep / "mlflow-compare.png", full_page=True)
    assert (keep / "mlflow-compare.png").stat().st_size > 20_000

    family = [*psutil.Process(process.pid).children(recursive=True)]
    assert family, "the server is a child"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert "Traceback" not in (tmp_path / "stderr").read_text()


def test_a_registered_checkpoint_comes_back_with_equal_outputs(
    six_models: Path, run_bench: RunBench, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run_bench(["track", "--register", "polyp-bsanet", "--run", "bsanet"], cwd=six_models, env=environment)
    assert done.returncode == 0 and "registered models:/polyp-bsanet/1" in done.stdout, done.stderr
    import mlflow
    import torch

    from benchmark.store import io
    from benchmark.store.layout import ResultsLayout
    from benchmark.tracking.models import load_network

    results = six_models / "results"
    mlflow.set_tracking_uri(f"sqlite:///{results}/mlflow.db")
    loaded = mlflow.pytorch.load_model("models:/polyp-bsanet/1")
    (record,) = [one for one in io.read_records(results) if one.model == "bsanet"]
    network = load_network(ResultsLayout(results), record)
    images = torch.randn(3, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = network(images)[0], loaded(images)
    assert found.shape == (3, 1, 96, 96) and torch.equal(found, expected)
    signature = mlflow.models.get_model_info("models:/polyp-bsanet/1").signature
    assert signature.inputs.inputs[0].shape == (-1, 3, -1, -1)
    assert signature.outputs.inputs[0].shape == (-1, 1, -1, -1)


def test_a_run_that_does_not_exist_is_one_line(
    six_models: Path, run_bench: RunBench, environment: dict[str, str]
) -> None:
    done = run_bench(["track", "--register", "polyp", "--run", "une"], cwd=six_models, env=environment)
    assert done.returncode == 2 and re.search(r"--run une: matches \d+ cells: unet/.*name one", done.stderr)
