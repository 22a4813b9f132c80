"""`bench plots` and `bench report`: figures and a page from the records alone; no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark.commands.printing import print_json, print_rows, say
from benchmark.errors import BenchError, unknown_name
from benchmark.store import io
from benchmark.store.layout import ResultsLayout

if TYPE_CHECKING:
    from benchmark.report.figures.evidence import Evidence


def list_plots(*, as_json: bool) -> None:
    """Name every kind of figure with what it shows and needs."""
    from benchmark.report.figures.catalogue import PLOTS

    rows = [{"name": name, "shows": plot.sentence, "needs": plot.needs} for name, plot in PLOTS.items()]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows)


def plots(
    names: Sequence[str],
    evidence: Evidence,
    *,
    out: Path | None,
    reference: str | None,
    rows: Sequence[str] | None,
    wide: bool,
    dpi: int,
    data_root: Path | None,
    cache_dir: Path | None,
    as_json: bool,
) -> None:
    """Draw what can be drawn, print the files, say why the rest was skipped.

    Raises:
        BenchError: An unknown name, or nothing at all could be drawn.
    """
    from benchmark.report.figures.catalogue import DEFAULT_ROWS, PLOTS, Options, draw
    from benchmark.report.figures.pictures import Pictures
    from benchmark.report.figures.style import save_figure

    console = Console(stderr=True)
    options = Options(reference, rows or DEFAULT_ROWS, wide)
    pictures = Pictures(evidence, data_root, cache_dir)
    _check_names(names, PLOTS)
    folder = out or ResultsLayout(evidence.results).figures
    written: list[Path] = []
    skipped: dict[str, str] = {}
    for name in names or PLOTS:
        for made in draw(name, evidence, pictures, options):
            if made.figure is None:
                skipped[made.stem] = made.reason
                continue
            files = save_figure(made.figure, folder, made.stem, dpi=dpi)
            written += files
            if not as_json:
                print("\n".join(map(str, files)), flush=True)
    for reason in dict.fromkeys(skipped.values()):
        stems = [stem for stem, why in skipped.items() if why == reason]
        say(console, f"skipped {', '.join(stems)}: {reason}")
    if as_json:
        print_json({"files": [str(path) for path in written], "skipped": skipped})
    if not written:
        raise BenchError(f"no figure could be drawn from {evidence.results}: {next(iter(skipped.values()))}")


def _check_names(names: Sequence[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise unknown_name("plot", name, known)


def choose(results: Path, *, models: Sequence[str] | None, datasets: Sequence[str] | None, **chosen: Any) -> Evidence:
    """Read the records of a results folder and choose those to draw (see ``gather``).

    ``all`` stands for the six models; a group of datasets stands for its members that were scored.
    """
    from benchmark.data.listing.datasets import GROUPS
    from benchmark.report.figures.evidence import gather
    from benchmark.report.records.names import MODEL_TITLES

    records = io.read_records(results)
    scored = {name for record in records for name in record.tests}
    if models is not None:
        models = [part for name in models for part in (MODEL_TITLES if name == "all" else [name])]
    if datasets is not None:
        members = [(name, [part for part in GROUPS.get(name, ()) if part in scored]) for name in datasets]
        datasets = [part for name, parts in members for part in parts or [name]]
    return gather(results, records, models=models, datasets=datasets, **chosen)


def report(
    results: Path,
    *,
    out: Path | None,
    title: str | None,
    protocol: str,
    images: bool,
    worst: int,
    data_root: Path | None,
    cache_dir: Path | None,
    as_json: bool,
) -> None:
    """Write the page of a results folder and print its path."""
    from benchmark.report.page.page import PageOptions, build_page

    records = io.read_records(results)
    options = PageOptions(protocol=protocol, images=images, worst=worst, data_root=data_root, cache_dir=cache_dir)
    page = build_page(results, records, replace(options, title=title) if title else options)
    path = out or results / "report.html"
    io.write_text(path, page)
    if as_json:
        print_json({"file": str(path), "mb": round(len(page.encode()) / 1e6, 3)})
        return
    print(path)
    say(Console(stderr=True), f"{len(page.encode()) / 1e6:.1f} MB; open it in a browser, it needs no network")
