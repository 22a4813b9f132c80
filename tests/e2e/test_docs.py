"""The documents cannot drift: the reference is what `--help` shows, every command line parses, every page runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from documents import ROOT, SHELL, blocks
from harness import Bench

from benchmark.cli import reference
from benchmark.cli.tree import command_tree, leaves

PAGES = ["README.md", "benchmark/README.md", "benchmark/COMMANDS.md", "benchmark/EXTENDING.md", "results/README.md"]
PAGES += [f"results/reference/{name}/README.md" for name in ("cpu-study", "noise-study", "bsanet-search")]
PAGES += ["results/reference/cost.md", "tests/README.md"]
ROOMS = sorted(
    str(p.relative_to(ROOT)) for name in ("benchmark", "baselines", "bsanet") for p in (ROOT / name).rglob("*.md")
)
PAGES += [page for page in ROOMS if page not in PAGES]
PAGES += ["CONTRIBUTING.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]
TREE = dict(leaves(command_tree()))


def test_the_reference_is_what_the_commands_say() -> None:
    assert reference.FILE.read_text(encoding="utf-8") == reference.render(), (
        "benchmark/COMMANDS.md is out of date; write it again: python -m benchmark.cli.reference"
    )


def test_the_reference_names_every_option_of_the_help(bench: Bench) -> None:
    text = reference.render()
    for command in ("run", "tables", "clean"):
        section = text.partition(f"\n## bench {command}\n")[2].partition("\n## ")[0]
        shown = set(
            re.findall(r"--[a-z][a-z-]+", bench(command, "--help", COLUMNS="300").stdout.partition("Options:")[2])
        )
        shown -= {"--quiet", "--verbose", "--help"}
        assert shown and all(f"`{option}`" in section or option in section for option in shown), command


@pytest.mark.parametrize("path", list(TREE), ids=" ".join)
def test_every_help_has_an_example_that_parses(path: tuple[str, ...]) -> None:
    line = reference.example(TREE[path])
    assert line.startswith(" ".join(path)), f"{' '.join(path)}: no 'Example: {' '.join(path)} ...' in its help"
    parse(line)


def command_lines(page: Path) -> Iterator[str]:
    """Every `bench ...` in backticks or in a code block, without what a shell puts around it."""
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    lines = [line for block in blocks(page) if block.language in SHELL for line in block.lines]
    lines += re.findall(r"`(bench [^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    for line in lines:
        for part in re.split(r"&&|\s\|\s|\s>\s|;", line.removeprefix("$ ")):
            if part.strip().startswith("bench "):
                yield part.partition("  #")[0].strip()


def parse(line: str) -> None:
    """Parse a command line with the real parser; nothing is run."""
    words = shlex.split(line)
    words = [word for before, word in zip(["", *words], words, strict=False) if word != "..." or before[:2] == "--"]
    path = next((tuple(words[:n]) for n in (3, 2) if tuple(words[:n]) in TREE), None)
    if path is None:
        assert words[1].startswith("-") or len(words) == 2, f"{line}: no such command"
        return
    if len(words) == len(path):  # a command that is only named
        return
    command: Any = TREE[path]
    command.make_context(path[-1], words[len(path) :]).close()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_of_the_pages_parses(page: str) -> None:
    lines = list(command_lines(ROOT / page))
    assert lines or page not in PAGES[:4]
    for line in lines:
        try:
            parse(line)
        except Exception as error:
            raise AssertionError(f"{page}: {line}: {error}") from error


def test_a_wrong_option_does_not_parse() -> None:
    with pytest.raises(Exception, match="nonsense"):
        parse("bench run --nonsense 3")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", head).lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = link.partition("#")
        if file.startswith(("http://", "https://", "mailto:")):
            continue
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.exists(), f"{page}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{page}: {link}: {target.name} has no such heading"


def test_the_picture_shows_the_rooms() -> None:
    """Each folder with a slash in benchmark/README.md is there, and each that is there is named."""
    text = (ROOT / "benchmark" / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    rooms = {path.parent.name for path in (ROOT / "benchmark").glob("*/__init__.py")}
    named = set(re.findall(r"\b([a-z]+)/(?=[\s`])", text))
    assert named - {"audit"} == rooms, f"not there: {named - rooms}; not named: {rooms - named}"


@pytest.mark.parametrize("page", [page for page in ROOMS if Path(page).name == "README.md" and page.count("/") > 1])
def test_a_room_names_its_files(page: str) -> None:
    """A table of a room names every module of the folder, and none that is gone; it is a screen at most."""
    folder, text = (ROOT / page).parent, (ROOT / page).read_text(encoding="utf-8")
    here = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
    named = set(re.findall(r"`(\w+\.py)`", text))
    assert here <= named, f"{page} leaves out {sorted(here - named)}"


@pytest.mark.slow
def test_the_page_on_extending_runs_as_written(bench: Bench, environment: dict[str, str], tmp_path: Path) -> None:
    """Its files are written, its commands run, in order; the clinic's images are there before."""
    from PIL import Image, ImageDraw

    for folder in ("frames", "labels"):
        (tmp_path / folder).mkdir()
    rng = np.random.default_rng(0)
    for k in range(30):
        name, box = f"p{k // 3}_{k:03}", (10 + k, 12, 34 + k, 40)
        tissue = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((80, 64))
        for file, picture, ink in (
            (f"frames/{name}.png", tissue, (200, 120, 90)),
            (f"labels/{name}_seg.png", Image.new("L", (80, 64)), 255),
        ):
            ImageDraw.Draw(picture).ellipse(box, fill=ink)
            picture.save(tmp_path / file)
    page = (ROOT / "benchmark" / "EXTENDING.md").read_text(encoding="utf-8")
    out = ""
    for language, text in re.findall(r"```(\w+)\n(.*?)```", page, re.S):
        if language != "sh":
            (tmp_path / text.partition("\n")[0].removeprefix("# ")).write_text(text)
            continue
        for line in text.splitlines():
            name, *arguments = shlex.split(line)
            assert name == "bench", f"{line}: the page says that these are typed one after the other"
            out += bench(*arguments).stdout
    assert "wide" in out
    assert "Our clinic" in out and (tmp_path / "clinic.png").is_file()

    measured = json.loads(bench("measure", "./my_metric.py:area_error", "--datasets", "phantom", "--json").stdout)
    assert len(measured["rows"]) == 4 * 3 and all(row["n"] == 12 and row["area_error"] >= 0 for row in measured["rows"])
    values = pd.read_parquet(tmp_path / measured["files"][0])
    maps = (tmp_path / measured["files"][0]).parents[1] / "maps"
    first = values.iloc[0]
    prob = np.asarray(Image.open(maps / first["dataset"] / f"{first['id']}.png"))
    drawn = next(Path(environment["BENCH_CACHE_DIR"]).glob("phantom-v*")) / first["dataset"] / "masks"
    mask = np.asarray(Image.open(next(drawn.glob(f"{first['id']}.*")))) > 127
    assert first["value"] == pytest.approx(abs((prob > 127).sum() - float(mask.sum())) / mask.sum())
    (tmp_path / "bad.py").write_text("def broken(prob, mask):\n    return 1 / 0\n")
    assert "ZeroDivisionError" in bench("measure", "bad.py:broken", code=2).stderr
    assert "no function 'other'" in bench("measure", "bad.py:other", code=2).stderr
