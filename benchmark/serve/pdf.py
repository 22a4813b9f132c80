"""One page in PDF, by reportlab: the picture with its outline, findings, network, and what the reader filled in."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.prediction.findings import Finding
from benchmark.serve.dicom_write import RESEARCH

LABELS = {
    "reader": "Reader",
    "size_mm": "Size (mm)",
    "paris": "Paris class",
    "nice": "NICE class",
    "site": "Site",
    "comment": "Comment",
}
_MOST_ROWS = 8


def page(
    picture: NDArray[np.uint8],
    findings: Sequence[Finding],
    *,
    title: str,
    facts: Mapping[str, Any],
    threshold: float,
    fields: Mapping[str, str],
) -> bytes:
    """Lay out an A4 page.

    Args:
        picture: (H, W, 3) uint8, with the outline.
        findings: The largest eight are listed, the others counted.
        title: The network.
        facts: Of its cell.
        threshold: Of the mask.
        fields: The reader's entries by name; empty ones are printed as lines to fill in.
    """
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.lib.units import mm
    from reportlab.platypus import KeepInFrame, Paragraph, SimpleDocTemplate, Spacer

    styles = getSampleStyleSheet()
    body = [
        Paragraph("Model output on one endoscopy picture", styles["Title"]),
        Paragraph(f"<b>{RESEARCH}.</b> No millimetres and no class are inferred.", styles["Normal"]),
        Spacer(1, 4 * mm),
        _image(picture, 170 * mm, 95 * mm),
        Spacer(1, 4 * mm),
        Paragraph(_found(findings, threshold), styles["Normal"]),
        Spacer(1, 2 * mm),
        *_table(findings),
        Spacer(1, 4 * mm),
        Paragraph("Filled in by the reader", styles["Heading3"]),
        *[Paragraph(f"{label}: {_entry(fields.get(key, ''))}", styles["Normal"]) for key, label in LABELS.items()],
        Spacer(1, 4 * mm),
        Paragraph("The network", styles["Heading3"]),
        *[Paragraph(line, styles["Normal"]) for line in _network(title, facts)],
    ]
    buffer = io.BytesIO()
    document = SimpleDocTemplate(buffer, pagesize=A4, margin=18 * mm, title="polyp-bench report", author="polyp-bench")
    document.build([KeepInFrame(document.width, document.height - 12, body, mode="shrink")])
    return buffer.getvalue()


def _image(picture: NDArray[np.uint8], width: float, height: float) -> Any:
    from PIL import Image as Pillow
    from reportlab.platypus import Image

    content = io.BytesIO()
    Pillow.fromarray(picture).save(content, format="PNG")
    content.seek(0)
    scale = min(width / picture.shape[1], height / picture.shape[0])
    return Image(content, width=picture.shape[1] * scale, height=picture.shape[0] * scale)


def _found(findings: Sequence[Finding], threshold: float) -> str:
    if not findings:
        return f"No finding: no pixel has a probability above {threshold:g}. That does not exclude a polyp."
    more = f"; the largest {_MOST_ROWS} are listed" if len(findings) > _MOST_ROWS else ""
    parts = "one connected part" if len(findings) == 1 else f"{len(findings)} connected parts"
    return f"{parts} above a probability of {threshold:g}{more}. Probabilities are not calibrated."


def _table(findings: Sequence[Finding]) -> list[Any]:
    from reportlab.lib import colors
    from reportlab.platypus import Table, TableStyle

    if not findings:
        return []
    rows = [["", "area (px)", "of the field", "box: left, top, width, height (px)", "position", "mean prob."]]
    for one in findings[:_MOST_ROWS]:
        box = ", ".join(map(str, one.box_px))
        rows.append([str(one.number), f"{one.area_px}", f"{one.area_share:.1%}", box, one.position, f"{one.mean_prob:.2f}"])  # fmt: skip  # noqa: E501
    lines = [("LINEBELOW", (0, 0), (-1, 0), 0.7, colors.black), ("FONTSIZE", (0, 0), (-1, -1), 9)]
    return [Table(rows, style=TableStyle(lines), hAlign="LEFT")]


def _entry(text: str) -> str:
    return escape(text) if text else "______________________"


def _network(title: str, facts: Mapping[str, Any]) -> list[str]:
    lines = [escape(title)]
    if facts.get("weights_sha256"):
        lines.append(f"weights SHA-256 {facts['weights_sha256']}")
    if facts.get("commit"):
        lines.append(f"commit {escape(str(facts['commit']))}")
    if facts.get("split"):
        lines.append(f"trained on split {escape(str(facts['split']))}, {facts.get('num_train')} images")
    if facts.get("synthetic"):
        lines.append("<b>Trained or tested on synthetic pictures: what it shows says nothing about real polyps.</b>")
    for row in list(facts.get("scores", ()))[:4]:
        if row.get("mdsc") is not None:
            low_high = row.get("interval")
            ends = f" [{low_high[0]:.3f}, {low_high[1]:.3f}]" if low_high else " (no interval)"
            lines.append(f"{escape(row['dataset'])}, protocol {escape(row['protocol'])}: mDSC {row['mdsc']:.3f}{ends}")
    return lines
