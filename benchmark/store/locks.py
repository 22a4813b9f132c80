"""Locks for several processes on one results folder: one per cell, with a heartbeat, on any file system.

A lock is a folder of numbered files. The process that creates file N + 1 (only one can) holds the lock from then on.
It may do so when file N is released, or when its holder is dead. File N is removed only when N + 1 is held; so one that
creates N + 1 and still finds N is the first to have that number; one that does not find it was late and withdraws. A
holder is dead when its process is gone (same machine) or when its heartbeat, the file's time stamp, has not moved for
``SILENCE_S`` by the observer's own steady clock (other machines): no two clocks are compared, and a clock that jumps
does no harm. A holder that slept that long and wakes writes the same bytes as its successor, whole files at a
time.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.store.io import explain_os_errors
from benchmark.untrusted import read_json

HEARTBEAT_S = 5.0
SILENCE_S = 60.0
_MAX_BYTES = 1 << 16
_MAX_PID = 1 << 22  # no system assigns a larger one
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass
class Lock:
    """One cell's lock, as seen by this process.

    Attributes:
        folder: Folder of its files.
        silence_s: Seconds without a heartbeat after which a holder on another machine counts as dead.
    """

    folder: Path
    silence_s: float = SILENCE_S
    _seen: tuple[int, int] | None = field(default=None, init=False)
    _since: float = field(default=0.0, init=False)

    @contextmanager
    def attempt(self) -> Iterator[bool]:
        """Hold the lock for the block, or yield False at once when somebody else holds it.

        Raises:
            BenchError: Its folder cannot be made, entered or written.
        """
        number = self._take()
        if number is None:
            yield False
            return
        done = threading.Event()
        path = self._file(number)
        beat = threading.Thread(target=_beat, args=(path, done), daemon=True)
        beat.start()
        try:
            yield True
        finally:
            done.set()
            beat.join()
            _replace(path, {**identity(), "released": True})

    def holder(self) -> str:
        """Describe the holder for a message."""
        newest = self._newest()
        facts = _read(self._file(newest)) if newest is not None else None
        return f"process {facts.get('pid', '?')} on {facts.get('host', '?')}" if facts else "another process"

    def is_held(self) -> bool:
        """Whether somebody holds it now, without taking it; a holder on another machine counts as alive.

        False where its folder cannot be read: the attempt to take it then says why.
        """
        with contextlib.suppress(OSError):
            newest = self._newest()
            return newest is not None and not self._is_free(newest)
        return False

    def _take(self) -> int | None:
        with explain_os_errors(self.folder):
            self._make_folder()
            newest = self._newest()
            if newest is None or not self._is_free(newest):
                return None
            mine = self._file(newest + 1)
            try:
                with mine.open("x", encoding="utf-8") as file:
                    json.dump(identity(), file)
            except FileExistsError:
                return None
            before = self._file(newest)
            if not before.exists():  # another process had this number and released it meanwhile
                mine.unlink(missing_ok=True)
                return None
            before.unlink(missing_ok=True)  # only now: its presence proved that nobody had this process's number before
            return newest + 1

    def _make_folder(self) -> None:
        """Create file 0, released; folder and file appear at once."""
        if self.folder.is_dir():
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.folder.with_name(f".{self.folder.name[:200]}-{secrets.token_hex(6)}")
        fresh.mkdir()  # by the umask, and in the parent's group where that is set to be inherited
        (fresh / "0").write_text(json.dumps({"released": True}), encoding="utf-8")
        try:
            fresh.rename(self.folder)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
            if not self.folder.is_dir():  # otherwise another process was first
                raise

    def _is_free(self, number: int) -> bool:
        path = self._file(number)
        try:
            stamp = path.stat().st_mtime_ns
        except FileNotFoundError:
            return False  # another process took the next number meanwhile
        facts = _read(path)
        if facts is not None and facts.get("released"):
            return True
        if facts is not None and facts.get("where") == where():
            return not is_alive(facts)
        now = time.monotonic()
        if self._seen != (number, stamp):
            self._seen, self._since = (number, stamp), now
        return now - self._since > self.silence_s

    def _newest(self) -> int | None:
        try:
            return max((int(path.name) for path in self.folder.iterdir() if _NUMBER.fullmatch(path.name)), default=None)
        except FileNotFoundError:
            return None

    def _file(self, number: int) -> Path:
        return self.folder / str(number)


def _beat(path: Path, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT_S):
        try:
            os.utime(path)
        except OSError:  # the folder is unreachable for a while; the next beat may succeed
            continue


def _replace(path: Path, facts: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if not path.exists():  # another process took over meanwhile; nothing to release
            return
        temporary.write_text(json.dumps(facts), encoding="utf-8")
        temporary.replace(path)
    except OSError:  # a full disk must not hide how the cell ended; others notice that this process is gone
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    """Return the holder's facts; None if the file is gone or not written yet."""
    try:
        facts = read_json(path, max_bytes=_MAX_BYTES)
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def identity() -> dict[str, Any]:
    """Describe this process for a lease that others read: host, where, pid, started."""
    return {"host": socket.gethostname(), "where": where(), "pid": os.getpid(), "started": _started(os.getpid())}


@cache
def where() -> str:
    """Return the name of the scope in which a pid is unique: host, boot and pid namespace."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def is_alive(facts: dict[str, Any]) -> bool:
    """Whether the process that wrote ``identity()`` still runs; asked where ``where()`` is the same."""
    pid = facts.get("pid")
    if type(pid) is not int or not 0 < pid < _MAX_PID:  # no process; kill would signal many for 0 and -1
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _started(pid) == facts.get("started")


def _started(pid: int) -> str | None:
    """Return the start time of a process in kernel ticks, which tells a reused pid from the original."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]
