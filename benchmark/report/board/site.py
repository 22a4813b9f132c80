"""A static page and its JSON from a board: no server, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark._version import __version__
from benchmark.errors import BenchError
from benchmark.metrics.measures import MEASURES
from benchmark.report.board.collect import Board
from benchmark.store import io
from benchmark.store.layout import ResultsLayout

_FILES = ("board.css", "board.js")
DEFAULT_PROTOCOL = "pranet"
SHOWN = tuple(measure for measure in MEASURES if measure.key != "E_phi_max")


def write_site(board: Board, source: Path, out: Path, *, title: str) -> list[Path]:
    """Write ``index.html``, ``board.json``, style, script and the records that rows link to.

    Args:
        board: What to show.
        source: Folder of the exports, for the records.
        out: Folder of the site; files of an earlier site are replaced.
        title: Heading.
    Returns:
        Every file written.
    Raises:
        BenchError: ``out`` lies among the exports, or cannot be written.
    """
    from importlib.resources import files

    from jinja2 import Environment, PackageLoader, StrictUndefined

    if out.resolve().is_relative_to(source.resolve()):
        raise BenchError(f"--out {out}: lies among the exports ({source}); choose another folder")
    loader = PackageLoader("benchmark.report.board", "templates")
    env = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    lines = board.lines
    page = env.get_template("board.html").render(
        title=title,
        board=board,
        measures=SHOWN,
        choices={
            "dataset": _choices([(line.dataset, line.title) for line in lines]),
            "protocol": _choices([(line.protocol, f"{line.protocol} ({line.protocol_hash})") for line in lines]),
            "split": _choices([(line.split, line.split) for line in lines]),
            "weights": _choices([(line.weights, line.weights) for line in lines]),
        },
        synthetic=any(line.synthetic for line in lines),
        version=__version__,
    )
    written = [out / "index.html", out / "board.json"]
    io.write_text(written[0], page)
    parts: dict[str, list[Any]] = {"lines": lines, "refused": board.refused, "sources": board.sources()}
    io.write_json(written[1], {name: [asdict(one) for one in part] for name, part in parts.items()})
    for name in _FILES:
        text = (files("benchmark.report.board") / "templates" / name).read_text(encoding="utf-8")
        io.write_text(out / name, text)
        written.append(out / name)
    for submission, cell in sorted({(line.submission, cell) for line in lines for cell in line.cells}):
        target = out / "records" / submission / cell / "run.json"
        io.write_text(target, ResultsLayout(source / submission).cell(cell).record.read_text(encoding="utf-8"))
        written.append(target)
    return written


def _choices(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each once, by name, the default protocol first."""
    return sorted(dict(pairs).items(), key=lambda pair: (pair[0] != DEFAULT_PROTOCOL, pair))
