"""What the tests of the documents share: the pages, their blocks of code, and how a block is run as written."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from harness import Bench

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "pages"
_LISTED = re.findall(r"\]\((\w+)\.md\)", (PAGES / "guides" / "index.md").read_text(encoding="utf-8"))
GUIDES = [PAGES / "start.md", *(PAGES / "guides" / f"{name}.md" for name in _LISTED)]
"""In the order in which a reader meets them; each continues in the folder of those before."""
SHELL = {"", "sh", "bash", "console"}


@dataclass(frozen=True)
class Block:
    language: str
    title: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Lines of a shell block, continued ones joined."""
        return [line for line in re.sub(r"\\\n\s*", " ", self.text).splitlines() if line.strip()]


def blocks(page: Path) -> list[Block]:
    """Fenced blocks of a page; a title says that the block is not for the reader's first try, or its exit code."""
    found = re.findall(r'^```(\w*)(?: title="([^"]*)")?\n(.*?)^```', page.read_text(encoding="utf-8"), re.S | re.M)
    return [Block(*one) for one in found]


def run_page(page: Path, bench: Bench, folder: Path) -> str:
    """Write the page's files, run its commands in order, and return what they print.

    Blocks with a title are left out, apart from those whose title is an exit code. A `*` in an argument is expanded as
    the shell does.
    """
    printed = ""
    for block in blocks(page):
        code = int(block.title.removeprefix("Exit code ")) if block.title.startswith("Exit code ") else 0
        if block.title and not code:
            continue
        if block.language in {"python", "toml"} and block.text.startswith("# "):
            (folder / block.text.partition("\n")[0].removeprefix("# ")).write_text(block.text)
        for line in block.lines if block.language == "sh" else ():
            name, *arguments = shlex.split(line)
            assert name == "bench", f"{page.name}: {line}: not a bench command"
            done = bench(*_expanded(arguments, folder), code=None)
            assert done.returncode == code, f"{page.name}: {line}: exit {done.returncode}\n{done.stderr[-2000:]}"
            printed += f"$ {line}\n{done.stdout}"
    return printed


def _expanded(arguments: list[str], folder: Path) -> list[str]:
    expanded: list[str] = []
    for argument in arguments:
        found = sorted(str(path.relative_to(folder)) for path in folder.glob(argument)) if "*" in argument else []
        expanded += found or [argument]
    return expanded
