"""The server's child process: its port, its start and its end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time

import pytest

from benchmark.errors import BenchError
from benchmark.tracking import server
from benchmark.tracking.page import stoppable
from benchmark.tracking.view import compare_url, study_url


def test_a_free_port_is_taken_where_the_default_one_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        taken = busy.getsockname()[1]
        monkeypatch.setattr(server, "DEFAULT_PORT", taken)
        port = server.choose_port("127.0.0.1", None)
        assert port not in (0, taken)
        with pytest.raises(BenchError, match=rf"--port {taken} on 127\.0\.0\.1: address already in use"):
            server.choose_port("127.0.0.1", taken)
    assert server.choose_port("127.0.0.1", None) == taken


def test_a_host_that_is_not_this_machine_is_refused() -> None:
    with pytest.raises(BenchError, match=r"--host 192\.0\.2\.1"):
        server.choose_port("192.0.2.1", None)


def test_stopping_ends_grandchildren_that_ignore_the_polite_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_STOP_S", 0.5)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {deaf!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == b"up\n"
    server.stop(process)
    end = time.monotonic() + 5
    while server.is_alive(process) and time.monotonic() < end:
        time.sleep(0.05)
    assert not server.is_alive(process)
    process.stdout.close()


@pytest.mark.parametrize(("host", "only_here"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])
def test_what_is_loopback(host: str, only_here: bool) -> None:
    assert server.is_loopback(host) is only_here


def test_addresses_of_the_page() -> None:
    assert study_url("http://h:1/", "7") == (
        "http://h:1/#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey=bench"
    )
    url = compare_url("http://h:1", "7", ["a", "b"])
    assert url.startswith("http://h:1/#/compare-runs?runs=%5B%22a%22%2C+%22b%22%5D&experiments=%5B%227%22%5D")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_end_the_page_with_success_and_give_the_handlers_back(sign: signal.Signals) -> None:
    before = signal.getsignal(sign)
    with pytest.raises(SystemExit) as ended, stoppable():
        signal.raise_signal(sign)
        time.sleep(1)
    assert ended.value.code == 0 and signal.getsignal(sign) is before
