"""A network ready for pictures: `bench.load_model(run)`, `bench predict` and `bench serve` predict through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.prediction import outputs
from benchmark.prediction.findings import Finding, field_of_view, find_parts
from benchmark.prediction.sources import read_upright

if TYPE_CHECKING:
    from benchmark.prediction.network import Network

Pixels = NDArray[np.uint8]
_FLIPS: tuple[tuple[int, ...], ...] = ((), (1,), (0,), (0, 1))


@dataclass(frozen=True)
class Prediction:
    """What one network says of one picture.

    Attributes:
        image: (H, W, 3) uint8 RGB, as the network was given it.
        prob: (H, W) uint8, 255 x probability; not calibrated.
        flipped: Maps of the picture mirrored left-right, upside down and both, turned back; empty unless asked for.
    """

    image: Pixels
    prob: Pixels
    flipped: tuple[Pixels, ...] = ()

    def mask(self, threshold: float = 0.5) -> Pixels:
        """(H, W) uint8: 255 where the probability is above ``threshold``, else 0."""
        return outputs.cut(self.prob, threshold)

    def overlay(self, threshold: float = 0.5) -> Pixels:
        """The picture with the mask tinted and outlined."""
        return outputs.overlay(self.image, self.mask(threshold))

    def findings(self, threshold: float = 0.5) -> list[Finding]:
        """The mask's connected parts, the largest first."""
        return find_parts(self.prob, threshold, field=self.field)

    @cached_property
    def field(self) -> NDArray[np.bool_]:
        """(H, W) bool: the endoscope's visible field."""
        return field_of_view(self.image)


def disagreement(maps: Sequence[Pixels]) -> Pixels:
    """How far maps of one picture differ: (H, W) uint8, 510 x their standard deviation in probability.

    0 where all agree, 255 where half of them say 0 and half say 1, the most that is possible.

    Raises:
        ValueError: Fewer than two maps, or of different sizes.
    """
    if len(maps) < 2:
        raise ValueError("disagreement needs two maps or more")
    stack = np.stack(maps).astype(np.float32)
    return (2 * stack.std(axis=0)).round().clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class LoadedModel:
    """A trained network; ``predict`` turns a picture into a map.

    Attributes:
        network: The network, its recipe and its device.
    """

    network: Network

    @property
    def title(self) -> str:
        return self.network.title

    def predict(self, image: Pixels | Path | str, *, flips: bool = False) -> Prediction:
        """Predict one picture, as the cell was scored: with its size, normalisation and test-time processing.

        Args:
            image: (H, W, 3) uint8 RGB, or a file, which is turned upright as its EXIF tag says.
            flips: Also predict the picture's three mirror images, for their disagreement.
        Raises:
            BenchError: The file cannot be read, or the array is no such picture.
        """
        pixels = read_upright(Path(image)) if isinstance(image, Path | str) else image
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise BenchError(f"image of shape {pixels.shape}, {pixels.dtype}: expected (H, W, 3) uint8 RGB")
        ways = _FLIPS if flips else _FLIPS[:1]
        given = [np.ascontiguousarray(np.flip(pixels, way)) for way in ways]
        maps = [
            np.ascontiguousarray(np.flip(one, way)) for one, way in zip(self.network.maps(given), ways, strict=True)
        ]
        return Prediction(pixels, maps[0], tuple(maps[1:]))


def load_model(
    run: str | Path | None = None,
    *,
    model: str | None = None,
    checkpoint: str | Path | None = None,
    recipe: str = "native",
    key: str | None = None,
    strip_prefix: str | None = None,
    results: str | Path = "results",
    device: str = "auto",
) -> LoadedModel:
    """Load a cell's best weights, or a released checkpoint, ready to predict.

    Args:
        run: A cell below ``results``, a part of its name that fits one, or a folder with ``run.json``.
        model: Network of ``checkpoint``; ``FILE.py:function`` of a cell whose network came from a file.
        checkpoint: Released weights of ``model``, instead of ``run``.
        recipe: Gives the checkpoint's size and test-time processing.
        key: Where in the checkpoint the weights are. strip_prefix: Of their names; both are found if unset.
        results: Results folder.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    Raises:
        BenchError: No such cell or file, or weights that do not fit.
    Example:
        >>> import benchmark as bench
        >>> network = bench.load_model("file_tiny_net_build", model="./tiny_net.py:build")
        >>> seen = network.predict("frame.png")
        >>> seen.prob.shape == seen.image.shape[:2], len(seen.findings()) >= 0
        (True, True)
    """
    from benchmark.prediction.network import network_of_checkpoint, network_of_run  # it loads torch

    if (run is None) == (checkpoint is None):
        raise BenchError("give either a cell (run) or a model and its checkpoint")
    if run is not None:
        return LoadedModel(network_of_run(str(run), results=Path(results), model=model, device=device))
    if model is None:
        raise BenchError("a checkpoint needs model: whose weights are they? for example model='pranet'")
    assert checkpoint is not None, "one of the two is given"
    where: dict[str, Any] = {"key": key, "strip_prefix": strip_prefix, "device": device}
    return LoadedModel(network_of_checkpoint(model, Path(checkpoint), recipe=recipe, overrides={}, **where))
