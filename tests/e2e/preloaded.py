"""The command `bench` in a fresh process that need not import its libraries first.

Importing torch, Lightning, pandas and MLflow takes several seconds, and the end-to-end tests call `bench` many hundred
times. One process imports them once and forks for every call; the child runs the entry point that the installed script
runs, in the folder, with the environment, arguments and output files of the call, and ends as any process does. What
the import itself decides (environment variables that libraries read, start-up time, signals while starting) is tested
by real calls of the script: `BENCH_TEST_EXEC=1` makes all calls such.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

import psutil
from filelock import FileLock
from forked_children import fork_what_it_starts, receive, receive_handles

_FREE = ("BENCH_", "COLUMNS", "LINES", "MLFLOW_TRACKING", "SEEN", "SLOW", "TMPDIR", "HF_TOKEN", "ZENODO_TOKEN")
"""Environment variables that are read while a command runs, never when a library is imported."""


class Preloaded:
    """A process that has everything imported, and forks for every call; one for all workers of the tests."""

    def __init__(self, folder: Path) -> None:
        """Join the process whose socket is in a folder, or start it. It ends when the tests do."""
        self._address = str(folder / "socket")
        self._environment = {key: value for key, value in os.environ.items() if not _is_free(key)}
        tests = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
        started = folder / "started"
        with FileLock(folder / "lock"):
            if not started.exists():
                command = [sys.executable, __file__, self._address, str(tests)]
                with (folder / "log").open("w") as log:
                    process = subprocess.Popen(
                        command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                    )
                started.write_text(str(process.pid))
        self._process = psutil.Process(int(started.read_text()))

    def serves(self, environment: Mapping[str, str]) -> bool:
        """Whether a call asks for nothing that an import reads otherwise than it was.

        Libraries set variables of their own in the tests' process, torch for one; what a call has from there it does
        not ask for. Else every call after the first such test would import all libraries again.
        """
        mine, its = self._environment, environment
        others = [key for key in mine.keys() | its.keys() if mine.get(key) != its.get(key) and not _is_free(key)]
        return all(its.get(key) == os.environ.get(key) for key in others)

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        timeout: float = 900,
        script: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Call `bench` and wait for its end, as ``subprocess.run`` does."""
        with tempfile.TemporaryFile("w+b") as out, tempfile.TemporaryFile("w+b") as err:
            with self.start(arguments, cwd=cwd, env=env, stdout=out, stderr=err, script=script) as process:
                try:
                    code = process.wait(timeout)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
            out.seek(0)
            err.seek(0)
            texts = (stream.read().decode("utf-8", "backslashreplace") for stream in (out, err))
            return subprocess.CompletedProcess(["bench", *arguments], code, *texts)

    def start(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: IO[Any],
        stderr: IO[Any],
        start_new_session: bool = False,
        script: Path | None = None,
    ) -> Forked:
        """Call `bench` and leave it running, as ``subprocess.Popen`` does; its output goes to files, not to pipes.

        With ``script`` that file is run instead of `bench`.
        """
        server = self._connect()
        what = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env), "session": start_new_session}
        what["script"] = str(script) if script else None
        call = json.dumps(what).encode()
        server.sendall(len(call).to_bytes(8, "big"))
        socket.send_fds(server, [b"f"], [stdout.fileno(), stderr.fileno()])
        server.sendall(call)
        return Forked(["bench", *arguments], int.from_bytes(receive(server, 8), "big"), server)

    def _connect(self) -> socket.socket:
        end = time.monotonic() + 300
        while True:
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._address)
                return server
            except OSError:
                server.close()
                if not self._lives() or time.monotonic() > end:
                    log = Path(self._address).with_name("log").read_text()
                    raise RuntimeError(f"the preloaded process does not answer; it said:\n{log}") from None
                time.sleep(0.1)

    def _lives(self) -> bool:
        return self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE


