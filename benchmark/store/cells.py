"""Find cells by what a user types: ``--run`` of ``predict`` and ``track``, ``--cell`` of ``clean``."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.errors import BenchError
from benchmark.store.schema import Record


def find_cell(name: str, cells: Sequence[str], *, option: str = "--run") -> str:
    """Return the one cell that a name means.

    The name is a cell's path below ``RESULTS/runs`` (``unet/quick-1a2b3c4d/seed0``), or the beginning of each of its
    first parts (``unet/quick``), if that fits one cell alone. A leading ``runs/``, a closing slash and the ``file_`` of
    a network that came from a file may be left out or not.

    Args:
        name: The user's text.
        cells: The existing cells.
        option: For the message.
    Raises:
        BenchError: None or several cells match; the message lists them.
    """
    found = fitting_cells(name, cells)
    if len(found) == 1:
        return found[0]
    if found:
        raise BenchError(f"{option} {name}: matches {len(found)} cells: {', '.join(sorted(found))}; name one of them")
    known = ", ".join(sorted(cells)) or "no cell"
    raise BenchError(
        f"{option} {name}: no such cell; give a path below RESULTS/runs or the beginning of its parts "
        f"(unet/quick); known: {known}"
    )


def fitting_cells(name: str, cells: Sequence[str]) -> list[str]:
    """Return every cell that a name means: itself, or all whose parts begin so; whole parts go before beginnings."""
    wanted = name.removeprefix("runs/").strip("/")
    if wanted in cells:
        return [wanted]
    parts = wanted.split("/")
    fitting = [cell for cell in cells if wanted and _begins(cell.split("/"), parts)]
    exact = [cell for cell in fitting if cell.split("/")[: len(parts)] == parts]
    return exact or fitting


def find_record(records: Sequence[Record], name: str) -> Record:
    """Return the record of the one cell that a name means; see ``find_cell``."""
    cell = find_cell(name, [record.cell for record in records])
    return next(record for record in records if record.cell == cell)


def _begins(cell: Sequence[str], parts: Sequence[str]) -> bool:
    if len(parts) > len(cell):
        return False
    pairs = zip((cell[0].removeprefix("file_"), *cell[1:]), (parts[0].removeprefix("file_"), *parts[1:]), strict=False)
    return all(have.startswith(part) for have, part in pairs)
