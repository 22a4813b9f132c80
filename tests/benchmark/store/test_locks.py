"""One holder at a time, among real processes, whatever dies when."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.store import locks
from benchmark.store.locks import Lock

HOLD = """
import sys, time
from pathlib import Path
from benchmark.store.locks import Lock
with Lock(Path(sys.argv[1])).attempt() as held:
    print(held, flush=True)
    time.sleep(float(sys.argv[2]))
"""

COUNT = """
import sys
from pathlib import Path
from benchmark.store.locks import Lock
folder, wanted = Path(sys.argv[1]), int(sys.argv[2])
lock, done = Lock(folder / "lock"), 0
while done < wanted:
    with lock.attempt() as held:
        if held:  # a read and a write that would lose counts if two were here at once
            counter = folder / "counter"
            counter.write_text(str(int(counter.read_text()) + 1))
            done += 1
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def taken(lock: Lock) -> bool:
    with lock.attempt() as held:
        return held


def test_one_holds_and_the_other_is_told_who(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    with first.attempt() as held:
        assert held and not taken(second) and str(os.getpid()) in second.holder()
    assert taken(second) and len(list((tmp_path / "lock").iterdir())) == 1


def test_no_count_is_lost_among_processes_that_want_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    crowd = [start(COUNT, tmp_path, 150) for _ in range(4)]
    assert [process.wait(timeout=120) for process in crowd] == [0, 0, 0, 0]
    assert (tmp_path / "counter").read_text() == "600"


def test_a_killed_holder_is_succeeded_at_once(tmp_path: Path) -> None:
    process = start(HOLD, tmp_path / "lock", 60)
    assert process.stdout is not None and process.stdout.readline() == "True\n"
    assert not taken(Lock(tmp_path / "lock"))
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert taken(Lock(tmp_path / "lock"))


def test_a_holder_elsewhere_is_dead_only_when_its_heartbeat_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "HEARTBEAT_S", 0.05)
    elsewhere = tmp_path / "lock" / "7"
    elsewhere.parent.mkdir()
    elsewhere.write_text(json.dumps({"where": "another machine", "pid": os.getpid(), "host": "node7"}))
    lock = Lock(tmp_path / "lock", silence_s=0.4)
    assert not taken(lock), "the first look cannot tell"
    for beat in range(8):
        time.sleep(0.1)
        os.utime(elsewhere, ns=(beat, beat))  # its clock may be decades off
        assert not taken(lock)
    time.sleep(0.5)
    assert taken(lock)


def test_a_pid_that_was_given_out_again_is_no_holder(tmp_path: Path) -> None:
    mine = {"where": locks.where(), "pid": os.getpid(), "started": "before"}
    (tmp_path / "lock").mkdir()
    (tmp_path / "lock" / "1").write_text(json.dumps(mine))
    assert taken(Lock(tmp_path / "lock"))


def test_a_late_comer_with_an_old_count_backs_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken(Lock(tmp_path / "lock")) and taken(Lock(tmp_path / "lock"))  # file 2 is the newest
    late = Lock(tmp_path / "lock")
    monkeypatch.setattr(Lock, "_newest", lambda self: 0)
    monkeypatch.setattr(Lock, "_is_free", lambda self, number: True)
    assert not taken(late) and sorted(p.name for p in (tmp_path / "lock").iterdir()) == ["2"]


def test_nothing_is_held_where_nobody_was(tmp_path: Path) -> None:
    assert not Lock(tmp_path / "lock").is_held() and not (tmp_path / "lock").exists()
