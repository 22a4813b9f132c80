"""Definition of a corruption, the images it applies to, and its random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.config import config_hash, derive_seed
from benchmark.errors import BenchError

Pixels = NDArray[np.uint8]
Family = Literal["noise", "blur", "light", "digital", "endoscopy", "ct"]
Images = Literal["any", "colour", "grey"]

SEVERITIES = (1, 2, 3, 4, 5)
MIN_SIDE_PX = 32


@dataclass(frozen=True)
class Corruption:
    """One corruption at five severities: a pure function ``(H, W, 3) uint8, *, severity, seed -> (H, W, 3) uint8``.

    Attributes:
        name: As given on the command line.
        title: As printed in tables.
        family: Kind of its cause.
        core: Whether it is in the group ``core``.
        levels: The parameter at severity 1 to 5.
        unit: What the parameter is, and its unit.
        summary: One sentence on the model behind it.
        apply: ``(image, level, bits) -> image``; draws every random number from ``bits``.
        images: Images that it applies to: any, colour, or grey (three equal channels).
        version: Increased with every change of its output.
    """

    name: str
    title: str
    family: Family
    core: bool
    levels: tuple[float, float, float, float, float]
    unit: str
    summary: str
    apply: Callable[[Pixels, float, np.random.PCG64], Pixels]
    images: Images = "any"
    version: int = 1

    def __call__(self, image: Pixels, *, severity: int, seed: int) -> Pixels:
        """Return the corrupted image; the input is unchanged.

        Args:
            image: RGB, (H, W, 3) uint8, at its own size; both sides at least 32 px.
            severity: 1 (mild) to 5.
            seed: Of every random number; ``corruption_seed`` gives the benchmark's.
        Raises:
            BenchError: Another type, shape or size, a severity outside 1 to 5, or an image that the corruption does
                not apply to.
        """
        check_severity(severity)
        check_image(image)
        fault = self.fault(image)
        if fault:
            raise BenchError(f"corruption {self.name}: {fault}")
        return self.apply(image, self.levels[severity - 1], np.random.PCG64(seed))

    def fault(self, image: Pixels) -> str | None:
        """Return why this corruption does not apply to an image of the right type, or None if it does."""
        if self.images == "grey" and not is_grey(image):
            return "defined for grey images only (three equal channels), and this one is in colour; leave it out here"
        if self.images == "colour" and is_grey(image):
            return "defined for colour images only, and this one is grey; leave it out here"
        return None

    @property
    def hash(self) -> str:
        """Eight hex digits over everything that decides the pixels."""
        return config_hash([self.name, self.levels, self.version])


def corruption_seed(image_id: str, corruption: str, severity: int) -> int:
    """Return the seed of an image's corruption: the same for every model, split and machine."""
    return derive_seed("corruption", image_id, corruption, severity)


def check_severity(severity: int) -> None:
    """Raise ``BenchError`` unless the severity is an integer from 1 to 5."""
    if isinstance(severity, bool) or severity not in SEVERITIES:
        raise BenchError(f"severity {severity}: expected an integer from 1 (mild) to 5")


def check_image(image: NDArray[np.generic]) -> None:
    """Raise ``BenchError`` unless the image is RGB, (H, W, 3) uint8, with sides of at least 32 px."""
    if image.dtype != np.uint8:
        raise BenchError(f"image of {image.dtype}: corruptions take 8-bit images (uint8); scale it to 0..255 first")
    if image.ndim != 3 or image.shape[2] != 3:
        raise BenchError(
            f"image of shape {image.shape}: corruptions take (H, W, 3); repeat a single channel three times"
        )
    if min(image.shape[:2]) < MIN_SIDE_PX:
        raise BenchError(
            f"image of {image.shape[1]}x{image.shape[0]} px: corruptions need sides of at least {MIN_SIDE_PX} px"
        )


def is_grey(image: Pixels) -> bool:
    """Whether the three channels are equal everywhere."""
    return _equal(image[::16, ::16]) and _equal(image)  # few colour images pass the first, cheap test


def channels(image: Pixels) -> int:
    """Channels to draw noise for: 1 for a grey image, which stays grey, and 3 for colour."""
    return 1 if is_grey(image) else 3


def uniform_u16(shape: tuple[int, ...], bits: np.random.PCG64) -> NDArray[np.uint16]:
    """Draw uniform 16-bit integers; four come from one 64-bit draw."""
    size = int(np.prod(shape))
    return bits.random_raw(-(-size // 4)).view("<u2")[:size].reshape(shape)


def _equal(image: Pixels) -> bool:
    return bool((image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all())
