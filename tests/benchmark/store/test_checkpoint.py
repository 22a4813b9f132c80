"""Checkpoints are whole or refused, and nothing in them is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from benchmark.errors import BenchError
from benchmark.store import checkpoint
from benchmark.store.checkpoint import DamagedCheckpointError, load_state, load_weights, save_state, save_weights

WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(3)}


def test_weights_are_plain_for_torch_and_equal(tmp_path: Path) -> None:
    digest = save_weights(tmp_path / "best.pt", WEIGHTS)
    plain = torch.load(tmp_path / "best.pt", weights_only=True)
    ours = load_weights(tmp_path / "best.pt", digest)
    assert all(torch.equal(plain[k], v) and torch.equal(ours[k], v) for k, v in WEIGHTS.items())


def test_every_flipped_byte_of_weights_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    digest = save_weights(path, WEIGHTS)
    content = path.read_bytes()
    for position in range(0, len(content), 37):
        torn = bytearray(content)
        torn[position] ^= 0x10
        path.write_bytes(torn)
        with pytest.raises(DamagedCheckpointError, match=r"best\.pt: not the file of its record"):
            load_weights(path, digest)


def test_every_flipped_byte_and_cut_of_a_state_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_state(path, {"model": WEIGHTS}, owner="cell")
    content = path.read_bytes()
    assert torch.equal(load_state(path, owner="cell")["model"]["a"], WEIGHTS["a"])
    for position in range(0, len(content), 41):
        torn = bytearray(content)
        torn[position] ^= 0x01
        for bad in (bytes(torn), content[:position]):
            path.write_bytes(bad)
            with pytest.raises(DamagedCheckpointError, match=r"last\.pt"):
                load_state(path, owner="cell")


class Bomb:
    """Pickled code."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("through_torch", [True, False])
def test_a_strangers_pickle_is_not_run(tmp_path: Path, through_torch: bool) -> None:
    marker, path = tmp_path / "ran", tmp_path / "best.pt"
    if through_torch:
        torch.save({"a": Bomb(marker)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(DamagedCheckpointError):
        load_weights(path, None)
    assert not marker.exists()


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "best.pt"
    digest = save_weights(path, WEIGHTS)

    def fail(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_save", fail)
    with pytest.raises(BenchError, match="no space left"):
        save_weights(path, {"other": torch.zeros(1)})
    assert load_weights(path, digest) and [p.name for p in tmp_path.iterdir()] == ["best.pt"]
