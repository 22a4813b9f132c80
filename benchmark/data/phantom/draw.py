"""Draw one sequence of phantom frames: tissue, folds, light, polyps, highlights, instrument, camera.

Lengths are shares of the image height; the picture's centre is (0, 0), y points down. All arrays are float32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.data.phantom.domains import Domain

    Array = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

F32 = np.float32


def f32(value: float | Sequence[float]) -> Any:
    """Return a single-precision scalar or vector: keeps arithmetic with pixel arrays in single precision."""
    return np.float32(value)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Blob:
    """A polyp: an ellipse with a wavy outline.

    Attributes:
        y, x: Centre.
        radius: Mean radius.
        stretch: Ratio of its axes.
        angle: Direction of its long axis, radians.
        waves: Amplitude and phase of the outline's waves 2, 3 and 5, (3, 2).
        contrast: Strength of its colour and relief.
    """

    y: float
    x: float
    radius: float
    stretch: float
    angle: float
    waves: NDArray[np.float64]
    contrast: float


@dataclass(frozen=True)
class Scene:
    """What the frames of one sequence share."""

    lumen: tuple[float, float]
    folds: float
    fold_depth: float
    texture: NDArray[np.float64]  # (3 noises, 9, 9) weights of cosine waves
    blobs: tuple[Blob, ...]
    distractors: tuple[Blob, ...]
    light: float
    instrument: float | None  # direction it comes from, radians


def generator(name: str) -> np.random.Generator:
    """Return a random generator that depends on a name only."""
    seed = hashlib.blake2b(f"phantom/{name}".encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(seed, "big"))


def draw_sequence(domain: Domain, name: str, frames: int) -> Iterator[tuple[Pixels, Pixels]]:
    """Yield ``frames`` images (H, W, 3) uint8 RGB with masks (H, W) uint8, 0 or 255.

    Args:
        domain: The look.
        name: Seeds the sequence; equal names give equal pixels.
        frames: How many.
    """
    scene = _scene(domain, generator(name))
    for frame in range(frames):
        yield _draw_frame(domain, scene, generator(f"{name}/f{frame}"), drift=frame / 5.0)


def _scene(domain: Domain, rng: np.random.Generator) -> Scene:
    aspect = domain.width / domain.height / 2
    num_polyps = 2 if rng.random() < 0.12 else 1
    blobs: list[Blob] = []
    while len(blobs) < num_polyps:
        blob = _blob(rng, rng.uniform(*domain.radius), rng.uniform(*domain.contrast), aspect)
        if all(np.hypot(blob.y - b.y, blob.x - b.x) > blob.radius + b.radius for b in blobs):
            blobs.append(blob)
    return Scene(
        lumen=(rng.uniform(-0.3, 0.3), rng.uniform(-0.4, 0.4)),
        folds=rng.uniform(5, 9),
        fold_depth=rng.uniform(0.08, 0.2),
        texture=rng.normal(size=(3, 9, 9)),
        blobs=tuple(blobs),
        distractors=tuple(_blob(rng, rng.uniform(0.04, 0.1), rng.uniform(0.2, 0.6), aspect) for _ in range(3)),
        light=rng.uniform(*domain.light),
        instrument=rng.uniform(0, 2 * np.pi) if rng.random() < domain.instrument else None,
    )


def _blob(rng: np.random.Generator, radius: float, contrast: float, aspect: float) -> Blob:
    reach_y, reach_x = max(0.45 - radius, 0.05), max(aspect - 0.08 - radius, 0.05)
    waves = np.stack([rng.uniform(0, (0.10, 0.07, 0.04)), rng.uniform(0, 2 * np.pi, 3)], axis=1)
    y, x = rng.uniform(-reach_y, reach_y), rng.uniform(-reach_x, reach_x)
    return Blob(y, x, radius, rng.uniform(1.0, 1.5), rng.uniform(0, np.pi), waves, contrast)


def _draw_frame(domain: Domain, scene: Scene, rng: np.random.Generator, *, drift: float) -> tuple[Pixels, Pixels]:
    height, width = domain.height, domain.width
    zoom = 1 + 0.12 * drift + rng.uniform(-0.05, 0.05)
    shift = rng.uniform(-0.05, 0.05, 2)
    y = _axis(height, height)[:, None]
    x = _axis(width, height)[None, :]
    sy, sx = (y / f32(zoom) - f32(shift[0])), (x / f32(zoom) - f32(shift[1]))  # scene coordinates

    noises = [_waves(sy, sx, weights) for weights in scene.texture]
    depth, relief = _tissue(scene, sy, sx, noises)
    colour = _colour(domain, noises, depth.shape)
    mask = np.zeros(depth.shape, bool)
    for blob in scene.distractors:
        window, inside, dome = _dome(blob, sy, sx)
        relief[window] += f32(0.12 * blob.contrast) * dome
        colour[window] += (inside * f32(0.25 * blob.contrast))[..., None] * f32((0.1, 0.0, -0.05))
    for blob in scene.blobs:
        window, inside, dome = _dome(blob, sy, sx)
        mask[window] |= inside > 0.5
        depth[window] = np.maximum(depth[window], f32(0.45) * inside)  # it stands out before the dark lumen
        relief[window] = relief[window] * (1 - f32(0.7) * inside) + f32(0.55 * blob.contrast * blob.radius) * dome
        colour[window] += (inside * f32(blob.contrast))[..., None] * f32(domain.polyp_tint)

    shade = _shade(relief, depth, y, x, scene.light * rng.uniform(0.92, 1.08))
    image = colour * shade[..., None]
    _add_highlights(image, relief, mask, domain, rng)
    if scene.instrument is not None:
        mask &= ~_add_instrument(image, y, x, scene.instrument, rng)
    return _camera(image, domain, rng, y, x, mask)


def _axis(length: int, unit: int) -> Array:
    """Pixel centres of an axis about its middle, in shares of ``unit`` pixels."""
    return ((np.arange(length) - length / 2 + 0.5) / unit).astype(F32)


def _waves(y: Array, x: Array, weights: NDArray[np.float64]) -> Array:
    """Smooth noise about 0 with deviation about 1: a sum of cosine waves, by two matrix products."""
    order = np.arange(len(weights), dtype=F32)
    decay = (1 / (1 + order[:, None] ** 2 + order[None, :] ** 2) ** 0.5).astype(F32)
    decay[0, 0] = 0
    scaled = weights.astype(F32) * decay / f32(np.sqrt((decay**2).sum()) / 2)
    basis_y = np.cos(f32(np.pi * 1.3) * (y.reshape(-1, 1) + 1.1) * order)  # (H, 9)
    basis_x = np.cos(f32(np.pi * 1.3) * (x.reshape(-1, 1) + 1.7) * order)  # (W, 9)
    return (basis_y @ scaled @ basis_x.T).astype(F32)


def _tissue(scene: Scene, y: Array, x: Array, noises: list[Array]) -> tuple[Array, Array]:
    """Return closeness to the wall (0 in the lumen, 1 near) and the height of the folds."""
    distance = np.sqrt((y - f32(scene.lumen[0])) ** 2 + (x - f32(scene.lumen[1])) ** 2)
    depth = 1 - np.exp(-((distance / f32(0.42)) ** 2))
    wave = np.cos(f32(scene.folds) * np.log(distance + f32(0.12)) * f32(1.6) + 1.2 * noises[0])
    folds = np.exp(3 * (wave - 1))  # narrow crests, wide valleys
    return depth.astype(F32), (f32(scene.fold_depth) * folds * depth + 0.015 * noises[1]).astype(F32)


def _colour(domain: Domain, noises: list[Array], shape: tuple[int, ...]) -> Array:
    """Mucosa with patches of redness and thin vessels."""
    colour = np.broadcast_to(f32(domain.tissue), (*shape, 3)).copy()
    colour += (0.035 * noises[1])[..., None] * f32((0.6, 1.0, 0.9))
    vessels = np.exp(-((noises[2] / f32(0.06)) ** 2)) * (noises[0] > 0)
    return colour - (0.05 * vessels)[..., None] * f32((0.6, 1.0, 1.0))


def _dome(blob: Blob, y: Array, x: Array) -> tuple[tuple[slice, slice], Array, Array]:
    """Return the window where a polyp is, and in it its soft membership in [0, 1] and its height, 1 at the top."""
    far = 2 * blob.radius  # beyond it both are nil
    rows = slice(*np.searchsorted(y[:, 0], (blob.y - far, blob.y + far)))
    columns = slice(*np.searchsorted(x[0], (blob.x - far, blob.x + far)))
    dy, dx = y[rows] - f32(blob.y), x[:, columns] - f32(blob.x)
    cos, sin = f32(np.cos(blob.angle)), f32(np.sin(blob.angle))
    along = (dx * cos + dy * sin) / f32(np.sqrt(blob.stretch))
    across = (dy * cos - dx * sin) * f32(np.sqrt(blob.stretch))
    theta = np.arctan2(across, along)
    outline = np.ones_like(theta)
    for wave, (size, phase) in zip((2, 3, 5), blob.waves, strict=True):
        outline += f32(size) * np.cos(f32(wave) * theta + f32(phase))
    reach = np.sqrt(along**2 + across**2) / (f32(blob.radius) * outline)
    inside = 1 / (1 + np.exp(np.clip((reach - 1) * f32(90 * blob.radius), -30, 30)))
    return (rows, columns), inside, np.sqrt(np.clip(1 - reach**2, 0, None))


def _shade(relief: Array, depth: Array, y: Array, x: Array, light: float) -> Array:
    """Light from the camera's tip: falls off outwards and into the lumen, and models the relief."""
    slope_y, slope_x = np.gradient(relief)
    scale = f32(relief.shape[0])
    lambert = 1 / np.sqrt(1 + 0.8 * scale**2 * (slope_y**2 + slope_x**2) * f32(0.25))
    side = np.clip(-(slope_y * f32(0.6) + slope_x * f32(0.35)) * scale * f32(0.16), -0.25, 0.25)
    falloff = 1 - f32(0.45) * (y**2 + x**2)
    return (f32(light) * falloff * (0.25 + 0.75 * depth) * (0.55 + 0.45 * lambert + side)).astype(F32)


