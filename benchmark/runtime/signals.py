"""SIGINT and SIGTERM: an exception anywhere, but during training only between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_SIGINT = 128 + signal.SIGINT
EXIT_SIGTERM = 128 + signal.SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM: what a batch system sends before it kills."""


def exit_code(stop: KeyboardInterrupt) -> int:
    """Return 130 after Ctrl-C and 143 after SIGTERM, as shells do."""
    return EXIT_SIGTERM if isinstance(stop, Terminated) else EXIT_SIGINT


def raise_on_sigterm() -> None:
    """Let SIGTERM raise ``Terminated`` from now on; called once by the command line."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _raise)


class Stop:
    """Whether a signal arrived while signals were held back."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None

    @property
    def requested(self) -> bool:
        """True once SIGINT or SIGTERM has arrived."""
        return self.by is not None

    def now(self) -> KeyboardInterrupt:
        """Return the exception that the signal stands for."""
        return Terminated("SIGTERM") if self.by == signal.SIGTERM else KeyboardInterrupt()


@contextmanager
def hold_back() -> Iterator[Stop]:
    """Note SIGINT and SIGTERM instead of raising, until the block ends; a second signal raises at once.

    Outside the main thread signals cannot be caught, and a process that ignores both need not catch them; the block
    then changes nothing.
    """
    stop = Stop()
    ignored = all(signal.getsignal(number) is signal.SIG_IGN for number in (signal.SIGINT, signal.SIGTERM))
    if ignored or threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            _raise(number, frame)
        stop.by = signal.Signals(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    del frame
    raise Terminated("SIGTERM") if number == signal.SIGTERM else KeyboardInterrupt()
