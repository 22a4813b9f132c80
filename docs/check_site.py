"""Check the built site: `python docs/check_site.py SITE`. Every link and anchor inside it leads somewhere, and no page
loads anything from elsewhere, so that it works without a network. Exit code 1 with one line per fault."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src"}
"""Tag -> its attribute that a browser loads by itself."""


class Page(HTMLParser):
    """The anchors of a page, its links, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {value for value in (given.get("id"), given.get("name")) if value}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        if given.get(LOADED.get(tag, "")) and given.get("rel") != "canonical":
            self.loads.append(given[LOADED[tag]] or "")


def faults(site: Path) -> list[str]:
    """Return one line per link that leads nowhere, and per thing that is loaded from elsewhere."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site)
        for link in page.loads:
            parts = urlsplit(link)
            if parts.scheme != "data" and (parts.netloc or not (path.parent / unquote(parts.path)).is_file()):
                found.append(f"{name}: loads {link}")
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                found.append(f"{name}: {link} leads nowhere")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name}: {link}: no such heading")
    return found if pages else [f"{site}: no page"]


if __name__ == "__main__":
    lines = faults(Path(sys.argv[1]).resolve())
    print("\n".join(lines) or "all links lead somewhere; nothing is loaded from elsewhere")
    sys.exit(bool(lines))
