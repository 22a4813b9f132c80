"""What a run tells whoever looks on; ``benchmark.display.progress`` has the displays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from benchmark.store.schema import Record
    from benchmark.study.plan import Cell


class Watcher(Protocol):
    """What a run tells whoever looks on."""

    def message(self, text: str) -> None: ...
    def cell_started(self, cell: Cell, number: int, total: int) -> None: ...
    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None: ...
    def epoch(self, row: dict[str, float]) -> None: ...
    def phase(self, text: str, done: int, total: int) -> None: ...
    def cell_finished(self, record: Record, *, kept: bool) -> None: ...
