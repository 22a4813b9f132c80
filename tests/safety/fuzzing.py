"""Inputs that nobody would write on purpose, and the one rule for all: handled, or refused in one line, in time."""

from __future__ import annotations

import copy
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from benchmark.errors import BenchError

TRIED: Counter[str] = Counter()
"""Inputs tried, by test; printed at the end of a session."""
LIMIT_S = 60

Path = tuple[Any, ...]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(
        ["", "..", "/", "../../x", "a\x1b[2J", "\0", "nan", "inf", "1e999", "$x$", "<b>", "\\input{x}", "²"]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


def one_line(call: Callable[[], Any], what: str, *others: type[Exception]) -> Any:
    """Call; return what came, or None for an error of one line. Anything else fails the test."""
    TRIED[what] += 1
    try:
        with within(LIMIT_S):
            return call()
    except (BenchError, *others) as error:
        assert len(str(error).splitlines()) <= 1 and "\x1b" not in str(error), repr(str(error))
        return None


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail a call that hangs."""

    def stop(*_: object) -> None:
        raise AssertionError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@st.composite
def torn(draw: st.DrawFn, contents: list[bytes]) -> bytes:
    """One of some files with bytes changed, cut out, put in or doubled."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(["set", "word", "cut", "drop", "insert", "double"]))
        if kind == "set" and content:
            content[at] = draw(st.integers(0, 255))
        elif kind == "word":
            word = draw(
                st.sampled_from([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x00" * 4, b"\xff\xff\xff\x7f", b"\x00\x01"])
            )
            content[at : at + len(word)] = word
        elif kind == "cut":
            del content[at:]
        elif kind == "drop":
            del content[at : at + draw(st.integers(1, 40))]
        elif kind == "insert":
            content[at:at] = draw(st.binary(max_size=20))
        else:
            content[at:at] = content[: draw(st.integers(0, 200))]
    return bytes(content)


def places(value: Any, above: Path = ()) -> Iterator[Path]:
    """The path to every value in a nest of dictionaries and lists."""
    yield above
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from places(one, (*above, key))


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """A payload with some values replaced, removed or added."""
    payload = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(places(payload))))
        if not place:
            continue
        home = payload
        for key in place[:-1]:
            home = home[key]
        kind = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if kind == "replace":
            home[place[-1]] = draw(values)
        elif kind == "remove":
            del home[place[-1]]
        elif isinstance(home, dict):
            home[draw(st.text(max_size=10))] = draw(values)
    return payload
