"""One self-contained HTML page of a results folder: tables, figures, gallery, data audit, environment, commands."""

from __future__ import annotations

import base64
import gc
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchError
from benchmark.metrics.measures import MEASURES
from benchmark.report.figures.catalogue import PLOTS, Options, draw
from benchmark.report.figures.evidence import Evidence
from benchmark.report.figures.gather import gather
from benchmark.report.figures.pictures import Pictures
from benchmark.report.figures.style import settle, svg
from benchmark.report.page.album import MAX_IMAGES, album
from benchmark.report.page.audit_view import cell_states, data_rows, environments, study_labels
from benchmark.report.page.on_request import measured_tables
from benchmark.report.page.reproduce import checkouts, commands
from benchmark.report.page.section import Section
from benchmark.report.records.identity import is_foreign
from benchmark.report.records.select import check_records, group_studies
from benchmark.report.sheets.sheet import Sheet, said_once
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.scores import Table
from benchmark.store.schema import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_SVG = 300_000  # bytes; a larger drawing is embedded as a bitmap
_MAX_DOTS = 2000  # of 110 bytes each; with the rest they would be more
MOST_MODELS = 12  # in one figure: more lines cannot be told apart
_KINDS = tuple(name for name in PLOTS if name != "qualitative")  # the gallery replaces the grid


@dataclass(frozen=True)
class PageOptions:
    """Options of the user.

    Attributes:
        title: Heading of the page.
        protocol: Scoring protocol.
        images: Embed images and maps if the data is on disk.
        worst: Images per test set, model and measure in the gallery.
        data_root: Folder with the datasets. cache_dir: Where phantom images are drawn.
    """

    title: str = "Polyp segmentation results"
    protocol: str = "pranet"
    images: bool = True
    worst: int = 4
    data_root: Path | None = None
    cache_dir: Path | None = None


def build_page(
    results: Path, records: Sequence[Record], options: PageOptions, *, sections: Sequence[Section] = ()
) -> str:
    """Return the page as HTML text; it loads nothing from the network.

    Args:
        results: Folder of the records.
        records: ``run.json`` contents, any status.
        options: Options of the page.
        sections: Sections that other packages make, shown after the figures.
    Raises:
        BenchError: No record, or the protocol is in none of them.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from benchmark.report.records.protocols import require_image_means, resolve_protocol

    check_records(records)
    protocol = resolve_protocol(records, options.protocol)
    require_image_means(records, protocol, "report")
    with _records_set_aside():
        studies = [
            _study(results, group, number, protocol, options)
            for number, group in enumerate(group_studies(records).values(), start=1)
        ]
    sets = {f"{s['number']}:{name}": one for s in studies for name, one in s["album"].items()}
    if len(studies) > 1:
        for key, one in sets.items():
            one["title"] += f", study {key.partition(':')[0]}"
    embedded = any("image" in image for one in sets.values() for image in one["images"].values())
    loader = PackageLoader("benchmark.report.page", "templates")
    env = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.policies["json.dumps_kwargs"] = {"sort_keys": False}  # sets and models keep the paper's order
    return env.get_template("report.html").render(
        title=options.title,
        protocol=protocol,
        studies=studies,
        sections=[_section(section) for section in sections],
        album={"sets": sets, "measures": [_measure(m) for m in MEASURES], "limit": options.worst},
        embedded=embedded,
        real_images=embedded and not all(r.synthetic for r in records),
        synthetic=any(r.synthetic for r in records),
        max_images=MAX_IMAGES,
        states=cell_states(records),
        data=data_rows(records),
        environments=environments(records),
        checkouts=checkouts(records),
        commands=commands(records),
        newest=max(r.created for r in records),
        num_cells=len(records),
        num_models=len({r.model for r in records}),
    )


@contextmanager
def _records_set_aside() -> Iterator[None]:
    """Leave what there is out of garbage collections: figures cause many, and each would look at every record again."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _study(
    results: Path, records: Sequence[Record], number: int, protocol: str, options: PageOptions
) -> dict[str, Any]:
    """Return tables, figures and gallery of comparable records."""
    kinds = ["main"] * any(not r.ablation for r in records) + ["ablation"] * any(r.ablation for r in records)
    made: dict[str, Any] = {
        "number": number,
        "labels": study_labels(records),
        "tables": [],
        "problems": [],
        "figures": [],
    }
    made |= {"skipped": {}, "album": {}}
    for kind in kinds:
        try:
            evidence = gather(results, records, protocol=protocol, kind=kind)  # type: ignore[arg-type]
            seeds = {r.seed for r in records if not is_foreign(r)}
            tables = build_tables(evidence.records, protocol=protocol, kind=kind, std=len(seeds) > 1)  # type: ignore[arg-type]
        except BenchError as error:
            made["problems"].append(str(error))
            continue
        shown = zip(tables, said_once(tables), strict=True)
        made["tables"] += [_table(table, sheet, evidence, kind) for table, sheet in shown]
        if kind == "main":
            made["tables"] += measured_tables(evidence)
            pictures = Pictures(evidence, options.data_root, options.cache_dir)
            made["album"] = album(evidence, pictures if options.images else None, worst=options.worst)
            made["figures"], made["skipped"] = _figures(evidence, pictures)
    return made


def _table(table: Table, sheet: Sheet, evidence: Evidence, kind: str) -> dict[str, Any]:
    """A sheet with, for every row, the model whose worst images its cells open."""
    names = {m.row.title: m.name for m in evidence.rows(table.dataset)} if kind == "main" else {}
    try:
        linked = set(evidence.block(table.dataset).models)
    except BenchError:
        linked = set()
    models = [names.get(row.title, "") for row in table.rows]
    return {
        "dataset": table.dataset,
        "title": table.title,
        "sheet": sheet,
        "measures": ["", *(m.key for m in MEASURES)],
        "rows": list(zip([m if m in linked else "" for m in models], sheet.rows, strict=True)),
    }


def _figures(evidence: Evidence, pictures: Pictures) -> tuple[list[dict[str, str]], dict[str, list[str]]]:
    found: list[dict[str, str]] = []
    skipped: dict[str, list[str]] = {}
    for name in _KINDS:
        for one in draw(name, evidence, pictures, Options(most_models=MOST_MODELS)):
            if one.figure is None:
                skipped.setdefault(one.reason, []).append(one.stem)
            else:
                title = one.title[0].upper() + one.title[1:]
                kind = title.partition(":")[0]
                found.append({"stem": one.stem, "kind": kind, "title": title, "address": _address(one.figure)})
    return found, skipped


def _section(section: Section) -> dict[str, Any]:
    """Return a section's tables, in the form of those of scores, and its figures."""
    tables = [
        {"dataset": "", "title": title, "sheet": sheet, "measures": [], "rows": [("", cells) for cells in sheet.rows]}
        for title, sheet in section.sheets
    ]
    figures = [{"title": title, "address": _address(figure)} for title, figure in section.figures]
    return {
        "key": section.key,
        "heading": section.heading,
        "intro": section.intro,
        "tables": tables,
        "figures": figures,
        "problems": list(section.problems),
    }


def _address(figure: Figure) -> str:
    """Return a figure as a data URL: SVG, or PNG if that would be large."""
    if sum(len(one.get_offsets()) for axes in figure.axes for one in axes.collections) <= _MAX_DOTS:
        text = svg(figure).encode()
        if len(text) <= _MAX_SVG:
            return f"data:image/svg+xml;base64,{base64.b64encode(text).decode()}"
    settle(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _measure(measure: Any) -> Mapping[str, Any]:
    return {"key": measure.key, "title": measure.plain, "higher": measure.higher_is_better}
