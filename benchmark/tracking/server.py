"""MLflow's server as a child process: started on a free port, monitored, and stopped with all its children."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from benchmark.errors import BenchError
from benchmark.store.layout import ResultsLayout
from benchmark.tracking.connect import place_of

DEFAULT_PORT = 5000
START_S = 90.0
"""Seconds until the server must answer: importing MLflow on a busy machine takes long."""
_STOP_S = 5.0


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: Address of its page.
        process: The child; it leads a process group of its own.
    """

    url: str
    process: subprocess.Popen[bytes]


def choose_port(host: str, wanted: int | None) -> int:
    """Return the requested port, the default one, or a free one if the default is in use.

    Raises:
        BenchError: The host is not one of this machine, or the requested port is in use.
    """
    if wanted is not None:
        reason = _why_not(host, wanted)
        if reason:
            raise BenchError(f"--port {wanted} on {host}: {reason}; omit --port to use a free one")
        return wanted
    if _why_not(host, DEFAULT_PORT) is None:
        return DEFAULT_PORT
    try:
        with _bound(host, 0) as free:
            return int(free.getsockname()[1])
    except OSError as error:
        raise BenchError(f"--host {host}: {error.strerror or error}; 127.0.0.1 is this machine only") from None


def _why_not(host: str, port: int) -> str | None:
    try:
        _bound(host, port).close()
    except (OSError, OverflowError) as error:
        return str(getattr(error, "strerror", None) or error).lower()
    return None


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


@contextmanager
def serving(layout: ResultsLayout, *, host: str, port: int | None) -> Iterator[Server]:
    """Run MLflow's server on the mirror of a results folder; stop it and its children at the end.

    Raises:
        BenchError: No such host or port, or the server ended before it answered; its last line is quoted.
    """
    port = choose_port(host, port)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else shown}:{port}"  # nosec B104 # compared, not bound
    with tempfile.TemporaryFile() as log:
        process = _start(layout, host, port, log.fileno())
        try:
            _wait_until_up(process, url, log)
            yield Server(url, process)
        finally:
            stop(process)


def _start(layout: ResultsLayout, host: str, port: int, log: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--artifacts-destination", str(layout.mlflow_artifacts.resolve())]
    plain = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    backend = {"MLFLOW_BACKEND_STORE_URI": place_of(layout).uri}  # not an argument: it may hold a password
    return subprocess.Popen(  # nosec B603 # no shell; this interpreter, arguments made above
        command,
        env={**settings, **plain, **backend},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,  # a separate process group, so that all of it can be stopped, and only by us
    )


def _wait_until_up(process: subprocess.Popen[bytes], url: str, log: IO[bytes]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, urllib.error.URLError):
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach this machine
            with opener.open(f"{url}/health", timeout=2):
                return
        time.sleep(0.2)
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    raise BenchError(f"MLflow's server did not start on {url}: {lines[-1].strip() if lines else 'no output'}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the whole process group: SIGTERM first, then SIGKILL."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        _signal(process, sign)
        end = time.monotonic() + _STOP_S
        while time.monotonic() < end:
            process.poll()
            if not is_alive(process):
                return
            time.sleep(0.05)


def _signal(process: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, sign)


def is_alive(process: subprocess.Popen[bytes]) -> bool:
    """Return whether any process of the group is left, grandchildren included."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the page."""
    return host in ("localhost", "::1") or host.startswith("127.")
