"""Common style of all figures: readable at column width, safe for colour-blind eyes, reproducible."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.report.records.names import MODEL_TITLES, OURS, model_order, model_title
from benchmark.store.io import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_IN = 3.3  # width of one column of a two-column page, inches
PAGE_IN = 7.0  # width of both columns, inches
_LEGEND_ROWS = 3  # every figure has room for so many
_LEGEND_ROW_IN = 0.16
NOTE_PT = 6.0  # the smallest text on any figure, points
_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures look alike everywhere
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "#dddddd",
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # keep text as text
    "axes.axisbelow": True,
}
# Okabe and Ito's palette; the paper's network has the strongest colour. Dashes and markers tell models apart in grey.
_LOOK = {
    "unet": ("#999999", (0, (1, 1)), "v"),
    "unetplusplus": ("#E69F00", (0, (4, 1, 1, 1)), "^"),
    "pranet": ("#009E73", (0, (5, 1.5)), "s"),
    "sanet": ("#56B4E9", (0, (3, 1)), "D"),
    "ldnet": ("#CC79A7", (0, (6, 1, 1, 1, 1, 1)), "P"),
    "bsanet": ("#D55E00", "-", "o"),
}
_OTHERS = (
    ("#0072B2", "-", "X"),
    ("#000000", (0, (2, 1)), "*"),
    ("#B8A800", (0, (8, 2, 2, 2)), "<"),
    ("#5D3A9B", "--", ">"),
    ("#117733", (0, (1, 2)), "p"),
    ("#882255", (0, (7, 2)), "h"),
    ("#44AA99", (0, (3, 2, 1, 2)), "d"),
    ("#6699CC", (0, (2, 2)), "H"),
)


def _other(i: int) -> tuple[str, Any, str]:
    """Look of the i-th further model: each eight share the colours, and never dashes and marker both, up to 64."""
    size, turn = len(_OTHERS), i // len(_OTHERS)
    return _OTHERS[i % size][0], _OTHERS[(i + turn) % size][1], _OTHERS[(i + 2 * turn) % size][2]


def look(model: str, models: Sequence[str]) -> dict[str, Any]:
    """Return colour, line style and marker of a model; the six known ones always look the same."""
    if model in _LOOK:
        color, dashes, marker = _LOOK[model]
    else:
        unknown = [name for name in sorted(models) if name not in _LOOK]
        color, dashes, marker = _other(unknown.index(model))
    return {"color": color, "linestyle": dashes, "marker": marker, "zorder": 4 if model == OURS else 3}


def titles(models: Sequence[str]) -> dict[str, str]:
    """Return printed names by model, in the paper's order; no "(ours)", which belongs to tables."""
    ordered = sorted(models, key=model_order)
    return {name: MODEL_TITLES.get(name) or model_title(name) for name in ordered}


def wrapped(title: str, width: int = 22) -> str:
    """Return a long name on several lines, so that it leaves room for the drawing."""
    return textwrap.fill(title, width, break_long_words=True)


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save inside this."""
    import matplotlib

    with matplotlib.rc_context(_RC):  # type: ignore[arg-type]
        yield


def new_figure(
    height: float, rows: int = 1, columns: int = 1, *, width: float = COLUMN_IN, **subplots: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure without a window and its axes in reading order; call inside ``styled``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **subplots)
    return figure, list(axes.ravel())


def add_note(figure: Figure, note: str) -> None:
    """Write small grey lines below a figure, for essential caveats (synthetic images, few sets).

    The figure grows by their height, so that the axes keep theirs.
    """
    if note:
        # 70 characters of 6 pt fit one column's width
        lines = textwrap.wrap(note, int(70 * figure.get_figwidth() / COLUMN_IN))
        figure.set_figheight(figure.get_figheight() + 0.05 + len(lines) * NOTE_PT * 1.2 / 72)
        figure.supxlabel("\n".join(lines), fontsize=NOTE_PT, color="#555555", x=0.01, ha="left")


def add_legend(figure: Figure, *entries: Any, columns: int = 3) -> None:
    """Write the models' names above the axes in columns; a figure of many grows, so that the axes keep room."""
    legend = figure.legend(*entries, loc="outside upper center", ncols=columns)
    further = math.ceil(len(legend.get_texts()) / columns) - _LEGEND_ROWS
    if further > 0:
        figure.set_figheight(figure.get_figheight() + further * _LEGEND_ROW_IN)


def plain_log_ticks(axes: Axes) -> None:
    """Label a logarithmic axis with plain numbers, as many as its range needs."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    low, high = axes.get_xlim()
    decades = math.log10(high / low)
    subs = (1.0,) if decades > 2.5 else (1.0, 2.0, 5.0) if decades > 0.7 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def settle(figure: Figure) -> None:
    """Fix the layout, before a figure is written: repeated layout would move things by fractions of a point."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    with styled():
        engine.execute(figure)  # a second pass moves nothing by more than 0.05 pt
        figure.set_layout_engine(None)


def svg(figure: Figure) -> str:
    """Return a figure as reproducible SVG text, letters as outlines."""
    import matplotlib

    settle(figure)
    buffer = io.StringIO()
    with styled(), matplotlib.rc_context({"svg.hashsalt": "polyp-bench", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def save_figure(figure: Figure, directory: Path, stem: str, *, dpi: int = 300) -> list[Path]:
    """Write ``stem.pdf`` (vector) and ``stem.png`` atomically; the same figure gives the same bytes.

    Args:
        figure: What to write. directory: Where. stem: File name without suffix.
        dpi: Pixels per inch of the PNG.
    Raises:
        BenchError: The folder cannot be written.
    """
    settle(figure)
    paths = []
    metadata: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "png": {"Software": None}}
    for kind, facts in metadata.items():
        buffer = io.BytesIO()
        with styled():
            figure.savefig(buffer, format=kind, metadata=facts, dpi=dpi)
        path = directory / f"{stem}.{kind}"
        write_bytes(path, buffer.getvalue())
        paths.append(path)
    return paths
