"""The processes that a forked `bench` starts (workers, ranks, jobs, parts of a study), forked as it was itself.

Each would import its libraries anew, eight seconds of processor time. So a call that may start some keeps a process
aside that has done nothing since the imports, the nursery. Where the call would start this interpreter, the nursery
forks twice and lets the one between end: the grandchild then belongs to the call, which waits for it, signals it and is
its parent as ever. ``BENCH_TEST_START=exec`` in a call's environment leaves it the real thing, and so does
``BENCH_TEST_EXEC=1`` for all calls.
"""

from __future__ import annotations

import _posixsubprocess
import array
import ctypes
import json
import os
import random
import re
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import psutil

_SUBREAPER, _NAME = 36, 15
"""Numbers of prctl: orphans below this process become its children; the name that a process shows."""
_POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_KINDS = {
    "benchmark.execution.worker": "worker",
    "benchmark": "part",
    "submitit.local._local": "job",
    "submitit.core._submit": "job",
}
"""Of a module that an interpreter is started with. A job is of submitit's local executor."""
_SPAWNED = re.compile(r"from multiprocessing\.spawn import spawn_main; spawn_main\((.*)\)")
_FIRST_FREE = 300
_KEPT, _FOLDER, _ENVIRONMENT, _SESSION = 3, 4, 5, 15
_INPUT, _OUTPUT, _ERRORS, _ERROR_PIPE = 6, 9, 11, slice(12, 14)
"""Places of what ``_posixsubprocess.fork_exec`` takes; the last is where a failed exec would be told."""

Body = Callable[[], Any]


def children(pid: int, kind: str) -> list[psutil.Process]:
    """The processes below one that are a "worker", "job", "spawned" by multiprocessing, or a "part" of a study."""
    words = {
        "worker": "benchmark.execution.worker",
        "spawned": "spawn_main",
        "part": "-m benchmark ",
        "job": "submitit",
    }
    found = psutil.Process(pid).children(recursive=True)
    return [one for one in found if one.name() == f"bench-{kind}" or words[kind] in " ".join(one.cmdline()) + " "]


def fork_what_it_starts(arguments: Sequence[str], end: Callable[[object], NoReturn]) -> None:
    """Let this process fork what it would start. To be called before it does anything; ``end`` ends a process."""
    wanted = os.environ.get("BENCH_TEST_START") != "exec" and _may_start_some(arguments)
    if not wanted or not sys.platform.startswith("linux"):
        return
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    if os.fork() == 0:
        ours.close()
        request = _nurse(theirs, parent)
        _become(request, end)
    theirs.close()
    _replace(_Nursery(ours))


def _may_start_some(arguments: Sequence[str]) -> bool:
    words = {word.partition("=")[0] for word in arguments}
    return bool(words & {"study", "tune", "profile", "ablate", "--workers", "--devices", "--executor"})