def _add_highlights(
    image: Array, relief: Array, mask: NDArray[np.bool_], domain: Domain, rng: np.random.Generator
) -> None:
    """Small white spots, rather on crests and polyps than in valleys."""
    height, width = mask.shape
    count = rng.poisson(domain.highlights)
    rows, columns = rng.integers(0, height, 6 * count), rng.integers(0, width, 6 * count)
    likely = relief[rows, columns] + 0.15 * mask[rows, columns] + rng.uniform(0, 0.08, 6 * count)
    for index in np.argsort(-likely)[:count]:
        size_y, size_x = rng.uniform(1.0, 3.5), rng.uniform(1.0, 5.0)
        top, left = max(rows[index] - 12, 0), max(columns[index] - 16, 0)
        part = image[top : rows[index] + 13, left : columns[index] + 17]
        dy = (np.arange(part.shape[0]) + top - rows[index])[:, None] / size_y
        dx = (np.arange(part.shape[1]) + left - columns[index])[None, :] / size_x
        glow = np.clip(1.6 * np.exp(-0.5 * (dy**2 + dx**2)), 0, 1).astype(F32)[..., None]
        part += (1 - part) * glow


def _add_instrument(image: Array, y: Array, x: Array, direction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A metallic rod from the border towards the centre, with a line of glare; return where it covers."""
    cos, sin = f32(np.cos(direction)), f32(np.sin(direction))
    along = x * cos + y * sin
    across = y * cos - x * sin - f32(rng.uniform(-0.1, 0.1))
    half = f32(rng.uniform(0.025, 0.045))
    covered = (np.abs(across) < half) & (along > f32(rng.uniform(0.15, 0.3)))
    profile = across / half
    metal = 0.35 + 0.3 * np.sqrt(np.clip(1 - profile**2, 0, 1)) + 0.6 * np.exp(-(((profile - 0.3) / 0.15) ** 2))
    image[covered] = np.repeat(metal[covered][:, None], 3, axis=1).astype(F32) * f32((0.93, 0.98, 1.0))
    return covered


def _camera(
    image: Array, domain: Domain, rng: np.random.Generator, y: Array, x: Array, mask: NDArray[np.bool_]
) -> tuple[Pixels, Pixels]:
    """Blur, interlacing, noise, the black border, the overlay; then eight bits."""
    image = _blur(_blur(image, domain.softness, 0), domain.softness, 1)
    if domain.interlaced:
        image[1::2] = np.roll(image[1::2], int(rng.integers(-2, 3)), axis=1)
    image += rng.standard_normal(image.shape[:2], dtype=F32)[..., None] * f32(domain.noise)
    image += rng.standard_normal(image.shape, dtype=F32) * f32(domain.noise / 2)
    visible = _visible(domain, y, x)
    image[~visible] = 0.015
    if domain.overlay and rng.random() < 0.4:
        visible = visible & ~_add_overlay(image)
    pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels, ((mask & visible) * np.uint8(255)).astype(np.uint8)


def _blur(image: Array, sigma: float, axis: int) -> Array:
    """Gaussian blur along one axis with five taps; edges are repeated."""
    weights = np.exp(-0.5 * (np.arange(-2, 3) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(F32)
    pad = [(0, 0)] * image.ndim
    pad[axis] = (2, 2)
    padded = np.pad(image, pad, mode="edge")
    length = image.shape[axis]
    blurred = np.zeros_like(image)
    for tap, weight in enumerate(weights):
        blurred += (padded[tap : tap + length] if axis == 0 else padded[:, tap : tap + length]) * weight
    return blurred


def _visible(domain: Domain, y: Array, x: Array) -> NDArray[np.bool_]:
    """The field of view: all, a disc, or a rectangle with cut corners."""
    half = domain.width / domain.height / 2
    if domain.frame == "circle":
        return (y**2 + (x * 0.52 / half) ** 2) < 0.52**2 * 1.15
    if domain.frame == "octagon":
        return (np.abs(y) < 0.48) & (np.abs(x) < half - 0.02) & (np.abs(y) + np.abs(x) < half + 0.38)
    return np.ones((y.size, x.size), bool)


def _add_overlay(image: Array) -> NDArray[np.bool_]:
    """The green box in the lower left corner that shows the scope's position."""
    covered = np.zeros(image.shape[:2], bool)
    height, width = image.shape[:2]
    covered[int(0.68 * height) : int(0.97 * height), int(0.02 * width) : int(0.24 * width)] = True
    image[covered] = f32((0.02, 0.32, 0.16))
    rows = np.arange(int(0.71 * height), int(0.94 * height))
    columns = (0.13 + 0.07 * np.sin(rows / height * 22)) * width
    for step in range(3):
        image[rows, columns.astype(int) + step] = f32((0.6, 0.95, 0.5))
    return covered
