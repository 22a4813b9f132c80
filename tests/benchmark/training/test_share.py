"""Several processes train as one would: the same losses, gradients and weights from the same batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from group_training import Case, Seen, alone, together

from benchmark.data.pixels import transforms
from benchmark.data.pixels.draws import Rows
from benchmark.data.pixels.turning import TURNING_PIECES, turn
from benchmark.training.share import Share

TOLERANCE = 1e-5


def differences(one: Seen, several: Seen) -> dict[str, float]:
    pairs = [(a, b) for a, b in zip(one.gradients, several.gradients, strict=True)]
    assert len(one.state) == len(several.state) and len(pairs) > 2
    state = [(one.state[key].double(), several.state[key].double()) for key in one.state]
    return {
        "loss": float(np.abs(np.subtract(one.losses, several.losses)).max()),
        "gradients": max(float((a - b).abs().max()) for step in pairs for a, b in zip(*step, strict=True)),
        "weights": max(float((a - b).abs().max()) for a, b in state),
    }


def assert_equal(case: Case, one: Seen, several: Seen) -> None:
    found = differences(one, several)
    assert max(found.values()) <= TOLERANCE, f"{case}: {found}"
    moved = max(float(g.abs().max()) for step in one.gradients for g in step)
    assert moved > 1000 * TOLERANCE, "there were gradients to compare"
    for a, b in zip(one.history, several.history, strict=True):
        assert a.keys() == b.keys() and a["train_loss"] == pytest.approx(b["train_loss"], abs=TOLERANCE)


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """18 images in batches of 5: shares of 3 and 2, then of 2 and 1."""
    cases = [
        Case("batch", 18, {"loss": "bce_dice"}),
        Case(
            "batch",
            18,
            {
                "augmentation": ("hflip", "rot90", "zoom"),
                "loss": "structure",
                "multi_scale": "each",
                "scales": (1.0, 2.0),
            },
        ),
        Case("group", 18, {"loss": "bce_dice", "micro_batch": 2, "optimizer": "adam", "lr": 0.01}),
        Case(
            "batch", 18, {"loss": "focal", "epochs": 6, "patience": 1, "ema_decay": 0.8, "transforms": ["RandomGamma"]}
        ),
        Case("group", 18, {"loss": "native", "micro_batch": 1, "multi_scale": "draw", "scales": (1.0, 2.0)}),
    ]
    for case, several in zip(cases, together(cases, 2, tmp_path), strict=True):
        assert_equal(case, alone(case, tmp_path / "alone" / str(cases.index(case))), several)


def test_a_process_without_an_image_in_the_last_batch_weighs_nothing(tmp_path: Path) -> None:
    case = Case("group", 17, {"loss": "bce_dice"})
    (several,) = together([case], 3, tmp_path)
    assert_equal(case, alone(case, tmp_path / "alone"), several)


@pytest.mark.parametrize(("count", "world"), [(8, 1), (8, 2), (7, 2), (7, 3), (2, 3), (1, 2), (16, 5)])
def test_shares_make_up_the_batch(count: int, world: int) -> None:
    shares = [Share(rank, world) for rank in range(world)]
    assert sum(share.weight(count) for share in shares) == pytest.approx(world)
    rows = [range(count)[share.rows(count).slice] for share in shares]
    assert all(rows) and [i for share, part in zip(shares, rows, strict=True) if share.weight(count) for i in part] == [
        *range(count)
    ]
    for limit in (None, 1, 2, 3, count):
        passes = {share.num_passes(count, limit) for share in shares}
        assert len(passes) == 1, "else one would wait for a pass that another does not make"
        assert passes.pop() <= min(map(len, rows))


def test_bytes_are_turned_alike_in_a_share_and_in_the_batch() -> None:
    images = torch.randint(0, 256, (7, 32, 32, 3), dtype=torch.uint8)
    masks = torch.randint(0, 256, (7, 32, 32), dtype=torch.uint8)
    whole = turn(images, masks, TURNING_PIECES, generator=torch.Generator().manual_seed(3))
    mine = torch.Generator().manual_seed(3)
    part = turn(images[4:], masks[4:], TURNING_PIECES, generator=mine, rows=Rows(4, 7, 7))
    assert all(torch.equal(a[4:], b) for a, b in zip(whole, part, strict=True))


@pytest.mark.parametrize("piece", [*transforms.PIECES, "crop"])
def test_an_image_is_augmented_alike_in_a_share_and_in_the_batch(piece: str) -> None:
    images, masks = torch.rand(7, 3, 40, 40), (torch.rand(7, 1, 40, 40) > 0.5).float()
    fixed = {"pieces": [piece], "crop_size": 32}
    draw = torch.Generator().manual_seed(3)
    whole = transforms.augment(images, masks, **fixed, generator=draw)
    for start, stop in ((0, 4), (4, 7), (6, 7)):
        mine = torch.Generator().manual_seed(3)
        rows = Rows(start, stop, 7)
        part = transforms.augment(images[start:stop], masks[start:stop], **fixed, generator=mine, rows=rows)
        assert all(torch.equal(a[start:stop], b) for a, b in zip(whole, part, strict=True))
        assert torch.equal(mine.get_state(), draw.get_state()), "what is drawn next is the same too"
