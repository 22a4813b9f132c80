"""A read that does not return ends in an error that names the file, wherever it is made."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data.files.decode import decode_image, describe
from benchmark.data.files.hashing import content_hash, file_hash
from benchmark.data.files.maps import MapFault, read_values
from benchmark.data.files.time_limit import in_time
from benchmark.data.listing.items import Item
from benchmark.data.pixels.cache import open_cache
from benchmark.errors import BenchError


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A named pipe that nobody writes to: whoever opens it for reading waits for ever."""
    monkeypatch.setenv("BENCH_READ_LIMIT_S", "0.3")
    path = tmp_path / "stuck.png"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("read", [file_hash, lambda path: in_time(Path.read_bytes, path)])
def test_a_pipe_ends_in_one_line(pipe: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(BenchError) as caught:
        read(pipe)
    assert f"{pipe}: no answer within 0.3 s" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [decode_image, describe])
def test_decoders_see_that_a_pipe_holds_nothing(pipe: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(BenchError, match="empty"):
        read(pipe)


def test_a_map_that_is_a_pipe_is_a_fault(pipe: Path) -> None:
    with pytest.raises(MapFault, match="not a regular file"):
        read_values(pipe)


def test_a_cache_under_way_names_the_file_that_went_away(
    tmp_path: Path, make_pairs: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding runs in threads; the one that is stuck must not keep the others from ending."""
    make_pairs(tmp_path / "images", tmp_path / "masks", "abcdef")
    items = [Item("own", i, tmp_path / "images" / f"{i}.png", tmp_path / "masks" / f"{i}.png", i) for i in "abcdef"]
    assert len({content_hash(item) for item in items}) == 6  # kept, so that only decoding opens the files below
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    handle = os.open(items[3].image_path, os.O_RDWR)
    try:
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_WRLCK)  # others wait for it, 45 s by Linux's default
        monkeypatch.setenv("BENCH_READ_LIMIT_S", "0.3")
        with pytest.raises(BenchError, match=r"d\.png: no answer within 0.3 s"):
            open_cache(items, size=8, cache_dir=tmp_path / "cache")
    finally:
        os.close(handle)
        signal.signal(signal.SIGIO, before)
    assert not list((tmp_path / "cache" / "pixels").glob("[!.]*"))


def test_what_it_raises_and_returns_is_the_callers() -> None:
    assert in_time(lambda path: path.name, Path("a/b")) == "b"
    with pytest.raises(KeyError):
        in_time(lambda path: {}[path], Path("a"))


def test_an_interrupted_or_late_answer_is_not_taken_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(path: Path) -> str:
        time.sleep(0.4)
        return "late"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            in_time(late, Path("a"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert in_time(lambda path: path.name, Path("b")) == "b"
    monkeypatch.setenv("BENCH_READ_LIMIT_S", "0.1")
    with pytest.raises(BenchError, match="no answer within"):
        in_time(late, Path("a"))
    monkeypatch.delenv("BENCH_READ_LIMIT_S")
    time.sleep(0.4)
    assert in_time(lambda path: path.name, Path("c")) == "c"


def test_the_thread_that_reads_ends_with_the_one_it_reads_for_and_is_another_after_a_fork() -> None:
    def reading() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "reading"]

    in_time(Path.exists, Path("a"))
    before = reading()
    other = threading.Thread(target=in_time, args=(Path.exists, Path("a")))
    other.start()
    other.join()
    end = time.monotonic() + 10
    while len(reading()) > len(before) and time.monotonic() < end:
        time.sleep(0.01)
    assert set(reading()) <= set(before)
    child = os.fork()
    if child == 0:
        os._exit(0 if in_time(lambda path: 7, Path("a")) == 7 else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BENCH_READ_LIMIT_S", text)
    with pytest.raises(BenchError, match=rf"BENCH_READ_LIMIT_S={text}: expected seconds above 0"):
        in_time(Path.exists, Path("a"))
