"""The requested tables, built from the records of a results folder alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.errors import BenchError
from benchmark.report.records.names import MODEL_TITLES, recorded_model
from benchmark.store import io
from benchmark.store.layout import ResultsLayout

if TYPE_CHECKING:
    from benchmark.metrics.families import Family
    from benchmark.report.sheets.sheet import Printable, Sheet
    from benchmark.report.tables.folds import Folds
    from benchmark.store.schema import Record

Records = Sequence["Record"]


@dataclass(frozen=True, kw_only=True)
class TableRequest:
    """Request of `bench tables`; every field is one of its options."""

    results: Path
    kind: str = "main"
    protocol: str = "pranet"
    models: Sequence[str] | None = None
    datasets: Sequence[str] | None = None
    recipe: str | None = None
    split: str | None = None
    seeds: Sequence[int] | None = None
    std: bool = False
    ci: bool = False
    significance: str | None = None
    primary: str = "mDSC"
    wilcoxon: bool = False
    power: bool = False
    rank: bool = False
    means: bool = False
    by: str | None = None
    worst: int | None = None
    exclude: Sequence[str] = ()
    published: Path | None = None
    settings: bool = False
    titles: Mapping[str, str] = field(default_factory=dict)
    short: bool = False
    wide: bool = False
    measures: Sequence[str] | None = None
    percent: bool = False
    digits: int | None = None
    siunitx: bool = False
    order: Sequence[str] = ()
    check_marks: bool = False
    family: Family | None = None
    reasons: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def choice(self) -> dict[str, Any]:
        """Which records, as ``build_tables`` takes them."""
        return {
            "protocol": self.protocol,
            "models": model_names(self.models),
            "datasets": dataset_names(self.datasets),
            "recipe": self.recipe,
            "split": self.split,
            "seeds": self.seeds,
            "titles": self.titles,
        }


_OF_SCORES = (
    "std",
    "ci",
    "significance",
    "wilcoxon",
    "power",
    "rank",
    "means",
    "exclude-leaked",
    "settings",
    "short-captions",
)
_AS_PRINTED = ("wide", "measures", "percent", "digits", "siunitx", "order")
_REFINEMENTS = {"main": (*_OF_SCORES, *_AS_PRINTED), "ablation": (*_OF_SCORES, *_AS_PRINTED, "check-marks")}
"""Kind of table -> options that refine it; the others refuse them."""


def _check_options(request: TableRequest) -> None:
    known = _REFINEMENTS.get(request.kind, ())
    asked: dict[str, bool] = {"std": request.std, "ci": request.ci, "significance": request.significance is not None}
    asked |= {"means": request.means, "rank": request.rank, "exclude-leaked": bool(request.exclude)}
    asked |= {"settings": request.settings, "short-captions": request.short}
    asked |= {"wilcoxon": request.wilcoxon, "power": request.power}
    if request.kind == "efficiency":
        asked |= {"datasets": request.datasets is not None, "seeds": request.seeds is not None}
    asked |= {"wide": request.wide, "measures": request.measures is not None, "percent": request.percent}
    asked |= {"digits": request.digits is not None, "siunitx": request.siunitx, "order": bool(request.order)}
    asked |= {"check-marks": request.check_marks}
    if request.check_marks and request.kind == "main":
        raise BenchError("--check-marks shows the parts of ablated variants; add --ablation")
    if request.wide and request.exclude:
        raise BenchError("--exclude-leaked does not apply to --wide; leave one of the two out")
    for name in (name for name, on in asked.items() if on and name not in known):
        raise BenchError(f"--{name} does not apply to --{request.kind}; leave one of the two out")
    if request.kind == "ablation" and request.significance:
        raise BenchError(
            f"--significance {request.significance}: with --ablation every variant is compared with its own full "
            "model; leave the name out"
        )


def build(request: TableRequest) -> list[Printable]:
    """Build the requested tables; nothing is written."""
    from benchmark.report.records.protocols import require_image_means, resolve_protocol

    _check_options(request)
    records = io.read_records(request.results)
    request = replace(request, protocol=resolve_protocol(records, request.protocol))
    for option in _of_images(request):
        require_image_means(records, request.protocol, option)
    return _KINDS[request.kind](request, records)


def _of_images(request: TableRequest) -> list[str]:
    """Name the options that rest on the scores of single images."""
    asked = {"--ci": request.ci, "--significance": request.significance is not None, "--power": request.power}
    asked |= {"--exclude-leaked": bool(request.exclude)}
    asked |= {f"--{kind}": request.kind == kind for kind in ("by", "worst", "published", "boundary", "precision")}
    return [option for option, on in asked.items() if on]


def _scores(request: TableRequest, records: Records) -> list[Printable]:
    """The paper's tables, or those of the ablated variants."""
    from benchmark.metrics.measures import MEASURE_KEYS
    from benchmark.report.records.set_scores import score_reader
    from benchmark.report.tables.build import build_tables
    from benchmark.report.tables.folds import find_folds, fold_tables
    from benchmark.report.tables.numerals import numerals
    from benchmark.report.tables.wide import MEASURES_SHOWN, wide_sheet

    kind: Literal["main", "ablation"] = "ablation" if request.kind == "ablation" else "main"
    reference = request.significance and recorded_model(request.significance)
    make = partial(
        build_tables,
        records,
        kind=kind,
        std=request.std,
        ci=request.ci,
        significance="" if request.power and request.significance is None else reference,
        primary=request.primary,
        signed_rank=request.wilcoxon,
        settings=request.settings,
        read=score_reader(request.results, request.protocol),
        numerals=numerals(digits=request.digits, percent=request.percent),
        siunitx=request.siunitx,
        measures=request.measures or (MEASURES_SHOWN if request.wide else MEASURE_KEYS),
        order=model_names(request.order) or (),
        check_marks=request.check_marks,
    )
    order = model_names(request.order) or ()
    folds = find_folds(records, recipe=request.recipe, split=request.split)
    if folds is None:
        made = make(**request.choice)
    else:
        _check_folds(request, folds)
        ours = [record for record in records if not record.origin]
        each = partial(build_tables, ours, **make.keywords)
        made = fold_tables(folds, lambda label: each(**{**request.choice, "split": label}), order=order)
    if request.exclude:
        from benchmark.report.tables.without_leaked import with_clean

        made = with_clean(made, records, ResultsLayout(request.results), request.exclude)
    sheets: list[Printable] = [wide_sheet(made, order=order)] if request.wide else [*made]
    whole = [replace(table, rows=tuple(row for row in table.rows if not row.of_mean)) for table in made]
    if request.rank:
        from benchmark.report.tables.ranks import rank_sheet

        sheets.append(rank_sheet(whole))
    if request.means:
        from benchmark.report.tables.seen import seen_sheet

        sheets.append(seen_sheet(whole, records))
    if request.power:
        from benchmark.report.tables.power import power_sheet

        sheets.append(power_sheet(made))
    return [with_short_caption(one.sheet) for one in sheets] if request.short else sheets


