"""A study on a real Ray cluster of three nodes, one of which dies, ends with the same bytes as in one process."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness import Bench, outcome, until
from spread_study import STUDY, Start, finished

pytest.importorskip("ray")

SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
PATIENCE = {  # of Ray with processes of its own, where other tests hold the cores
    "RAY_raylet_start_wait_time_s": "600",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_health_check_failure_threshold": "20",
    "RAY_gcs_server_request_timeout_seconds": "300",
    "RAY_worker_register_timeout_seconds": "600",
}
ON_RAY = ("--executor", "ray", "--executor-option")


@pytest.fixture(scope="module")
def cluster(shared_cache: Path) -> Iterator[Any]:
    """Three nodes of one CPU each, as processes of this machine."""
    os.environ.update(PATIENCE)
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={**SMALL, "include_dashboard": False})
    try:
        made.nodes = [made.add_node(**SMALL) for _ in range(2)]
        yield made
    finally:
        made.shutdown()


@pytest.mark.slow
def test_a_cell_whose_node_died_goes_on_elsewhere(
    cluster: Any, alone: tuple[dict[str, str], str], start: Start, tmp_path: Path
) -> None:
    log, results = tmp_path / "log", tmp_path / "spread"
    process = start(log, "--results", "spread", *ON_RAY, f"address={cluster.address}")
    until(lambda: len(set(re.findall(r"  (\S+)  epoch 3/12", log.read_text()))) == 3, seconds=600)
    victim = cluster.nodes[0]
    raylet = next(info.process.pid for info in victim.all_processes["raylet"])
    work = [child.pid for child in psutil.Process(raylet).children(recursive=True)]
    held = [json.loads(path.read_text()) for path in results.glob("locks/*/[1-9]*")]
    assert sum(facts.get("pid") in work for facts in held) == 1, "each node has one cell in hand"
    os.kill(raylet, signal.SIGKILL)
    (tmp_path / "slow").unlink()
    assert process.wait(timeout=900) == 0, log.read_text()[-3000:]
    text = log.read_text()
    assert len(re.findall(r"another worker continues from its last checkpoint", text)) == 1
    assert sorted(finished(text)) == sorted(set(finished(text))) and len(finished(text)) == 3, "each cell ends once"
    assert outcome(results) == alone[0]
    assert [line for line in text.splitlines() if line.startswith("|")] == [
        line for line in alone[1].splitlines() if line.startswith("|")
    ]


@pytest.mark.slow
def test_ctrl_c_lets_the_tasks_save_and_leaves_the_cluster(
    cluster: Any, alone: tuple[dict[str, str], str], bench: Bench, start: Start, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    arguments = ("--seeds", "0", "--results", "spread", "--workers", "1", *ON_RAY, f"address={cluster.address}")
    process = start(log, *arguments, "--checkpoint-every", "1000")
    until(lambda: "epoch 2/12" in log.read_text(), seconds=600)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130, log.read_text()[-3000:]
    assert "Traceback" not in log.read_text()
    records = [json.loads(path.read_text()) for path in (tmp_path / "spread" / "runs").rglob("run.json")]
    assert [record["status"] for record in records] == ["interrupted"]
    assert len(list((tmp_path / "spread").rglob("last.pt"))) == 1, "it saved where it stood"
    (tmp_path / "slow").unlink()
    bench(*STUDY, *arguments[:4])  # on this machine: the other test goes on in the cluster
    assert list(outcome(tmp_path / "spread").items()) == list(alone[0].items())[:1]


def test_without_a_cluster_it_is_one_line(tiny: Bench) -> None:
    done = tiny("--quiet", *ON_RAY, "address=127.0.0.1:1", code=2)
    assert done.stderr.strip().splitlines()[-1].startswith("error: --executor ray: no cluster at 127.0.0.1:1 (")
    assert "start one with 'ray start --head'" in done.stderr and "Traceback" not in done.stderr
