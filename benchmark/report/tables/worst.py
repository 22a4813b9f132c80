"""The worst images of each model, per test set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from benchmark.errors import BenchError
from benchmark.metrics.aggregate import MISS_BELOW, worst_first
from benchmark.report.sheets.escape import label
from benchmark.report.sheets.listing import Field, listing
from benchmark.report.sheets.sheet import Sheet
from benchmark.report.tables.captions import caption
from benchmark.report.tables.image_rows import ImageRows
from benchmark.report.tables.rows import printed

_FIELDS = (
    Field("model_title", "Model", "Model", number=False),
    Field("rank", "Rank", "Rank"),
    Field("id", "Image", "Image", number=False),
    Field("dice", "Dice", "Dice ↑", printed),
    Field("iou", "IoU", "IoU ↑", printed),
    Field("dice_half", "Dice at 0.5", "Dice at 0.5 ↑", printed),
    Field("mae", "MAE", "MAE ↓", printed),
    Field("area_rel", "Area", "Area", lambda share: f"{share:.1%}"),
    Field("num_polyps", "Polyps", "Polyps"),
    Field("border", "Border", "Border", number=False),
)


def worst_lists(images: Iterable[ImageRows], k: int) -> list[Sheet]:
    """Build one list per test set: each model's ``k`` images of least Dice, worst first; ties by id.

    Args:
        images: From ``image_rows``; scores are means over the row's seeds.
        k: At least 1; a set that has fewer images is listed whole.
    Raises:
        BenchError: ``k`` is below 1.
    """
    if k < 1:
        raise BenchError(f"--worst {k}: expected a number of images from 1 on")
    return [_build(list(rows), k) for _, rows in groupby(images, key=lambda one: one.table.dataset)]


def _build(found: Sequence[ImageRows], k: int) -> Sheet:
    table = found[0].table
    text = caption(f"The {k} images of least Dice", table.title, table.facts)
    return listing(
        stem=f"worst-{label(table.dataset)}",
        caption=f"{text} Dice as averaged in mDSC; below {MISS_BELOW:g} an image counts as missed.",
        fields=_FIELDS,
        rows=tuple(line for one in found for line in _lines(one, k)),
        notes=table.notes,
    )


def _lines(one: ImageRows, k: int) -> list[dict[str, Any]]:
    if one.images is None:
        return []
    by_id = one.images.reset_index().sort_values("id", kind="stable")
    ordered = by_id.iloc[worst_first(by_id["dice"])[:k]]
    facts, row = one.table.facts, one.row
    return [
        {
            "dataset": one.table.dataset,
            "model": row.model,
            "model_title": row.title + ("†" if row.foreign else ""),
            "rank": rank,
            "id": image["id"],
            "group": image["group"],
            **{key: float(image[key]) for key in ("dice", "iou", "dice_half", "iou_half", "sm", "mae", "area_rel")},
            "size_bin": image["size_bin"],
            "num_polyps": int(image["num_polyps"]),
            "border": "touches" if image["touches_border"] else "",
            "missed": float(image["miss"]) if image["mask_px"] else None,
            "protocol": facts.protocol,
            "protocol_hash": facts.protocol_hash,
            "seeds": " ".join(map(str, row.seeds)),
            "synthetic": facts.synthetic,
        }
        for rank, image in enumerate(ordered.to_dict("records"), start=1)
    ]
