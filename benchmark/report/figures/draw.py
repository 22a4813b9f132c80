"""Draw the requested figures from the records of a results folder, and write them to files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.data.listing.datasets import GROUPS
from benchmark.errors import BenchError, unknown_name
from benchmark.report.figures.catalogue import DEFAULT_ROWS, PLOTS, Options, draw
from benchmark.report.figures.evidence import Evidence
from benchmark.report.figures.gather import gather
from benchmark.report.figures.pictures import Pictures
from benchmark.report.figures.style import save_figure
from benchmark.report.records.names import MODEL_TITLES, recorded_model
from benchmark.store import io
from benchmark.store.layout import ResultsLayout


@dataclass(frozen=True)
class Drawn:
    """The files written, and the reason for each skipped figure."""

    files: list[Path] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def draw_plots(
    names: Sequence[str],
    evidence: Evidence,
    *,
    out: Path | None = None,
    reference: str | None = None,
    rows: Sequence[str] | None = None,
    wide: bool = False,
    dpi: int = 300,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    on_files: Callable[[Sequence[Path]], None] = lambda _: None,
) -> Drawn:
    """Draw all possible figures as PDF and PNG.

    Args:
        names: Kinds of figure; all if empty.
        evidence: The chosen records.
        out: Folder for the files; RESULTS/figures if None.
        reference: Reference model.
        rows: Images of the qualitative grid.
        wide: Qualitative grid across both columns.
        dpi: Resolution of the PNG.
        data_root: Folder with the datasets.
        cache_dir: Folder for decoded pixels.
        on_files: Called with the files of each figure as soon as they are written.
    Raises:
        BenchError: An unknown name.
    """
    options = Options(recorded_model(reference) if reference else None, rows or DEFAULT_ROWS, wide)
    pictures = Pictures(evidence, data_root, cache_dir)
    for name in names:
        if name not in PLOTS:
            raise unknown_name("plot", name, PLOTS)
    folder = out or ResultsLayout(evidence.results).figures
    done = Drawn()
    for name in names or PLOTS:
        for made in draw(name, evidence, pictures, options):
            if made.figure is None:
                done.skipped[made.stem] = made.reason
                continue
            files = save_figure(made.figure, folder, made.stem, dpi=dpi)
            done.files.extend(files)
            on_files(files)
    return done


def nothing_drawn(results: Path, skipped: dict[str, str]) -> BenchError:
    """Return the error for a request without any possible figure."""
    return BenchError(f"no figure could be drawn from {results}: {next(iter(skipped.values()))}")


def choose_evidence(
    results: Path, *, models: Sequence[str] | None, datasets: Sequence[str] | None, **chosen: Any
) -> Evidence:
    """Read the records of a results folder and choose those to draw (see ``gather``).

    ``all`` stands for the six models; a group of datasets stands for its members that were scored.
    """
    records = io.read_records(results)
    scored = {name for record in records for name in record.tests}
    if models is not None:
        models = [part for name in models for part in (MODEL_TITLES if name == "all" else [recorded_model(name)])]
    if datasets is not None:
        members = [(name, [part for part in GROUPS.get(name, ()) if part in scored]) for name in datasets]
        datasets = [part for name, parts in members for part in parts or [name]]
    return gather(results, records, models=models, datasets=datasets, **chosen)
