"""The worst images of every model, with small copies of image, truth and maps for a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np

from benchmark.errors import BenchError
from benchmark.metrics.aggregate import worst_first
from benchmark.metrics.measures import MEASURES
from benchmark.report.figures.evidence import Evidence, Member
from benchmark.report.figures.pictures import Pictures, Pixels, fitted, stretches
from benchmark.report.figures.style import titles
from benchmark.report.records.blocks import Block
from benchmark.report.records.select import set_title

MAX_IMAGES = 40
"""Maximum number of embedded images per test set."""

BOX_PX = 192
"""Longer side of the copies."""


def album(evidence: Evidence, pictures: Pictures | None, *, worst: int) -> dict[str, Any]:
    """Return the gallery of one study as JSON-ready data.

    Args:
        evidence: The records.
        pictures: Where images and maps are; None embeds none and leaves lists of names and scores.
        worst: Images per test set, model and measure. At most ``MAX_IMAGES`` per test set are embedded: first every
            list's worst, then every list's second, and so on.
    Returns:
        By test set: title, models (name, title), worst (model -> measure -> ids, worst first), images (id -> scores
        and, where embedded, width, height, image, truth, maps as data URLs), why (reason for missing pictures).
    """
    sets: dict[str, Any] = {}
    for dataset in evidence.datasets:
        try:
            blocks = {m.key: replace(evidence, measure=m).block(dataset) for m in MEASURES}
        except BenchError:
            continue
        sets[dataset] = _one_set(evidence, dataset, blocks, pictures, worst)
    return sets


def _one_set(
    evidence: Evidence, dataset: str, blocks: dict[str, Block], pictures: Pictures | None, worst: int
) -> dict[str, Any]:
    models = [m for m in blocks[MEASURES[0].key].models if all(m in block.models for block in blocks.values())]
    lists = {
        model: {m.key: _worst(blocks[m.key], model, m.higher_is_better, worst) for m in MEASURES} for model in models
    }
    ids = list(dict.fromkeys(i for found in lists.values() for names in found.values() for i in names))
    images: dict[str, dict[str, Any]] = {i: {"scores": _scores(blocks, models, i)} for i in ids}
    why, shown = "pictures were left out with --no-images", list[str]()
    if pictures is not None:
        try:
            shown = _embed(pictures, dataset, images, lists)
            why = f"the page holds {len(shown)} pictures of a test set at most" if len(shown) < len(ids) else ""
        except BenchError as error:
            why = str(error)
    return {
        "title": set_title(evidence.records, dataset),
        "models": [{"name": name, "title": title} for name, title in titles(models).items()],
        "worst": lists,
        "images": images,
        "seed": blocks[MEASURES[0].key].seeds[0],
        "stretch": stretches(evidence.protocol),
        "why": why,
    }


def _worst(block: Block, model: str, higher_is_better: bool, number: int) -> list[str]:
    means = block.scores[block.index(model)].mean(axis=0)
    return [block.ids[i] for i in worst_first(means, higher_is_better=higher_is_better)[:number]]


def _scores(blocks: dict[str, Block], models: Sequence[str], image_id: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for model in models:
        found[model] = {
            key: round(float(block.scores[block.index(model), :, block.ids.index(image_id)].mean()), 4)
            for key, block in blocks.items()
        }
    return found


def _embed(
    pictures: Pictures, dataset: str, images: dict[str, dict[str, Any]], lists: dict[str, dict[str, list[str]]]
) -> list[str]:
    """Add copies of the first images of every list, as many as fit."""
    members = [m for m in pictures.with_maps(dataset) if m.name in lists]
    pictures.items(dataset)
    turns = zip_longest(*(ids for found in lists.values() for ids in found.values()))
    chosen = list(dict.fromkeys(i for turn in turns for i in turn if i is not None))[:MAX_IMAGES]
    for image_id in chosen:
        images[image_id] |= _copies(pictures, members, dataset, image_id)
    return chosen


def _copies(pictures: Pictures, members: Sequence[Member], dataset: str, image_id: str) -> dict[str, Any]:
    image, mask = pictures.pair(dataset, image_id)
    small = fitted(image, BOX_PX)
    maps, ranges = {}, {}
    for member in members:
        prob = pictures.map(member, dataset, image_id)
        ranges[member.name] = [int(prob.min()), int(prob.max())]
        maps[member.name] = _address(fitted(prob, BOX_PX), "PNG")
    return {
        "width": small.shape[1],
        "height": small.shape[0],
        "image": _address(small, "JPEG"),
        "truth": _address(fitted((mask * 255).astype(np.uint8), BOX_PX), "PNG"),
        "maps": maps,
        "ranges": ranges,
    }


def _address(pixels: Pixels, kind: str) -> str:
    """Return an image as a data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": 75} if kind == "JPEG" else {"optimize": True}
    Image.fromarray(pixels).save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
