"""The figures by name: content, required files, and how each is drawn from the records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import BenchError, unknown_name
from benchmark.report.figures import comparisons as compare_plots
from benchmark.report.figures import plots
from benchmark.report.figures.cell_files import curves_of, latencies, read_histories
from benchmark.report.figures.evidence import Evidence
from benchmark.report.figures.grid import Case, choose_images, qualitative
from benchmark.report.figures.pictures import Pictures, stretched, stretches
from benchmark.report.figures.reliability import reliability_figure
from benchmark.report.figures.size import size
from benchmark.report.records.select import set_title
from benchmark.report.statistics.comparisons import mean_intervals, paired_comparisons
from benchmark.report.statistics.limits import MIN_SEEDS, not_tested
from benchmark.report.statistics.ranks import average_ranks
from benchmark.report.tables.rows import printed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DEFAULT_ROWS = ("best", "median", "worst", "disagreement")


@dataclass(frozen=True)
class Options:
    """Options of the user.

    Attributes:
        reference: Reference model; None for BSANet, else the first.
        rows: Rules or ids for the qualitative grid.
        wide: Grid across both columns of a page.
        most_models: Models in figures where they lie over one another; None for all.
    """

    reference: str | None = None
    rows: Sequence[str] = DEFAULT_ROWS
    wide: bool = False
    most_models: int | None = None


@dataclass(frozen=True)
class Drawn:
    """A figure, or the reason why it was not drawn.

    Attributes:
        stem: File name without suffix.
        title: Title in words.
    """

    stem: str
    title: str
    figure: Figure | None = None
    reason: str = ""


@dataclass(frozen=True)
class Plot:
    """One kind of figure; ``draw`` makes it for one test set, or ``whole`` for all together.

    ``every_model``: its statistics are of all models, and each has a row of its own.
    """

    sentence: str
    needs: str
    draw: Callable[[Evidence, str, Options, Pictures], Figure] | None = None
    whole: Callable[[Evidence, Options], Figure] | None = None
    every_model: bool = False


def draw(name: str, evidence: Evidence, pictures: Pictures, options: Options) -> Iterator[Drawn]:
    """Draw one kind of figure, once per test set if it shows one; where impossible, return the reason.

    Raises:
        BenchError: Unknown name.
    """
    if name not in PLOTS:
        raise unknown_name("plot", name, PLOTS)
    plot = PLOTS[name]
    if options.most_models is not None and not plot.every_model:
        evidence = evidence.shortlist(options.most_models)
    if plot.whole is not None:
        whole = plot.whole
        yield _attempt(name, plot.sentence, lambda: whole(evidence, options))
        return
    assert plot.draw is not None
    one = plot.draw
    if not evidence.datasets:
        yield Drawn(name, plot.sentence, reason="no test set was scored")
    for dataset in evidence.datasets:
        title = f"{plot.sentence}: {set_title(evidence.records, dataset)}"
        yield _attempt(f"{name}-{dataset}", title, lambda d=dataset: one(evidence, d, options, pictures))  # type: ignore[misc]


def _attempt(stem: str, title: str, make: Callable[[], Figure]) -> Drawn:
    try:
        return Drawn(stem, title, make())
    except BenchError as error:
        return Drawn(stem, title, reason=str(error))


def _qualitative(evidence: Evidence, dataset: str, options: Options, pictures: Pictures) -> Figure:
    members = pictures.with_maps(dataset)
    pictures.items(dataset)
    block = evidence.block(dataset)
    names = [m.name for m in members if m.name in block.models]
    stretch = stretches(evidence.protocol)
    chosen = choose_images(block, options.rows, higher_is_better=evidence.measure.higher_is_better)
    cases = []
    for image_id, rules in chosen.items():
        image, mask = pictures.pair(dataset, image_id)
        maps = {m.name: pictures.map(m, dataset, image_id) for m in members if m.name in names}
        if stretch:
            maps = {name: stretched(prob) for name, prob in maps.items()}
        column = block.ids.index(image_id)
        scores = {name: float(block.scores[block.index(name), 0, column]) for name in names}
        cases.append(Case(",\n".join(rules) or image_id, image_id, image, mask, maps, scores))
    where = "; ".join(f"{' and '.join(rules) or 'chosen'}: {image_id}" for image_id, rules in chosen.items())
    how = "of the map stretched to [0, 1]" if stretch else "of the map"
    note = (
        f"Outlines at threshold 0.5 {how}, seed {block.seeds[0]}; the number is that map's {evidence.measure.key}. "
        f"Images chosen by the models' mean {evidence.measure.key}: {where}. {evidence.note([dataset])}"
    )
    title = set_title(evidence.records, dataset)
    return qualitative(cases, names, title=title, wide=options.wide, note=note)


def _curves(evidence: Evidence, dataset: str, options: Options, pictures: Pictures) -> Figure:
    found, lost = {}, ""
    for member in evidence.members(dataset):
        mine = curves_of(evidence, member.records, dataset)
        if mine is None:
            lost += f" {member.row.title} has no curves.npz."
        else:
            found[member.name] = mine
    if not found:
        raise BenchError(f"no curves.npz beside the records of {dataset}; score the cells again")
    return plots.curves(found, dataset=dataset, note=evidence.note([dataset]) + lost)


def _distribution(evidence: Evidence, dataset: str, options: Options, pictures: Pictures) -> Figure:
    label = f"{evidence.measure.key} of one image"
    return plots.distribution(evidence.block(dataset), label=label, note=evidence.note([dataset]))


def _size(evidence: Evidence, dataset: str, options: Options, pictures: Pictures) -> Figure:
    block = evidence.block(dataset)
    area = evidence.images(dataset)["area_rel"].reindex(list(block.ids)).to_numpy(dtype=float)
    label = f"{evidence.measure.key} of one image"
    title = set_title(evidence.records, dataset)
    return size(block, area, label=label, title=title, note=evidence.note([dataset]))


def _training(evidence: Evidence, options: Options) -> Figure:
    files = [
        (name, path)
        for name, records in evidence.trained.items()
        for path in (evidence.paths(record).history for record in records)
        if path.is_file()
    ]
    histories: dict[str, list[pd.DataFrame]] = {}
    for (name, _), history in zip(files, read_histories([path for _, path in files]), strict=True):
        histories.setdefault(name, []).append(history)
    return plots.training(histories, note=f"Band: from least to greatest seed. {evidence.note()}")


def reference_of(models: Sequence[str], wanted: str | None) -> str:
    """Return the reference model: the given one, else BSANet, else the first.

    Raises:
        BenchError: The given one is not among them.
    """
    if wanted is not None and wanted not in models:
        raise unknown_name("model", wanted, models)
    return wanted or ("bsanet" if "bsanet" in models else models[0])


def _forest(evidence: Evidence, options: Options) -> Figure:
    blocks = evidence.blocks()
    reference = reference_of(list(dict.fromkeys(m for b in blocks for m in b.models)), options.reference)
    blocks = [block for block in blocks if reference in block.models]
    found = paired_comparisons(blocks, reference=reference)
    seeds = "paired by image and seed" if evidence.kind == "ablation" else "paired by image"
    note = f"95 % intervals, {seeds}. {_hints(found)}{evidence.note()}"
    return compare_plots.forest(found, label=f"difference in {evidence.measure.key}", note=note)


def _hints(found: pd.DataFrame) -> str:
    """Return the limits of the intervals, once for all test sets."""
    hints = list(dict.fromkeys(part for note in found["note"] if note for part in note.split("; ")))
    hints = [hint for hint in hints if not hint.startswith("no interval can be given")]  # printed above the panel
    seeds = found.loc[found["p"].isna() & (found["num_seeds"] < MIN_SEEDS), "num_seeds"]
    if len(seeds):
        hints = [not_tested(int(seeds.min())), *(hint for hint in hints if "seed" not in hint)]
    return "".join(f"{hint[:1].upper()}{hint[1:]}. " for hint in hints)


def _ranks(evidence: Evidence, options: Options) -> Figure:
    import pandas as pd

    blocks = evidence.blocks()
    means = {b.dataset: dict(zip(b.models, b.scores.mean(axis=(1, 2)), strict=True)) for b in blocks}
    scores = pd.DataFrame(means).T.map(lambda value: float(printed(value)))  # as the table ranks: on printed digits
    found = average_ranks(scores, higher_is_better=evidence.measure.higher_is_better)
    return compare_plots.ranks(found, note=f"By {evidence.measure.key}. {evidence.note()}")


def _with_scores(evidence: Evidence, dataset: str, cost: dict[str, float], column: str) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    block = evidence.block(dataset)
    found = mean_intervals([block])
    reason = str(found["reason"].iloc[0])
    note = f"Intervals not estimable ({reason})." if reason else "Bars: 95 % intervals."
    frame = pd.DataFrame(found).rename(columns={"mean": evidence.measure.key})
    return frame.assign(**{column: [cost.get(str(model), np.nan) for model in frame["model"]]}), note


def _parameters(evidence: Evidence, dataset: str, options: Options, pictures: Pictures) -> Figure:
    cost = {m.name: float(m.row.num_params) for m in evidence.members(dataset) if m.row.num_params}
    rows, bars = _with_scores(evidence, dataset, cost, "num_params")
    title = set_title(evidence.records, dataset)
    note = f"{bars} {evidence.note([dataset])}"
    return compare_plots.cost(rows, score=evidence.measure.key, title=title, note=note)


def _latency(evidence: Evidence, dataset: str, options: Options, pictures: Pictures) -> Figure:
    names = [m.name for m in evidence.members(dataset) if not m.row.foreign]
    cost, conditions = latencies(evidence.results, names)
    rows, bars = _with_scores(evidence, dataset, cost, "latency_ms")
    title = set_title(evidence.records, dataset)
    note = f"Latency {conditions}. {bars} {evidence.note([dataset])}"
    return compare_plots.cost(rows, x="latency_ms", score=evidence.measure.key, title=title, note=note)


PLOTS: dict[str, Plot] = {
    "qualitative": Plot(
        "image, mask and each model's map, with correct and wrong pixels outlined in colour",
        "maps/ beside the records, and the images (--data-root)",
        _qualitative,
    ),
    "curves": Plot("precision against recall, and F and E by threshold", "curves.npz beside the records", _curves),
    "training": Plot(
        "training loss and validation score by epoch, with the range over seeds",
        "history.csv beside the records",
        whole=_training,
    ),
    "distribution": Plot("scores of single images, by model", "scores.parquet beside the records", _distribution),
    "size": Plot("score against the size of the polyp", "scores.parquet beside the records", _size),
    "reliability": Plot(
        "how often pixels are polyp, by the probability that a network gives them",
        "metrics/ beside the records, from 'bench tables --calibration'",
        lambda evidence, dataset, *_: reliability_figure(evidence, dataset),
    ),
    "parameters": Plot("score against the number of parameters", "scores.parquet; num_params in run.json", _parameters),
    "latency": Plot(
        "score against the time per image", "scores.parquet, and profile.csv from 'bench profile'", _latency
    ),
    "forest": Plot(
        "paired differences from a reference model, with intervals",
        "scores.parquet of at least two models",
        whole=_forest,
        every_model=True,
    ),
    "ranks": Plot(
        "average ranks over test sets with the critical difference",
        "scores.parquet of at least two models on every test set",
        whole=_ranks,
        every_model=True,
    ),
}
"""Every kind of figure by name."""
