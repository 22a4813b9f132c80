"""What the networks say of one picture, as a dictionary for JSON."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.prediction.findings import Finding, field_of_view, find_parts
from benchmark.prediction.loaded import LoadedModel, Prediction, disagreement
from benchmark.robustness.denoising.classical import get_front_end
from benchmark.serve.input_checks import check_picture
from benchmark.serve.inputs import Frame

Pixels = NDArray[np.uint8]
MAX_LISTED = 50
"""Findings that an answer lists; the rest is counted."""


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Attributes:
        models: Ids of the loaded networks to use, at least one.
        threshold: A pixel is polyp where its probability is above.
        flips: Also predict mirror images, for their disagreement.
        denoise: Front end in front of the networks; "none" leaves the picture unchanged.
        picture: Whether the picture itself is sent back, for browsers that cannot decode the file.
    """

    models: tuple[str, ...]
    threshold: float = 0.5
    flips: bool = False
    denoise: str = "none"
    picture: bool = False


@dataclass(frozen=True)
class Seen:
    """One picture and what each network says of it.

    Attributes:
        frame: The picture.
        predictions: By id of the network.
        field: (H, W) bool, the field of view.
    """

    frame: Frame
    predictions: dict[str, Prediction]
    field: NDArray[np.bool_]

    @property
    def field_px(self) -> int:
        """Pixels of the field of view."""
        return int(self.field.sum())

    @property
    def image(self) -> Pixels:
        assert self.frame.image is not None, "a frame that was seen has a picture"
        return self.frame.image

    def findings(self, model: str, threshold: float) -> list[Finding]:
        """The mask's parts by one network."""
        return find_parts(self.predictions[model].prob, threshold, field=self.field)


def look(models: Mapping[str, LoadedModel], frame: Frame, asked: Asked) -> Seen:
    """Predict one picture by each network asked for.

    Raises:
        BenchError: A network's weights have diverged, or the picture is too small to denoise.
    """
    assert frame.image is not None, "checked by the caller"
    ready = frame.image if asked.denoise == "none" else get_front_end(asked.denoise)(frame.image)
    found = {name: models[name].predict(ready, flips=asked.flips) for name in asked.models}
    return Seen(frame, found, field_of_view(frame.image))


def answer(seen: Seen, models: Mapping[str, LoadedModel], asked: Asked) -> dict[str, Any]:
    """The answer about one picture; maps are PNG in base64, 255 x probability."""
    maps = [one.prob for one in seen.predictions.values()]
    return {
        **_of_frame(seen.frame),
        "width_px": seen.image.shape[1],
        "height_px": seen.image.shape[0],
        "field_px": seen.field_px,
        "field": text(png(seen.field)) if asked.picture else None,
        "warnings": check_picture(seen.image, seen.field),
        "threshold": asked.threshold,
        "denoise": asked.denoise,
        "picture": text(png(seen.image)) if asked.picture else None,
        "models": [
            _of_model(name, models[name].title, one, seen.findings(name, asked.threshold), asked.threshold)
            for name, one in seen.predictions.items()
        ],
        "disagreement": text(png(disagreement(maps))) if len(maps) > 1 else None,
    }


def unreadable(frame: Frame) -> dict[str, Any]:
    """The answer about a picture that could not be read."""
    return {**_of_frame(frame), "models": []}


def _of_frame(frame: Frame) -> dict[str, Any]:
    return {"number": frame.number, "name": frame.name, "time_s": frame.time_s, "error": frame.error}


def _of_model(name: str, title: str, one: Prediction, findings: Sequence[Finding], threshold: float) -> dict[str, Any]:
    area = int(one.mask(threshold).astype(bool).sum())
    return {
        "id": name,
        "title": title,
        "map": text(png(one.prob)),
        "area_px": area,
        "num_findings": len(findings),
        "findings": [finding.to_json() for finding in findings[:MAX_LISTED]],
        "flip_disagreement": text(png(disagreement([one.prob, *one.flipped]))) if one.flipped else None,
    }


def png(pixels: Pixels | NDArray[np.bool_], *, comment: str = "") -> bytes:
    """PNG of (H, W) or (H, W, 3) uint8, or of (H, W) bool in one bit; a comment is kept in the file."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    buffer, info = io.BytesIO(), PngInfo()
    if comment:
        info.add_text("Comment", comment)
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1, pnginfo=info)
    return buffer.getvalue()


def text(content: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(content).decode("ascii")
