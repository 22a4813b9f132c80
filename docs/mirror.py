"""A hook of MkDocs: the repository's own documents are pages of the site, and links lead to them.

A page below docs/pages links to `../../benchmark/data/README.md`, as it must on a code host. On the site that document
is the page `benchmark/data/README.md`, pictures are copied along, and what is no page (code, folders) becomes text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = "docs/pages/"
_PICTURES = {".png", ".svg"}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def mirrored() -> list[str]:
    """Return the documents outside docs/pages that become pages, relative to the repository."""
    found = [path for room in ("benchmark", "baselines", "bsanet") for path in (ROOT / room).rglob("*.md")]
    found += (ROOT / "results" / "reference").rglob("*.md")
    found += [ROOT / "results" / "README.md", ROOT / "tests" / "README.md"]
    found += [ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def on_files(files: Files, config: Any) -> Files:
    """Add the mirrored documents and the pictures that any page shows."""
    texts = {PAGES + file.src_uri: Path(file.abs_src_path or "").read_text() for file in files.documentation_pages()}
    for name in mirrored():
        texts[name] = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=texts[name]))
    for name, text in texts.items():
        for _, _, link in _LINK.findall(text):
            target = _target(name, link.partition("#")[0])
            is_picture = Path(target).suffix in _PICTURES and (ROOT / target).is_file()
            if is_picture and not target.startswith(PAGES) and files.get_file_from_path(target) is None:
                files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead every link to the page of the site, or drop it where there is none."""
    here = page.file.src_uri
    own = here if here in mirrored() else PAGES + here

    def lead(match: re.Match[str]) -> str:
        picture, text, link = match.groups()
        if re.match(r"[a-z]+:|#", link):
            return match.group()
        path, mark, anchor = link.partition("#")
        target = _target(own, path).removeprefix(PAGES)
        if files.get_file_from_path(target) is None:
            return text
        return f"{picture}[{text}]({posixpath.relpath(target, posixpath.dirname(here) or '.')}{mark}{anchor})"

    parts = re.split(r"(^```.*?^```)", markdown, flags=re.S | re.M)
    return "".join(part if number % 2 else _LINK.sub(lead, part) for number, part in enumerate(parts))


def _target(page: str, link: str) -> str:
    """Return what a link of a page leads to, relative to the repository."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
