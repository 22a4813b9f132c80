"""`bench audit data`: what it prints and writes, and that its page can be read on a phone and by keyboard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from harness import Bench

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def test_audit_of_phantom_and_its_page(bench: Bench, tmp_path: Path) -> None:
    done = bench("audit", "data", "phantom", "--split", "paper", "--json", "a.json", "--html", "a.html")
    assert "audited 280 images" in done.stdout and "of a training sequence or scene" in done.stdout
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["exact"] == [] and found["near"] and all(pair["same_group"] for pair in found["near"])
    leaks = found["leaks"]["phantom-kvasir"]
    assert leaks and set(leaks[0]) == {"id", "twin", "kind", "dataset"} and found["leaks"]["phantom-etis"] == []
    assert "grouped" in bench("audit", "data", "phantom", "--split", "grouped", "-q").stdout
    page = tmp_path / "a.html"
    assert "http" not in page.read_text() and page.stat().st_size < 8_000_000
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: the page is not looked at")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width in (390, 1280):
            tab = browser.new_page(viewport={"width": width, "height": 900})
            tab.goto(page.as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert tab.evaluate("[...document.images].every(image => image.alt && image.width > 40)")
            tab.locator("#near-sequence summary").focus()
            tab.keyboard.press("Enter")
            assert tab.evaluate("document.querySelector('#near-sequence').open")
        browser.close()


def test_a_mistake_is_one_line(bench: Bench) -> None:
    assert "unknown dataset" in bench("audit", "data", "kvasr", code=2).stderr
    assert "unknown split" in bench("audit", "data", "phantom", "--split", "papr", code=2).stderr
    assert "no data root" in bench("audit", "data", "kvasir", code=2).stderr


def test_every_fault_of_phantom_faulty_is_named(bench: Bench) -> None:
    text = bench("data", "check", "phantom-faulty", code=1).stdout
    for words in ("look swapped", "look inverted", "image without mask", "is coloured", "expected equal sizes"):
        assert words in text
    assert "Phantom-faulty-none (synthetic; sound) (phantom-faulty-none): ok" in text
    text = bench("audit", "data", "phantom-faulty", "-q").stdout
    assert "phantom-faulty-duplicate/1 = phantom-faulty-duplicate/5" in text
    assert "phantom-faulty-conflict/1 = phantom-faulty-conflict/5: Dice of masks 1/5 0." in text
    assert "phantom-faulty-near-duplicate/5 (correlation" in text and "mirrored left to right" in text
    assert "truncated" in text and "image without mask" in text