class _Nursery:
    """The process kept aside, as the call sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._lock = connection, threading.Lock()
        self._pools = {name: os.environ.get(name) for name in _POOLS}

    def fork(self, given: tuple[Any, ...]) -> int | None:
        """Start what ``_posixsubprocess.fork_exec`` is asked for; None: it is not for this process."""
        arguments = [os.fsdecode(word) for word in given[0]]
        cwd, environment = given[_FOLDER], given[_ENVIRONMENT]
        if arguments[0] != sys.executable or _kind(arguments) is None:
            return None
        env = dict(os.environ) if environment is None else _as_mapping(environment)
        if not self._serves(env):
            return None
        pairs = [(handle, handle) for handle in given[_KEPT] if handle not in given[_ERROR_PIPE]]
        standard = (given[place] for place in (_INPUT, _OUTPUT, _ERRORS))
        pairs += [(handle, number) for number, handle in enumerate(standard) if handle != -1]
        what = {"arguments": arguments, "cwd": None if cwd is None else os.fsdecode(cwd), "env": env}
        what |= {"targets": [number for _, number in pairs], "session": bool(given[_SESSION])}
        call = json.dumps(what).encode()
        with self._lock:
            _prctl(_SUBREAPER, 1)
            self._connection.sendall(len(call).to_bytes(8, "big") + call)
            socket.send_fds(self._connection, [b"f"], [handle for handle, _ in pairs])
            pid = int.from_bytes(receive(self._connection, 8), "big")
            _prctl(_SUBREAPER, 0)
        return pid

    def _serves(self, env: Mapping[str, str]) -> bool:
        """Whether libraries would be imported with the threads that they have here: one each, as the tests ask."""
        return all(env.get(name) in (value, "1") for name, value in self._pools.items())


def _replace(nursery: _Nursery) -> None:
    real = _posixsubprocess.fork_exec

    def fork_exec(*given: Any) -> int:
        pid = nursery.fork(given)
        return real(*given) if pid is None else pid

    _posixsubprocess.fork_exec = fork_exec
    subprocess._fork_exec = fork_exec  # type: ignore[attr-defined] # where Popen looks it up


def _nurse(connection: socket.socket, parent: int) -> dict[str, Any]:
    """Fork for every request; returns in each grandchild, with its request."""
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the call, whose end ends this process
        signal.signal(number, signal.SIG_IGN)
    _prctl(_NAME, b"bench-nursery")
    while True:
        try:
            request = json.loads(receive(connection, int.from_bytes(receive(connection, 8), "big")))
            handles = receive_handles(connection, len(request["targets"]))
        except ConnectionError:
            os._exit(0)
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            grandchild = os.fork()
            if grandchild:
                os.write(writing, grandchild.to_bytes(8, "big"))
                os._exit(0)
            for handle in (reading, writing, connection.detach()):
                os.close(handle)
            while os.getppid() != parent:
                if not psutil.pid_exists(parent):
                    os._exit(1)
                time.sleep(0.001)
            _take(handles, request["targets"])
            return request
        os.waitpid(between, 0)
        pid = os.read(reading, 8)
        for handle in (*handles, reading, writing):
            os.close(handle)
        connection.sendall(pid)


def _take(handles: Sequence[int], targets: Sequence[int]) -> None:
    """Give the handles the numbers that they have in the call."""
    aside = [os.dup2(handle, _FIRST_FREE + place) for place, handle in enumerate(handles)]
    for handle in handles:
        os.close(handle)
    for handle, target in zip(aside, targets, strict=True):
        os.dup2(handle, target)
        os.close(handle)


def _become(request: dict[str, Any], end: Callable[[object], NoReturn]) -> NoReturn:
    """Do what the interpreter would have been started for."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if request["session"]:
        os.setsid()
    if request["cwd"]:
        os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    random.seed()
    tempfile.tempdir = None
    kind = _kind(request["arguments"])
    assert kind is not None
    _prctl(_NAME, f"bench-{kind}".encode())
    try:
        _body(kind, request["arguments"], end)()
    except SystemExit as stop:
        end(stop.code)
    except KeyboardInterrupt:
        raise
    except BaseException:
        traceback.print_exc()
        end(1)
    end(0)


def _kind(arguments: Sequence[str]) -> str | None:
    """What an interpreter is started for."""
    if "-m" in arguments:
        return _KINDS.get(arguments[arguments.index("-m") + 1])
    return "spawned" if any(map(_SPAWNED.fullmatch, arguments)) else None


def _body(kind: str, arguments: Sequence[str], end: Callable[[object], NoReturn]) -> Body:
    if kind != "spawned":
        module, *rest = arguments[arguments.index("-m") + 1 :]
        fork_what_it_starts(rest if kind == "part" else ["--devices"], end)  # a cell may ask for several
        if kind == "part":
            from benchmark.cli import main as bench

            sys.argv = ["bench", *rest]
            return bench
        sys.argv = [module, *rest]
        return lambda: runpy.run_module(module, run_name="__main__", alter_sys=True)
    from multiprocessing.spawn import spawn_main

    sys.argv = ["-c", "--multiprocessing-fork"]
    found = next(filter(None, map(_SPAWNED.fullmatch, arguments)))
    numbers = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", found[1])}
    return lambda: spawn_main(**numbers)


def receive(connection: socket.socket, size: int) -> bytes:
    """Read so many bytes.

    Raises:
        ConnectionError: The other side has gone.
    """
    content = b""
    while len(content) < size:
        part = connection.recv(size - len(content))
        if not part:
            raise ConnectionError("the other side has gone")
        content += part
    return content


def receive_handles(connection: socket.socket, count: int) -> list[int]:
    """Read open files that ``socket.send_fds`` sends with one byte."""
    _, extra, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(count * array.array("i").itemsize))
    handles = array.array("i")
    for _, _, content in extra:
        handles.frombytes(content[: len(content) - len(content) % handles.itemsize])
    return list(handles)


def _as_mapping(environment: Sequence[bytes]) -> dict[str, str]:
    parts = (entry.partition(b"=") for entry in environment)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in parts}


def _prctl(what: int, value: int | bytes) -> None:
    ctypes.CDLL(None).prctl(what, value, 0, 0, 0)
