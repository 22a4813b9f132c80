"""The page of `bench serve` in a real Chromium: drop, threshold, comparison, video, exports, keyboard, phone."""

from __future__ import annotations

import base64
import io
import json
import re
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Visit, Visitor
from page_server import Running, dicom, film
from PIL import Image
from pypdf import PdfReader

DROP = """([name, kind, base64]) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type: kind }));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def drop(visit: Visit, name: str, content: bytes) -> None:
    visit.page.evaluate("document.getElementById('status').textContent = ''")
    visit.page.evaluate(DROP, [name, "", base64.b64encode(content).decode()])
    told(visit, r"(.* · )?(\d+ pictures|Done\.)")


def told(visit: Visit, pattern: str, where: str = "status") -> None:
    """Wait until a line of the page says something; the page's own policy forbids Playwright's waiting in it."""
    end = time.monotonic() + 60
    while not re.fullmatch(pattern, text := visit.page.inner_text(f"#{where}")):
        assert time.monotonic() < end, text
        visit.page.wait_for_timeout(50)


def summaries(visit: Visit) -> list[str]:
    return [one.inner_text() for one in visit.page.query_selector_all(".view .summary")]


def slide(visit: Visit, name: str, value: str) -> None:
    visit.page.fill(f"#{name}", value)
    visit.page.wait_for_timeout(100)


def clean(visit: Visit, page_server: Running) -> None:
    assert visit.errors == []
    assert all(url.startswith((page_server.url, "blob:")) for url in visit.requests)


def test_a_dropped_picture_follows_the_threshold(visit: Visitor, page_server: Running, picture: bytes) -> None:
    page = visit(page_server.url + "/")
    drop(page, "frame.png", picture)
    for threshold in ("0.5", "0.3", "0.45", "1"):
        slide(page, "threshold", threshold)
        answer = page_server.post("/api/segment", picture, threshold=threshold).json()["models"][0]
        (summary,) = summaries(page)
        assert summary.startswith(f"{answer['num_findings']} finding" if answer["num_findings"] else "No finding")
        rows = page.page.query_selector_all(".view table tr")[1:21]
        shown = [[cell.inner_text() for cell in row.query_selector_all("td")] for row in rows]
        expected = [
            [str(one["number"]), str(one["area_px"]), one["position"], ", ".join(map(str, one["box_px"]))]
            for one in answer["findings"][:20]
        ]
        assert [[row[0], row[1], row[3], row[4]] for row in shown] == expected
    clean(page, page_server)


def test_two_cells_stand_side_by_side(visit: Visitor, page_server: Running, picture: bytes) -> None:
    page = visit(page_server.url + "/")
    page.page.check("input[value=m2]")
    page.page.check("#flips")
    drop(page, "frame.png", picture)
    assert len(summaries(page)) == 2
    seen = set()
    for view in ("outline", "heat", "flips", "models"):
        page.page.select_option("#view", view)
        slide(page, "divider", "50")
        seen.add(page.page.query_selector(".view canvas").screenshot())
    assert len(seen) == 4, "each view is another picture"
    page.page.uncheck("#flips")
    told(page, r"Done\.")
    clean(page, page_server)


def test_dicom_and_video_are_shown_frame_by_frame(
    visit: Visitor, page_server: Running, picture: bytes, tmp_path: Path
) -> None:
    rgb = np.asarray(Image.open(io.BytesIO(picture)))
    moved = [np.roll(rgb, 20 * k, axis=1) for k in range(3)]
    page = visit(page_server.url + "/")
    drop(page, "film.mp4", film(tmp_path / "film.mp4", moved))
    assert page.page.is_visible("#timeline") and page.page.get_attribute("#frame", "max") == "2"
    slide(page, "frame", "2")
    told(page, "frame 3, .*", "frame-text")
    assert not page.page.is_visible("#keep")
    drop(page, "frame.dcm", dicom(rgb, "RGB"))
    assert page.page.is_visible("#keep") and not page.page.is_visible("#frames")
    assert "Smith" not in page.page.content() and "4711" not in page.page.content()
    clean(page, page_server)


def test_every_export_comes_down_and_can_be_read(visit: Visitor, page_server: Running, picture: bytes) -> None:
    page = visit(page_server.url + "/")
    drop(page, "frame.png", picture)
    slide(page, "threshold", "0.3")
    page.page.fill("[data-field=paris]", "0-IIa")
    found: dict[str, bytes] = {}
    for kind in ("overlay", "mask", "json", "csv", "pdf", "dicom"):
        with page.page.expect_download() as waited:
            page.page.click(f"button[data-kind={kind}]")
        found[waited.value.suggested_filename] = Path(waited.value.path()).read_bytes()
    facts: dict[str, Any] = json.loads(found["findings.json"])
    assert facts["threshold"] == 0.3 and facts["filled_in_by_reader"] == {"paris": "0-IIa"}
    area = sum(one["area_px"] for one in facts["findings"])
    assert (np.asarray(Image.open(io.BytesIO(found["mask.png"]))) > 0).sum() == area
    assert f", {area} px," in summaries(page)[0]
    assert len(found["findings.csv"].splitlines()) == 1 + len(facts["findings"])
    assert "0-IIa" in PdfReader(io.BytesIO(found["report.pdf"])).pages[0].extract_text()
    assert len(zipfile.ZipFile(io.BytesIO(found["dicom.zip"])).namelist()) == 3
    assert Image.open(io.BytesIO(found["overlay.png"])).size[0] == facts["width_px"]
    clean(page, page_server)


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_needs_no_sideways_scrolling_and_a_keyboard_suffices(
    dark: bool, visit: Visitor, page_server: Running
) -> None:
    page = visit(page_server.url + "/", width=390, dark=dark)
    page.page.focus("[data-sample=kvasir]")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".view .summary:not(:empty)", timeout=60_000)
    assert page.overflow_px() <= 0
    page.page.focus("#threshold")
    before = page.page.inner_text("#threshold-text")
    page.page.keyboard.press("ArrowRight")
    assert float(page.page.inner_text("#threshold-text")) == pytest.approx(float(before) + 0.01)
    assert "not a medical device" in page.page.inner_text("header")
    assert page.page.evaluate(CONTRAST) >= 4.5
    unnamed = page.page.evaluate(
        "[...document.querySelectorAll('input, select, button')].filter((one) => one.offsetParent && "
        "!(one.labels && one.labels.length) && !one.textContent.trim() && !one.ariaLabel).map((one) => one.outerHTML)"
    )
    assert unnamed == []
    clean(page, page_server)


CONTRAST = """() => {
    const number = (text) => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
    const linear = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = (rgb) => { const [r, g, b] = rgb.map(linear);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const behind = (one) => { for (; one; one = one.parentElement) { const c = getComputedStyle(one).backgroundColor;
        if (!/, 0\\)$|transparent/.test(c)) return number(c); } return [255, 255, 255]; };
    const ratios = [...document.querySelectorAll("body *")].filter((one) => one.offsetParent && !one.disabled
        && [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
        .map((one) => { const a = light(number(getComputedStyle(one).color)), b = light(behind(one));
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); });
    return Math.min(...ratios);
}"""


def test_a_refusal_is_told_on_the_page(visit: Visitor, page_server: Running) -> None:
    page = visit(page_server.url + "/")
    page.page.set_input_files("#file", files=[{"name": "x.txt", "mimeType": "text/plain", "buffer": b"hello"}])
    told(page, "cannot (read|identify) .*")
    page.page.goto(page_server.url + "/api")
    assert "/api/segment" in page.page.inner_text("main") and page.overflow_px() <= 0