class Forked:
    """A running call; the part of ``subprocess.Popen`` that tests use."""

    def __init__(self, args: list[str], pid: int, server: socket.socket) -> None:
        self.args, self.pid = args, pid
        self.returncode: int | None = None
        self._server = server

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; returns the exit code, negative for a signal."""
        if self.returncode is None:
            self._server.settimeout(timeout)
            try:
                self.returncode = os.waitstatus_to_exitcode(int.from_bytes(receive(self._server, 8), "big"))
            except TimeoutError:
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._server.close()
        return self.returncode

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        ended = self.returncode is not None or select.select([self._server], [], [], 0)[0]
        return self.wait() if ended else None

    def send_signal(self, number: int) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()


def _is_free(name: str) -> bool:
    return name.startswith(_FREE) or name.startswith("PYTEST_")


def _import_everything() -> None:
    """Load what commands load, the compiled passes over pixels among it."""
    import importlib
    import pkgutil

    import benchmark

    for module in pkgutil.walk_packages(benchmark.__path__, "benchmark."):
        if not module.name.endswith(("__main__", "cli.reference", "ray_cluster", "slurm")):
            importlib.import_module(module.name)
    for name in ("bsanet.model", "baselines.unet", "baselines.unetplusplus", "baselines.pranet", "baselines.weights"):
        importlib.import_module(name)
    from benchmark.cli.tree import command_tree

    command_tree()
    for name in (
        "mlflow",
        "optuna",
        "pandas",
        "pyarrow.parquet",
        "matplotlib.figure",
        "jinja2",
        "scipy.stats",
        "numba",
    ):
        importlib.import_module(name)


def _serve(address: str, tests: int) -> dict[str, Any]:
    """Fork for every call until the tests' process has gone; returns in each child, with its call."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    waiting: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([listener], [], [], 0.005 if waiting else 0.5)
        if ready:
            connection, _ = listener.accept()
            try:
                call, handles = _read_call(connection)
            except (ConnectionError, ValueError):
                connection.close()
                continue
            pid = os.fork()
            if pid == 0:
                listener.close()
                for other in (connection, *waiting.values()):
                    other.close()
                for handle, target in zip(handles, (1, 2), strict=True):
                    os.dup2(handle, target)
                    os.close(handle)
                return call
            for handle in handles:
                os.close(handle)
            waiting[pid] = connection
            with contextlib.suppress(OSError):
                connection.sendall(pid.to_bytes(8, "big"))
        for pid, status in _ended(waiting):
            with contextlib.suppress(OSError), waiting.pop(pid) as connection:
                connection.sendall(status.to_bytes(8, "big"))
        if not psutil.pid_exists(tests):
            sys.exit()


def _read_call(connection: socket.socket) -> tuple[dict, list[int]]:
    size = int.from_bytes(receive(connection, 8), "big")
    handles = receive_handles(connection, 2)
    return json.loads(receive(connection, size)), handles


def _ended(waiting: Mapping[int, socket.socket]) -> Iterator[tuple[int, int]]:
    for child in list(waiting):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            yield pid, status


def _end(code: object) -> NoReturn:
    """End as the interpreter does, but leave the memory to the system: to free module by module would copy it first."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined] # waits for threads that are no daemons
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    _import_everything()
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, every object
    call = _serve(sys.argv[1], int(sys.argv[2]))
    if call["session"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(call["env"])
    os.chdir(call["cwd"])
    random.seed()
    tempfile.tempdir = None  # it is read from TMPDIR once
    os.fsync = lambda handle: None  # a killed process loses nothing of what it wrote; a power cut is not tested
    sys.argv = [call["script"] or "bench", *call["arguments"]]
    if sys.path and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
        del sys.path[0]  # the installed script sees neither the tests nor the current folder
    del __file__  # multiprocessing would run it again in the processes that it starts
    fork_what_it_starts(["--devices"] if call["script"] else call["arguments"], _end)
    from benchmark.cli import main

    try:
        if call["script"]:
            runpy.run_path(call["script"], run_name="__main__")
        else:
            main()
    except SystemExit as end:
        _end(end.code)
    except KeyboardInterrupt:
        raise
    except BaseException:
        traceback.print_exc()
        _end(1)
    _end(0)
