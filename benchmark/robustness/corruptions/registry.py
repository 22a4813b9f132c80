"""Every corruption by name, and the groups ``core`` and ``all``.

The levels of gaussian, shot and speckle noise, contrast and JPEG are those of ImageNet-C (Hendrycks and
Dietterich, ICLR 2019), so that its readers know what a severity means; the others are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.errors import BenchError, unknown_name
from benchmark.robustness.corruptions import blur, ct, digital, endoscopy, light, noise
from benchmark.robustness.corruptions.base import Corruption, Pixels, corruption_seed

_ALL = (
    Corruption(
        "gaussian_noise", "Gaussian noise", "noise", True, (0.08, 0.12, 0.18, 0.26, 0.38),
        "standard deviation, parts of full scale", "Electronic noise of the sensor.", noise.gaussian_noise,
    ),
    Corruption(
        "shot_noise", "Shot noise", "noise", True, (60, 25, 12, 5, 3),
        "photons at full scale", "Poisson noise of few photons.", noise.shot_noise,
    ),
    Corruption(
        "speckle_noise", "Speckle noise", "noise", True, (0.15, 0.2, 0.35, 0.45, 0.6),
        "standard deviation, parts of the signal", "Noise in proportion to the signal.", noise.speckle_noise,
    ),
    Corruption(
        "motion_blur", "Motion blur", "blur", True, (0.01, 0.026, 0.048, 0.085, 0.15),
        "length, parts of the short side", "The camera swings during exposure.", blur.motion_blur,
    ),
    Corruption(
        "defocus_blur", "Defocus blur", "blur", True, (0.008, 0.013, 0.02, 0.028, 0.038),
        "radius, parts of the short side", "A point out of focus becomes a disk.", blur.defocus_blur,
    ),
    Corruption(
        "low_light", "Low light", "light", True, (0.5, 0.25, 0.125, 0.0625, 0.03125),
        "part of the light left", "Less light in front of a sensor with photon and read noise.", noise.low_light,
    ),
    Corruption(
        "over_exposure", "Over-exposure", "light", True, (0.5, 1.0, 1.5, 2.0, 3.0),
        "stops", "Too much light; bright tissue is clipped.", light.over_exposure,
    ),
    Corruption(
        "contrast", "Contrast", "light", True, (0.4, 0.3, 0.2, 0.1, 0.05),
        "part of the contrast left", "Values drawn towards the mean.", light.contrast,
    ),
    Corruption(
        "colour_cast", "Colour cast", "light", True, (6, 12, 20, 30, 42),
        "root-mean-square change, grey levels", "A wrong white balance in a hue that is drawn.", light.colour_cast,
        images="colour",
    ),
    Corruption(
        "jpeg", "JPEG", "digital", True, (25, 18, 15, 10, 7),
        "quality", "Strong compression.", digital.jpeg,
    ),
    Corruption(
        "down_sampling", "Down-sampling", "digital", True, (1 / 2, 1 / 4, 1 / 6, 1 / 8, 1 / 12),
        "part of both sides", "A recording of low resolution.", digital.down_sampling,
    ),
    Corruption(
        "interlacing", "Interlacing", "digital", False, (0.004, 0.008, 0.016, 0.03, 0.055),
        "shift, parts of the width", "Motion between the two fields of a frame.", digital.interlacing,
    ),
    Corruption(
        "specular_highlights", "Specular highlights", "endoscopy", False, (0.005, 0.012, 0.025, 0.05, 0.1),
        "part of the image", "Reflections of the lamp on wet tissue.", endoscopy.specular_highlights,
    ),
    Corruption(
        "smoke", "Smoke", "endoscopy", False, (0.15, 0.3, 0.45, 0.6, 0.75),
        "mean opacity", "A grey veil of uneven density.", endoscopy.smoke,
    ),
    Corruption(
        "vignette", "Vignette", "endoscopy", False, (0.2, 0.4, 0.6, 0.8, 1.0),
        "part of the value lost in the corners", "Light that falls off towards the corners.", light.vignette,
    ),
    Corruption(
        "low_dose_ct", "Low-dose CT", "ct", False, (100_000, 30_000, 10_000, 3_000, 1_000),
        "photons emitted per ray", "Poisson noise of the projections at 180 angles.", ct.low_dose_ct,
        images="grey",
    ),
)  # fmt: skip

CORRUPTIONS: dict[str, Corruption] = {one.name: one for one in _ALL}
GROUPS: dict[str, tuple[str, ...]] = {
    "core": tuple(one.name for one in _ALL if one.core),
    "all": tuple(CORRUPTIONS),
}


def get_corruption(name: str) -> Corruption:
    """Return a corruption by name.

    Raises:
        BenchError: Unknown; the message gives the nearest name.
    """
    if name not in CORRUPTIONS:
        raise unknown_name("corruption", name, [*CORRUPTIONS, *GROUPS])
    return CORRUPTIONS[name]


def select(names: Sequence[str]) -> list[Corruption]:
    """Return corruptions by names and groups, in the registry's order, each once.

    Raises:
        BenchError: An unknown name, or none given.
    """
    wanted = {one for name in names for one in GROUPS.get(name, (name,))}
    if not wanted:
        raise BenchError("no corruption given: expected core, all or names, comma-separated")
    for name in sorted(wanted):
        get_corruption(name)
    return [one for one in _ALL if one.name in wanted]


def applicable(names: Sequence[str], image: Pixels, where: str) -> tuple[list[Corruption], dict[str, str]]:
    """Divide corruptions into those that apply to an image and those that do not.

    Args:
        names: Names and groups.
        image: (H, W, 3) uint8; it stands for the images of a test set.
        where: Whose image, for messages.
    Returns:
        Those that apply, and by name why the others of a group do not.
    Raises:
        BenchError: An unknown name, one asked for by name that does not apply, or none that applies.
    """
    chosen = select(names)
    faults = {one.name: fault for one in chosen if (fault := one.fault(image)) is not None}
    named = next((name for name in faults if name in names), None)
    if named is not None:
        raise BenchError(f"corruption {named} on {where}: {faults[named]}")
    kept = [one for one in chosen if one.name not in faults]
    if not kept:
        raise BenchError(f"{where}: none of {', '.join(faults)} applies")
    return kept, {name: fault.partition(",")[0] for name, fault in faults.items()}


def corrupt(image: Pixels, name: str, *, severity: int, image_id: str) -> Pixels:
    """Corrupt an image with the benchmark's own seed, so that all models see the same pixels.

    Args:
        image: RGB, (H, W, 3) uint8, at its own size.
        name: Of the corruption.
        severity: 1 to 5.
        image_id: The image's id in its dataset.
    Raises:
        BenchError: As ``get_corruption`` and ``Corruption.__call__``; the message names the image.
    """
    corruption = get_corruption(name)
    try:
        return corruption(image, severity=severity, seed=corruption_seed(image_id, name, severity))
    except BenchError as error:
        raise BenchError(f"image {image_id}: {error}") from None
