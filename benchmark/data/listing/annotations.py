"""Outlines and boxes instead of masks: COCO and LabelMe files, drawn once into mask files by scikit-image.

A pixel is foreground if its centre is inside a shape: pixel (row, column) has its centre at (row + 0.5, column + 0.5),
as COCO and LabelMe count from the corner. Several shapes of one image are united.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.data.files.generated import build_folder, default_cache_dir
from benchmark.errors import BenchError
from benchmark.untrusted import FormatFault, read_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Shapes = Literal["polygons", "boxes"]
VERSION = 1
"""Increase it whenever the same annotations would give different pixels: it is part of the folder's name."""

Points = tuple[tuple[float, float], ...]
"""Corners (x, y) in pixels."""

DRAWN = "drawn-masks"
"""Folder in the cache for masks that are drawn, not read."""

MAX_CORNERS = 100_000
_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Outline:
    """The annotation of one image.

    Attributes:
        name: File name of the image, as annotated; it may hold folders.
        size: Width and height in pixels, None where the file does not say.
        polygons: Foreground; none for an image without a polyp.
    """

    name: str
    size: tuple[int, int] | None
    polygons: tuple[Points, ...]


def read_annotations(files: Sequence[Path], *, shapes: Shapes, labels: Sequence[str]) -> dict[str, Outline]:
    """Return the annotations of COCO or LabelMe files, by image name.

    Args:
        files: One COCO file, or one LabelMe file per image.
        shapes: Outlines, or boxes instead.
        labels: Categories that are foreground; every one if empty.
    Raises:
        BenchError: A file cannot be read, has neither form, or holds a shape that cannot be drawn; the file is named.
    """
    found: dict[str, Outline] = {}
    for file in files:
        payload = _read(file)
        try:
            outlines = list(_coco(payload, shapes, labels) if "annotations" in payload else _labelme(payload, labels))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            detail = f"key {error} is missing" if isinstance(error, KeyError) else error
            raise BenchError(f"annotations {file}: {detail}; expected COCO or LabelMe JSON") from None
        for one in outlines:
            if one.name in found:
                raise BenchError(f"annotations {file}: image {one.name} is annotated twice; keep one")
            found[one.name] = one
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        payload = read_json(file, max_bytes=_MAX_BYTES)
    except (OSError, FormatFault) as error:
        raise BenchError(f"cannot read annotations {file}: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(payload, dict):
        raise BenchError(f"annotations {file}: expected COCO or LabelMe JSON, got a {type(payload).__name__}")
    return payload


def _coco(payload: Mapping[str, Any], shapes: Shapes, labels: Sequence[str]) -> Iterable[Outline]:
    """Yield one outline per image; ``segmentation`` holds lists x1, y1, x2, y2..., ``bbox`` x, y, width, height."""
    names = {one["id"]: str(one["name"]) for one in payload.get("categories", ())}
    unknown = [label for label in labels if label not in names.values()]
    if unknown:
        raise ValueError(f"no category is called {unknown[0]!r}, known are {', '.join(names.values())}")
    drawn: dict[Any, list[Points]] = {one["id"]: [] for one in payload["images"]}
    for one in payload["annotations"]:
        if labels and names.get(one["category_id"]) not in labels:
            continue
        if one["image_id"] not in drawn:
            raise ValueError(f"annotation {one.get('id')} is of image {one['image_id']}, which is not listed")
        if shapes == "boxes":
            x, y, width, height = map(float, one["bbox"])
            drawn[one["image_id"]].append(((x, y), (x + width, y), (x + width, y + height), (x, y + height)))
        elif isinstance(one.get("segmentation"), list) and one["segmentation"]:
            flat = one["segmentation"]
            drawn[one["image_id"]] += [_corners(zip(part[::2], part[1::2], strict=True)) for part in flat]
        else:
            raise ValueError(
                f'annotation {one.get("id")} has no polygon (run-length code is not read): set shapes = "boxes" to '
                "draw boxes, or export polygons or masks"
            )
    for image in payload["images"]:
        yield Outline(str(image["file_name"]), (int(image["width"]), int(image["height"])), tuple(drawn[image["id"]]))


def _labelme(payload: Mapping[str, Any], labels: Sequence[str]) -> Iterable[Outline]:
    """Yield the outline of a LabelMe file's image: polygons, and rectangles by two corners."""
    polygons = []
    for one in payload["shapes"]:
        if labels and one["label"] not in labels:
            continue
        kind, points = one.get("shape_type", "polygon"), _corners(one["points"])
        if kind == "rectangle" and len(points) == 2:
            (x1, y1), (x2, y2) = points
            points = ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
        elif kind != "polygon":
            raise ValueError(f"a shape of type {kind!r} is not supported; expected polygon or rectangle")
        polygons.append(points)
    size = payload.get("imageWidth"), payload.get("imageHeight")
    known = (int(size[0]), int(size[1])) if size[0] and size[1] else None
    yield Outline(str(payload["imagePath"]).replace("\\", "/"), known, tuple(polygons))


def _corners(points: Iterable[Any]) -> Points:
    found = tuple((float(x), float(y)) for x, y in points)
    if not 2 <= len(found) <= MAX_CORNERS or any(abs(value) > 1e6 for point in found for value in point):
        raise ValueError(f"a polygon of {len(found)} corners, or one far outside the image")
    return found


def draw(polygons: Sequence[Points], height: int, width: int) -> NDArray[np.uint8]:
    """Return a mask (H, W) uint8, 255 where a pixel's centre is inside a polygon."""
    import numpy as np
    from skimage.draw import polygon

    mask = np.zeros((height, width), np.uint8)
    for points in polygons:
        x, y = np.array(points, np.float64).T
        mask[polygon(y - 0.5, x - 0.5, mask.shape)] = 255
    return mask


def draw_masks(
    outlines: Mapping[str, Outline], images: Mapping[str, Path], *, cache_dir: Path | None = None
) -> dict[str, Path]:
    """Draw the masks of images once, as uncompressed bitmaps in the cache folder, and return their paths by id.

    Args:
        outlines: Annotations by id of the image.
        images: Image files by id; each has an outline.
        cache_dir: None for the user's cache folder.
    Raises:
        BenchError: An image is of another size than annotated, or the masks cannot be written.
    """
    from benchmark.data.files.decode import image_shape

    shapes = {name: image_shape(path) for name, path in images.items()}
    for name, (height, width) in shapes.items():
        size = outlines[name].size
        if size is not None and size != (width, height):
            raise BenchError(
                f"image {images[name]} is {width}x{height}, annotated at {size[0]}x{size[1]}; restore the original pair"
            )
    lines = [f"v{VERSION}", *(f"{name} {shapes[name]} {outlines[name].polygons}" for name in sorted(images))]
    key = hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()

    def build(folder: Path) -> None:
        from PIL import Image

        for number, name in enumerate(sorted(images)):
            Image.fromarray(draw(outlines[name].polygons, *shapes[name])).save(folder / f"{number}.bmp")

    needed = sum(height * width for height, width in shapes.values())
    folder = build_folder((cache_dir or default_cache_dir()) / DRAWN / key, build, needed_bytes=needed)
    return {name: folder / f"{number}.bmp" for number, name in enumerate(sorted(images))}


def black_masks(images: Mapping[str, Path], *, cache_dir: Path | None = None) -> dict[str, Path]:
    """Return an all-black mask for each image without a polyp, by id; images of one size share a file."""
    from benchmark.data.files.decode import image_shape

    home = (cache_dir or default_cache_dir()) / DRAWN
    folders: dict[tuple[int, int], Path] = {}
    found = {}
    for name, path in images.items():
        shape = image_shape(path)
        if shape not in folders:
            height, width = shape
            folders[shape] = build_folder(home / f"black-v{VERSION}-{width}x{height}", partial(_draw_black, shape))
        found[name] = folders[shape] / "0.bmp"
    return found


def _draw_black(shape: tuple[int, int], folder: Path) -> None:
    from PIL import Image

    Image.fromarray(draw((), *shape)).save(folder / "0.bmp")