def _check_folds(request: TableRequest, folds: Folds) -> None:
    """Refuse what a table over folds does not hold: they share training images, so that no interval follows."""
    asked = {"ci": request.ci, "significance": request.significance is not None, "power": request.power}
    asked |= {"wilcoxon": request.wilcoxon, "exclude-leaked": bool(request.exclude)}
    for name in (name for name, on in asked.items() if on):
        one = next(iter(folds.splits.values()))
        raise BenchError(f"--{name} does not apply to a table over {folds.word}; choose one with --split {one!r}")


def with_short_caption(sheet: Sheet) -> Sheet:
    """Return the table with a caption of one sentence; the details stand in the first note."""
    first, stop, details = sheet.caption.partition(". ")
    return replace(sheet, caption=f"{first}{stop.strip()}", notes=(details, *sheet.notes)) if details else sheet


def _strata(request: TableRequest, records: Records) -> list[Printable]:
    """Scores by kind of image."""
    from benchmark.report.tables.image_rows import image_rows
    from benchmark.report.tables.strata import strata_tables

    return [*strata_tables(image_rows(records, request.results, **request.choice), request.by or "")]


def _family(request: TableRequest, records: Records) -> list[Printable]:
    """Measures on request, whole sets or by kind of image."""
    from benchmark.report.tables.families import family_tables

    assert request.family is not None, "this kind of table is of a family"
    made = family_tables(
        records, request.results, request.family, by=request.by, reasons=request.reasons, **request.choice
    )
    return [*made]


def _worst(request: TableRequest, records: Records) -> list[Printable]:
    """Each model's worst images."""
    from benchmark.report.tables.image_rows import image_rows
    from benchmark.report.tables.worst import worst_lists

    return [*worst_lists(image_rows(records, request.results, **request.choice), request.worst or 0)]


def _efficiency(request: TableRequest, records: Records) -> list[Printable]:
    """Return the cost of the networks."""
    from benchmark.report.records.select import choose
    from benchmark.report.tables.efficiency import efficiency_sheets, read_profile

    profile = read_profile(ResultsLayout(request.results).profile)
    chosen = choose(records, recipe=request.recipe, split=request.split)
    return [*efficiency_sheets(chosen, profile, models=model_names(request.models))]


def _published(request: TableRequest, records: Records) -> list[Printable]:
    """Compare our numbers with published ones."""
    from benchmark.report.literature.against import against_published
    from benchmark.report.literature.published import published_files, published_folder, read_published
    from benchmark.report.records.set_scores import score_reader
    from benchmark.report.tables.build import build_tables

    own = request.published is not None and request.published != Path()
    files = [request.published] if own and request.published else published_files(published_folder())
    rows = [row for file in files for row in read_published(file)]
    read = score_reader(request.results, request.protocol)
    return [*against_published(build_tables(records, ci=True, read=read, **request.choice), records, rows)]


_KINDS: dict[str, Callable[[TableRequest, Records], list[Printable]]] = {
    "main": _scores,
    "ablation": _scores,
    "by": _strata,
    **dict.fromkeys(("lesions", "calibration", "boundary", "precision"), _family),
    "worst": _worst,
    "efficiency": _efficiency,
    "published": _published,
}
"""Kind of table -> what makes it."""


def model_names(names: Sequence[str] | None) -> list[str] | None:
    """Expand ``all`` and take ``FILE.py:function`` as the records do; None stays None."""
    if names is None:
        return None
    return [part for name in names for part in (MODEL_TITLES if name == "all" else [recorded_model(name)])]


def dataset_names(names: Sequence[str] | None) -> list[str] | None:
    """Expand groups such as ``polyp``; None stays None."""
    if names is None:
        return None
    from benchmark.data.listing.datasets import expand_datasets

    return expand_datasets(names)
