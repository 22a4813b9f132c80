"""Files of one prediction: overlay, mask, findings as JSON and CSV, a page in PDF, DICOM objects."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from benchmark._version import __version__
from benchmark.prediction.outputs import overlay
from benchmark.serve.answers import Seen, png
from benchmark.serve.dicom_write import RESEARCH, Stated, dicom_objects
from benchmark.serve.pdf import page

Pixels = NDArray[np.uint8]
Format = Literal["overlay", "mask", "json", "csv", "pdf", "dicom"]
FORMATS: tuple[Format, ...] = get_args(Format)
FIELDS = ("reader", "size_mm", "paris", "nice", "site", "comment")
"""What a clinician may fill in; none of it is inferred."""
LONGEST_FIELD = 500


@dataclass(frozen=True)
class File:
    """An export.

    Attributes:
        name: For the browser.
        media_type: Its kind.
        content: Its bytes.
    """

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class Export:
    """What an export is made of.

    Attributes:
        seen: The picture and its maps.
        model: Id of the network whose map is exported.
        title: The network.
        facts: What is known of it.
        threshold: Of the mask.
        fields: What the clinician filled in.
        source: The DICOM data set that was sent, where its identifiers are to be kept; else None.
    """

    seen: Seen
    model: str
    title: str
    facts: Mapping[str, Any]
    threshold: float
    fields: Mapping[str, str]
    source: Any | None = None

    @property
    def mask(self) -> Pixels:
        """(H, W) uint8, 0 and 255."""
        return self.seen.predictions[self.model].mask(self.threshold)

    @property
    def weights(self) -> str:
        """SHA-256 of the network's weights, empty where it is not known."""
        return str(self.facts.get("weights_sha256") or "")


def write(export: Export, kind: Format) -> File:
    """Make one export.

    Raises:
        BenchError: No DICOM objects can be made of what was sent.
    """
    return _WRITERS[kind](export)


def _overlay(export: Export) -> File:
    return File("overlay.png", "image/png", png(_marked(overlay(export.seen.image, export.mask)), comment=RESEARCH))


def _mask(export: Export) -> File:
    return File("mask.png", "image/png", png(export.mask, comment=RESEARCH))


def _json(export: Export) -> File:
    text = json.dumps(_facts(export), indent=2, ensure_ascii=False)
    return File("findings.json", "application/json", text.encode())


def _csv(export: Export) -> File:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = ["number", "area_px", "area_share", "left_px", "top_px", "width_px", "height_px"]
    columns += ["centre_x_px", "centre_y_px", "position", "mean_prob", "max_prob", "model", "threshold", "note"]
    writer.writerow(columns)
    end = [_plain(export.title), export.threshold, RESEARCH]
    for one in export.seen.findings(export.model, export.threshold):
        place = [*one.box_px, *one.centre_px, one.position]
        writer.writerow([one.number, one.area_px, one.area_share, *place, one.mean_prob, one.max_prob, *end])
    return File("findings.csv", "text/csv; charset=utf-8", buffer.getvalue().encode())


def _pdf(export: Export) -> File:
    picture = overlay(export.seen.image, export.mask)
    findings = export.seen.findings(export.model, export.threshold)
    content = page(picture, findings, title=export.title, facts=export.facts, threshold=export.threshold, fields=export.fields)  # fmt: skip  # noqa: E501
    return File("report.pdf", "application/pdf", content)


def _dicom(export: Export) -> File:
    findings = export.seen.findings(export.model, export.threshold)
    stated = Stated(export.title, export.weights, findings, export.threshold, dict(export.fields))
    objects = dicom_objects(export.seen.image, export.mask, stated, source=export.source)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in objects.items():
            archive.writestr(name, content)
    return File("dicom.zip", "application/zip", buffer.getvalue())


_WRITERS = {"overlay": _overlay, "mask": _mask, "json": _json, "csv": _csv, "pdf": _pdf, "dicom": _dicom}


def _facts(export: Export) -> dict[str, Any]:
    return {
        "note": RESEARCH,
        "made_by": f"polyp-bench {__version__}",
        "model": export.title,
        "weights_sha256": export.weights or None,
        "threshold": export.threshold,
        "width_px": export.seen.image.shape[1],
        "height_px": export.seen.image.shape[0],
        "field_px": export.seen.field_px,
        "filled_in_by_reader": {key: value for key, value in export.fields.items() if value},
        "findings": [one.to_json() for one in export.seen.findings(export.model, export.threshold)],
    }


def _marked(picture: Pixels) -> Pixels:
    """The picture with the note on research use below it."""
    from PIL import Image, ImageDraw

    height, width = picture.shape[:2]
    sheet = Image.new("RGB", (width, height + 16), "white")
    sheet.paste(Image.fromarray(picture), (0, 0))
    ImageDraw.Draw(sheet).text((4, height + 2), RESEARCH, fill="black")
    return np.asarray(sheet)


def _plain(text: str) -> str:
    return f"'{text}" if text[:1] in "=+-@" else text
