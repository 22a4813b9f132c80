"""Events of a run. ``benchmark.display`` shows them; ``SILENT`` ignores them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from benchmark.config import Recipe
    from benchmark.store.schema import Record


class Started(Protocol):
    """Facts that a display shows of a starting cell."""

    @property
    def id(self) -> str: ...
    @property
    def recipe(self) -> Recipe: ...


class Events(Protocol):
    """Receives what a run reports.

    A notice is one line for the user, shown even with ``--quiet``; everything else is progress.
    """

    def notice(self, text: str) -> None: ...
    def cell_started(self, cell: Started, number: int, total: int) -> None: ...
    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None: ...
    def epoch(self, row: dict[str, float]) -> None: ...
    def phase(self, text: str, done: int, total: int) -> None: ...
    def cell_finished(self, record: Record, *, kept: bool) -> None: ...


class ManyEvents(Protocol):
    """Receives the reports of several cells that run at once."""

    def notice(self, text: str) -> None: ...
    def whole(self) -> Events: ...
    def of(self, cell: Started) -> Events: ...
    def place(self, cell_id: str, host: str) -> None: ...
    def gone(self, cell_id: str) -> None: ...


class Silent:
    """Ignores all events of one cell or of many."""

    def notice(self, text: str) -> None:
        """Ignore."""

    def cell_started(self, cell: Started, number: int, total: int) -> None:
        """Ignore."""

    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None:
        """Ignore."""

    def epoch(self, row: dict[str, float]) -> None:
        """Ignore."""

    def phase(self, text: str, done: int, total: int) -> None:
        """Ignore."""

    def cell_finished(self, record: Record, *, kept: bool) -> None:
        """Ignore."""

    def whole(self) -> Events:
        """Return itself."""
        return self

    def of(self, cell: Started) -> Events:
        """Return itself."""
        return self

    def place(self, cell_id: str, host: str) -> None:
        """Ignore."""

    def gone(self, cell_id: str) -> None:
        """Ignore."""


SILENT = Silent()
