"""The augmentation of FCBFormer and SSFormer: ranges, what moves together, and Pillow or OpenCV as referee."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor
from torchvision.transforms import functional as TF

from benchmark.data.pixels import field_pieces, transforms
from benchmark.data.pixels.draws import Rows
from benchmark.data.pixels.field_pieces import FIELD_PIECES, KERNELS, spread

COUNT, SIDE = 48, 64


def apply(piece: str, images: Tensor, masks: Tensor, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return transforms.augment(images, masks, [piece], crop_size=images.shape[-1], generator=generator)


@pytest.fixture(scope="module")
def batch() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    masks = torch.zeros(COUNT, 1, SIDE, SIDE)
    masks[..., 20:40, 16:48] = 1
    coarse = torch.rand(COUNT, 3, 8, 8, generator=g)
    return torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear"), masks


@pytest.mark.parametrize("piece", sorted(FIELD_PIECES))
def test_a_piece_keeps_shapes_and_ranges_and_follows_its_seed(piece: str, batch: tuple[Tensor, Tensor]) -> None:
    images, masks = apply(piece, *batch)
    assert images.shape == batch[0].shape and masks.shape == batch[1].shape
    assert images.min() >= 0 and images.max() <= 1 and masks.min() >= 0 and masks.max() <= 1
    again = apply(piece, *batch)
    assert torch.equal(images, again[0]) and torch.equal(masks, again[1])
    other = apply(piece, *batch, seed=1)
    assert not (torch.equal(images, other[0]) and torch.equal(masks, other[1]))


@pytest.mark.parametrize("piece", sorted(FIELD_PIECES))
def test_rows_of_a_batch_get_what_the_whole_batch_gives_them(piece: str, batch: tuple[Tensor, Tensor]) -> None:
    whole = apply(piece, *batch)
    rows, generator = Rows(5, 9, COUNT), torch.Generator().manual_seed(0)
    part = transforms.augment(
        batch[0][rows.slice], batch[1][rows.slice], [piece], crop_size=SIDE, generator=generator, rows=rows
    )
    assert torch.equal(part[0], whole[0][rows.slice]) and torch.equal(part[1], whole[1][rows.slice])


@pytest.mark.parametrize("piece", ["affine", "rescale", "rotate_whole"])
def test_image_and_mask_move_together(piece: str, batch: tuple[Tensor, Tensor]) -> None:
    _, masks = batch
    images, moved = apply(piece, masks.expand(-1, 3, -1, -1).contiguous(), masks)
    assert torch.equal(images[:, :1], moved) and not torch.equal(moved, masks)


@pytest.mark.parametrize("piece", ["blur", "colour_jitter", "enhance"])
def test_colour_pieces_leave_the_mask_alone(piece: str, batch: tuple[Tensor, Tensor]) -> None:
    images, masks = apply(piece, *batch)
    assert torch.equal(masks, batch[1]) and not torch.equal(images, batch[0])


def test_affine_is_always_on_nearest_and_black_outside(batch: tuple[Tensor, Tensor]) -> None:
    ones = torch.ones(COUNT, 3, SIDE, SIDE)
    images, masks = apply("affine", ones, batch[1])
    assert set(images.unique().tolist()) == {0.0, 1.0} and set(masks.unique().tolist()) <= {0.0, 1.0}
    assert (masks != batch[1]).flatten(1).any(1).all()
    # areas: scale between a half and one and a half, so a quarter to nine quarters of 640 px
    areas = masks.sum((1, 2, 3))
    assert areas.min() < 320 and areas.max() > 960 and areas.max() < 640 * 2.25 * 1.1


def test_affine_draws_the_released_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[dict] = []
    monkeypatch.setattr(field_pieces.TF, "affine", lambda both, **how: drawn.append(how) or both)
    apply("affine", torch.zeros(800, 3, 352, 352)[:, :, :1, :352].expand(800, 3, 1, 352), torch.zeros(800, 1, 1, 352))
    columns = {
        "angle": [d["angle"] for d in drawn],
        "right": [d["translate"][0] for d in drawn],
        "down": [d["translate"][1] for d in drawn],
        "scale": [d["scale"] for d in drawn],
        "shear": [d["shear"][0] for d in drawn],
    }
    limits = {"angle": (-180, 180), "right": (-44, 44), "down": (-44, 44), "scale": (0.5, 1.5), "shear": (-22.5, 22.5)}
    for name, (low, high) in limits.items():
        room = 0.02 * (high - low)
        assert low <= min(columns[name]) < low + room and high - room < max(columns[name]) <= high


def test_rescale_leaves_half_alone_and_pads_with_black(batch: tuple[Tensor, Tensor]) -> None:
    ones = torch.ones(COUNT, 3, SIDE, SIDE)
    images, masks = apply("rescale", ones, batch[1])
    same = (masks == batch[1]).flatten(1).all(1)
    assert 14 < same.sum() < 34
    shares = images.mean((1, 2, 3))
    assert 0.75**2 - 0.02 < shares.min() < 0.7 and (shares[same] == 1).all()
    areas = masks.sum((1, 2, 3)) / 640
    assert areas.max() > 1.3 and areas.max() < 1.25**2 * 1.05


def test_rotation_is_by_whole_degrees_about_the_centre(batch: tuple[Tensor, Tensor]) -> None:
    images, masks = batch
    turned, _ = apply("rotate_whole", images, masks)
    same = (turned == images).flatten(1).all(1)
    assert 12 < same.sum() < 36
    found = 0
    for before, after in zip(images[~same][:4], turned[~same][:4], strict=True):
        found += any(torch.equal(TF.rotate(before, float(a)), after) for a in range(359))
    assert found == 4


def test_jitter_draws_brightness_contrast_saturation_and_hue_in_their_ranges(batch: tuple[Tensor, Tensor]) -> None:
    grey = torch.full((400, 3, 8, 8), 0.5)
    lit = apply("colour_jitter", grey, torch.zeros(400, 1, 8, 8))[0].mean((1, 2, 3))
    assert 0.3 <= lit.min() < 0.31 and 0.69 < lit.max() <= 0.7001, "only brightness changes an even grey"
    assert field_pieces.JITTER == {
        "brightness": (0.6, 1.4),
        "contrast": (0.5, 1.5),
        "saturation": (0.75, 1.25),
        "hue": (-0.01, 0.01),
    }


@pytest.mark.parametrize("kind", ["Contrast", "Sharpness", "Brightness"])
def test_enhancing_agrees_with_pillow_to_a_grey_level(kind: str, batch: tuple[Tensor, Tensor]) -> None:
    pixels = (batch[0][0] * 255).round()
    picture = Image.fromarray(pixels.byte().permute(1, 2, 0).numpy())
    expected = np.asarray(getattr(ImageEnhance, kind)(picture).enhance(1.1), dtype=float)
    own = getattr(TF, f"adjust_{kind.lower()}")(pixels / 255, 1.1) * 255
    assert np.abs(own.permute(1, 2, 0).numpy() - expected).max() <= 1.01


def test_enhancing_leaves_an_eighth_alone_and_brightens_by_a_tenth_at_most() -> None:
    images = torch.full((400, 3, 8, 8), 0.5)
    images[..., :4] = 0.3
    enhanced, _ = apply("enhance", images, torch.zeros(400, 1, 8, 8))
    same = (enhanced - images).abs().flatten(1).amax(1) < 1e-6
    assert 30 < same.sum() < 75
    assert enhanced.mean((1, 2, 3)).max() <= 0.4 * 1.1 + 1e-3


@pytest.mark.parametrize("side", sorted(KERNELS))
@pytest.mark.parametrize("erode", [False, True])
def test_mask_edges_agree_with_opencv(side: int, erode: bool) -> None:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    assert ["".join(map(str, row)) for row in kernel] == list(KERNELS[side])
    mask = (torch.rand(1, 40, 33, generator=torch.Generator().manual_seed(side)) > 0.7).float() * 0.8
    change = cv2.erode if erode else cv2.dilate
    assert np.array_equal(spread(mask, side, erode=erode)[0].numpy(), change(mask[0].numpy(), kernel))


def test_a_third_of_the_masks_grows_and_a_third_shrinks(batch: tuple[Tensor, Tensor]) -> None:
    masks = batch[1][:1].expand(300, -1, -1, -1)
    images, moved = apply("mask_edge", torch.zeros(300, 3, SIDE, SIDE), masks)
    change = (moved - masks).sum((1, 2, 3))
    assert not images.any()
    assert all(70 < int(part.sum()) < 130 for part in (change > 0, change < 0, change == 0))
