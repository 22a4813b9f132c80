"""A real headless Chromium for the end-to-end tests, and a page that remembers what went wrong on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)


@dataclass
class Visit:
    """A page that was opened.

    Attributes:
        page: Playwright's page.
        errors: Console messages of level error, and exceptions that no script caught.
        requests: Every address that the page asked for, itself and ``data:`` addresses left out.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def overflow_px(self) -> int:
        """How many pixels the page is wider than its window; more than 0 means sideways scrolling."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


Visitor = Callable[..., Visit]


@pytest.fixture(scope="module")  # no longer: Playwright's event loop would be in the way of other modules
def chromium() -> Iterator[Browser]:
    """Headless Chromium from the system's packages; Playwright's own download is not used."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: no browser tests")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: no browser tests")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visitor]:
    """Open an address or a file in a window of its own: ``visit(path, width=390, dark=True)``."""
    contexts = []

    def call(where: str | Path, *, width: int = 1280, height: int = 900, dark: bool = False, **options: Any) -> Visit:
        address = where.resolve().as_uri() if isinstance(where, Path) else where
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **options
        )
        context.set_default_timeout(120_000)  # other tests share the machine
        contexts.append(context)
        made = Visit(context.new_page())
        made.page.on("console", lambda message: made.errors.append(message.text) if message.type == "error" else None)
        made.page.on("pageerror", lambda error: made.errors.append(str(error)))
        made.page.on("request", lambda request: _note(made, request.url, address))
        made.page.goto(address)
        return made

    yield call
    for context in contexts:
        context.close()


def _note(visit: Visit, url: str, page: str) -> None:
    if url != page and not url.startswith("data:"):
        visit.requests.append(url)
