"""Which cell a user's text means."""

from __future__ import annotations

import pytest

from benchmark.errors import BenchError
from benchmark.store.cells import find_cell

CELLS = ("unet/quick-1a2b3c4d/seed0", "unet/quick-1a2b3c4d/seed1", "unetplusplus/quick-5e6f7a8b/seed0", "file_net/q/s0")


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("unet/quick-1a2b3c4d/seed1", CELLS[1]),
        ("runs/unet/quick-1a2b3c4d/seed0/", CELLS[0]),
        ("unet/quick/seed1", CELLS[1]),
        ("unetp", CELLS[2]),
        ("net", CELLS[3]),
        ("file_net", CELLS[3]),
    ],
)
def test_a_text_that_fits_one_cell_alone_means_it(name: str, cell: str) -> None:
    assert find_cell(name, CELLS) == cell


def test_whole_parts_go_before_beginnings() -> None:
    assert find_cell("unet", (CELLS[0], CELLS[2])) == CELLS[0]


def test_several_cells_and_none_are_named() -> None:
    with pytest.raises(BenchError, match=f"--cell unet: matches 2 cells: {CELLS[0]}, {CELLS[1]}; name one"):
        find_cell("unet", CELLS, option="--cell")
    for name in ("pranet", "", "unet/quick-1a2b3c4d/seed0/more"):
        with pytest.raises(BenchError, match=f"--run {name}: no such cell.*known: {CELLS[3]}, {CELLS[0]}"):
            find_cell(name, CELLS)
    with pytest.raises(BenchError, match="known: no cell"):
        find_cell("unet", ())
