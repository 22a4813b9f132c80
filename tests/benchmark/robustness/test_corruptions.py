"""Every corruption: pure, seeded, refused where it does not apply; monotone in severity on real images."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from benchmark.errors import BenchError
from benchmark.robustness.corruptions import CORRUPTIONS, GROUPS, SEVERITIES, corrupt, corruption_seed, select
from benchmark.robustness.corruptions.base import Corruption, Pixels, is_grey
from benchmark.robustness.corruptions.blur import arc, disk_blur, path_blur
from benchmark.robustness.denoising.quality import psnr

NAMES = sorted(CORRUPTIONS)


def scene(corruption: Corruption, height: int = 192, width: int = 240) -> Pixels:
    """A smooth drawn image that the corruption takes; a small one where it is slow."""
    if corruption.images == "grey":
        height, width = min(height, 64), min(width, 72)
    y, x = np.mgrid[:height, :width]
    red, green, blue = 60 + 90 * x / width, 50 + 60 * y / height, 40 + 30 * np.sin(x / 9)
    image = np.rint(np.stack([red, green, blue], axis=2)).astype(np.uint8)
    return np.repeat(image[..., :1], 3, axis=2) if corruption.images == "grey" else image


@pytest.mark.parametrize("name", NAMES)
def test_a_corruption_is_a_pure_function_of_image_severity_and_seed(name: str) -> None:
    corruption = CORRUPTIONS[name]
    image = scene(corruption)
    before = image.copy()
    results = [corruption(image, severity=severity, seed=7) for severity in SEVERITIES]
    assert np.array_equal(image, before), "the image given was changed"
    for severity, result in zip(SEVERITIES, results, strict=True):
        assert (result.shape, result.dtype) == (image.shape, np.uint8) and result.flags.writeable
        assert not np.shares_memory(result, image) and not np.array_equal(result, image)
        view = np.ascontiguousarray(image[:, ::-1])[:, ::-1]  # the same pixels in another order of memory
        assert np.array_equal(corruption(view, severity=severity, seed=7), result)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"defocus_blur", "over_exposure", "contrast", "jpeg",
                                                      "down_sampling", "interlacing", "vignette"}))  # fmt: skip
def test_what_is_drawn_depends_on_the_seed(name: str) -> None:
    corruption = CORRUPTIONS[name]
    image = scene(corruption)
    first, second = (corruption(image, severity=3, seed=seed) for seed in (1, 2))
    assert not np.array_equal(first, second)


def test_seeds_differ_by_image_corruption_and_severity() -> None:
    seeds = {corruption_seed(image, name, severity) for image in "ab" for name in NAMES for severity in SEVERITIES}
    assert len(seeds) == 2 * len(NAMES) * len(SEVERITIES)


def test_another_process_with_other_hashes_draws_the_same_bytes() -> None:
    script = (
        "import hashlib, numpy as np\n"
        "from benchmark.robustness.corruptions import corrupt, select\n"
        "image = np.arange(64 * 80 * 3, dtype=np.uint32).reshape(64, 80, 3) % 251\n"
        "image = image.astype(np.uint8)\n"
        "bytes_ = b''.join(corrupt(image, c.name, severity=s, image_id='7').tobytes()\n"
        "                  for c in select(['all']) if c.images != 'grey' for s in (1, 5))\n"
        "print(hashlib.sha256(bytes_).hexdigest())\n"
    )
    image = (np.arange(64 * 80 * 3, dtype=np.uint32).reshape(64, 80, 3) % 251).astype(np.uint8)
    here = [
        corrupt(image, one.name, severity=severity, image_id="7").tobytes()
        for one in select(["all"])
        if one.images != "grey"
        for severity in (1, 5)
    ]
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(b"".join(here)).hexdigest()


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"colour_cast"}))
def test_a_grey_image_stays_grey(name: str) -> None:
    grey = np.repeat(scene(CORRUPTIONS["low_dose_ct"])[..., :1], 3, axis=2)
    assert is_grey(CORRUPTIONS[name](grey, severity=3, seed=0))


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_image_is_taken_at_every_severity(name: str) -> None:
    image = scene(CORRUPTIONS[name], 32, 33)
    for severity in SEVERITIES:
        assert CORRUPTIONS[name](image, severity=severity, seed=0).shape == (32, 33, 3)


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"colour_cast"}))
def test_a_flat_image_at_either_end_of_the_range_gives_no_warning(name: str, value: int) -> None:
    flat = np.full((40, 48, 3), value, np.uint8)
    with np.errstate(all="raise"):
        assert CORRUPTIONS[name](flat, severity=5, seed=0).shape == flat.shape


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((64, 64, 3), np.uint16), "uint16: corruptions take 8-bit images"),
        (np.zeros((64, 64, 3), np.float32), "float32: corruptions take 8-bit images"),
        (np.zeros((64, 64), np.uint8), "(64, 64): corruptions take (H, W, 3)"),
        (np.zeros((64, 64, 4), np.uint8), "(64, 64, 4): corruptions take (H, W, 3)"),
        (np.zeros((31, 64, 3), np.uint8), "64x31 px: corruptions need sides of at least 32 px"),
    ],
)
def test_other_images_are_refused_in_one_line_that_names_the_image(image: Pixels, words: str) -> None:
    with pytest.raises(BenchError) as error:
        corrupt(image, "gaussian_noise", severity=1, image_id="p17")
    assert words in str(error.value) and str(error.value).startswith("image p17: ")


def test_colour_and_grey_images_are_refused_where_a_corruption_has_no_meaning() -> None:
    colour = scene(CORRUPTIONS["jpeg"])
    with pytest.raises(BenchError, match="low_dose_ct: defined for grey images only"):
        corrupt(colour, "low_dose_ct", severity=1, image_id="1")
    with pytest.raises(BenchError, match="colour_cast: defined for colour images only"):
        corrupt(np.repeat(colour[..., :1], 3, axis=2), "colour_cast", severity=1, image_id="1")


@pytest.mark.parametrize("severity", [0, 6, -1, 2.5, True])
def test_severities_outside_one_to_five_are_refused(severity: int) -> None:
    with pytest.raises(BenchError, match="expected an integer from 1"):
        corrupt(scene(CORRUPTIONS["jpeg"]), "jpeg", severity=severity, image_id="1")


def test_names_and_groups_are_selected_once_in_the_registrys_order() -> None:
    assert [one.name for one in select(["jpeg", "core", "jpeg"])] == list(GROUPS["core"])
    assert [one.name for one in select(["smoke", "shot_noise"])] == ["shot_noise", "smoke"]
    assert set(GROUPS["core"]) < set(GROUPS["all"]) == set(CORRUPTIONS)
    with pytest.raises(BenchError, match="unknown corruption 'gausian_noise': did you mean 'gaussian_noise'"):
        select(["gausian_noise"])
    with pytest.raises(BenchError, match="no corruption given"):
        select([])


def test_every_corruption_is_documented_and_its_hash_holds_what_decides_the_pixels() -> None:
    assert len({one.hash for one in CORRUPTIONS.values()}) == len(CORRUPTIONS)
    for one in CORRUPTIONS.values():
        assert one.summary.endswith(".") and one.unit and one.title and one.apply.__doc__
        assert len(set(one.levels)) == 5 and list(one.levels) in (sorted(one.levels), sorted(one.levels)[::-1])


def test_blur_is_the_convolution_with_its_kernel() -> None:
    from scipy.ndimage import convolve

    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    y, x = np.mgrid[-6:7, -6:7]
    disk = (x**2 + y**2 <= 6.5**2).astype(float)
    path = np.zeros((41, 41))
    for dy, dx in arc(20.0, 0.4):
        path[20 - dy, 20 - dx] += 1  # convolution turns the kernel round
    for kernel, ours in ((disk, disk_blur(image, 6.5)), (path, path_blur(image, arc(20.0, 0.4)))):
        wanted = convolve(image.astype(float), (kernel / kernel.sum())[..., None], mode="mirror")
        assert np.abs(wanted - ours).max() <= 0.5 + 1e-4


def test_noise_has_the_moments_of_its_law() -> None:
    flat = np.full((400, 400, 3), 100, np.uint8)
    laws = {"gaussian_noise": 0.08 * 255, "shot_noise": (100 * 255 / 60) ** 0.5, "speckle_noise": 0.15 * 100}
    for name, spread in laws.items():
        drawn = CORRUPTIONS[name](flat, severity=1, seed=3)
        assert drawn.mean() == pytest.approx(100, abs=0.25), name
        assert drawn.std() == pytest.approx(spread, rel=0.01), name
        grey = CORRUPTIONS[name](flat[..., :1].repeat(3, axis=2), severity=1, seed=3)
        assert is_grey(grey)


def test_low_dose_ct_adds_noise_that_grows_as_one_over_the_root_of_the_photons() -> None:
    image = scene(CORRUPTIONS["low_dose_ct"])
    noise = [CORRUPTIONS["low_dose_ct"](image, severity=s, seed=1).astype(float) - image for s in (1, 2, 3)]
    spread = [float(one.std()) for one in noise]
    assert spread[1] / spread[0] == pytest.approx((100_000 / 30_000) ** 0.5, rel=0.1)
    assert spread[2] / spread[1] == pytest.approx((30_000 / 10_000) ** 0.5, rel=0.1)
    assert abs(noise[0].mean()) < spread[0] / 4


@pytest.fixture(scope="module")
def real_images(data_root: Path) -> dict[str, Pixels]:
    """Real images of three datasets, cut to at most 800x600 px for time's sake."""
    files = sorted((data_root / "Kvasir-SEG" / "images").glob("*.jpg"))[::200]
    files += sorted((data_root / "CVC-ClinicDB" / "Original").glob("*.tif"))[::70]
    files += sorted((data_root / "PH2Dataset").rglob("*_Dermoscopic_Image/*.bmp"))[:1]
    assert len(files) >= 6, f"real images are missing below {data_root}"
    return {path.stem: _read(path)[:600, :800] for path in files}


def _read(path: Path) -> Pixels:
    return tifffile.imread(path) if path.suffix == ".tif" else np.array(Image.open(path).convert("RGB"))


@pytest.mark.real_data
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"low_dose_ct"}))
def test_every_severity_lowers_the_psnr_on_real_images(name: str, real_images: dict[str, Pixels]) -> None:
    for image_id, image in real_images.items():
        values = [psnr(image, corrupt(image, name, severity=s, image_id=image_id)) for s in SEVERITIES]
        assert all(np.diff(values) < -0.1), f"{name} on {image_id}: {values}"


@pytest.mark.real_data
def test_every_severity_of_low_dose_ct_lowers_the_psnr_of_a_grey_real_image(real_images: dict[str, Pixels]) -> None:
    image = np.repeat(next(iter(real_images.values()))[::4, ::4, 1:2], 3, axis=2)
    values = [psnr(image, corrupt(image, "low_dose_ct", severity=s, image_id="ct")) for s in SEVERITIES]
    assert all(np.diff(values) < -0.5), values
