"""The rows of a table: means over the same seeds for all, or a blank and its reason; best and second."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benchmark.metrics.measures import MEASURE_KEYS, Measure
from benchmark.report.records.identity import RowKey, digest, is_foreign, row_keys, start_of
from benchmark.report.records.names import MODEL_TITLES, model_order, model_title, seed_words
from benchmark.report.sheets.sheet import Mark
from benchmark.report.tables.leaks import count_kinds, total_leaked
from benchmark.report.tables.numerals import PLAIN, Numerals
from benchmark.store.schema import Record

Kind = Literal["main", "ablation"]


@dataclass(frozen=True)
class Clean:
    """A row over the test images that are not leaked; None is a blank.

    Attributes:
        values, std, n, reason: As in ``Row``.
        same: No image is leaked: nothing to print a second time.
        marks: Best and second among such rows.
    """

    values: Mapping[str, float | None]
    std: Mapping[str, float | None]
    n: int | None = None
    reason: str | None = None
    same: bool = False
    marks: Mapping[str, Mark] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One model on one test set.

    Attributes:
        model: Registry name. ablation: Parts left out, in order.
        title: As printed, without dagger.
        values: Mean over the seeds for each of the six measures; None is a blank.
        by_seed: The scores themselves, in the order of ``seeds``.
        std: Standard deviation over the seeds (N - 1); None for one seed.
        n: Images scored; None for a blank row. of: Images that the set holds, where fewer were scored.
        foreign: The maps or the weights are external, or are the mean of several cells'.
        ensemble: The latter.
        gap: How much less mDSC it has on a part that was left out than on those that trained; None elsewhere.
        of_mean: A fold or a part whose mean with others is a row, too: that one is ranked.
        origin: By whom, as the record says.
        reason: Why cells are blank.
        num_leaked: Leaked test images of every kind; None where not counted. leaked: By kind, where counted.
        cells: The records that the row averages, in the order of ``seeds``.
        clean: The row without leaked test images, where that was asked for.
        setting: What distinguishes it from other rows of the same model; often empty.
        fingerprint: Of the images that were scored.
        other_images: They are not the images of the other rows, so the row is not ranked.
    """

    model: str
    ablation: tuple[str, ...]
    title: str
    values: Mapping[str, float | None]
    std: Mapping[str, float | None]
    n: int | None = None
    of: int | None = None
    seeds: tuple[int, ...] = ()
    foreign: bool = False
    origin: str = ""
    recipe_hash: str = ""
    weights: str = ""
    num_params: int | None = None
    num_leaked: int | None = None
    leaked: Mapping[str, int] = field(default_factory=dict)
    reason: str | None = None
    cells: tuple[str, ...] = ()
    clean: Clean | None = None
    setting: str = ""
    fingerprint: str = ""
    other_images: bool = False
    by_seed: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    ensemble: bool = False
    gap: float | None = None
    of_mean: bool = False

    @property
    def key(self) -> RowKey:
        """What tells the row from the others of a table, the same on every test set."""
        return RowKey(self.model, self.ablation, self.foreign, self.title if self.foreign else "", self.setting)

    @property
    def is_partial(self) -> bool:
        """Whether foreign maps cover only a part of the images."""
        return self.foreign and not self.ensemble and self.of is not None and self.n != self.of

    @property
    def is_ranked(self) -> bool:
        """A row over other images, or a part of them, is shown, but takes no part in best and second."""
        return self.is_whole and not self.of_mean

    @property
    def is_whole(self) -> bool:
        """All images of the table were scored, and no others."""
        return not (self.is_partial or self.other_images)


def printed(value: float) -> str:
    """Return a score as tables print it where nothing else was asked for."""
    return PLAIN.text(value)


def printed_row(row: Row, key: str, form: Numerals = PLAIN) -> float | None:
    """Return a row's score as the number that the table prints."""
    value = row.values.get(key)
    return None if value is None else form.rounded(value)


def mark_best(rows: Sequence[Row], measure: Measure, form: Numerals = PLAIN) -> dict[int, Mark]:
    """Return which rows are best and second in one column, decided on the printed digits; equal ones share.

    With fewer than two rows to compare nothing is marked.
    """
    ranked = {i: printed_row(row, measure.key, form) for i, row in enumerate(rows) if row.is_ranked}
    shown = {i: value for i, value in ranked.items() if value is not None}
    if len(shown) < 2:
        return {}
    places = sorted(set(shown.values()), reverse=measure.higher_is_better)
    names: dict[float, Mark] = dict(zip(places[:2], ("best", "second"), strict=False))  # type: ignore[arg-type]
    return {i: names[value] for i, value in shown.items() if value in names}


def row_order(key: RowKey, order: Sequence[str] = ()) -> tuple[Any, ...]:
    """Sort key of a row: the models named first, in that order, then the usual one; variants below their full model."""
    place = order.index(key.model) if key.model in order else len(order)
    return (place, model_order(key.model), len(key.ablation), "mean of " in key.setting, key)


def group_cells(
    records: Sequence[Record],
    *,
    models: Sequence[str] | None,
    kind: Kind,
    by_recipe: bool = False,
    order: Sequence[str] = (),
) -> dict[RowKey, list[Record]]:
    """Group records into rows, in the order of the table."""
    cells: dict[RowKey, list[Record]] = {}
    keys = row_keys(records, by_recipe=by_recipe)
    for record in records:
        if models is None or record.model in models:
            cells.setdefault(keys[record.cell], []).append(record)
    present = {key.model for key in cells}
    for model in models or () if kind == "main" else ():
        if model not in present:
            cells[RowKey(model)] = []
    return dict(sorted(cells.items(), key=lambda item: row_order(item[0], order)))


def row_title(model: str, ablation: Sequence[str], recorded: str | None) -> str:
    """Return ``BSANet (ours)`` for the full model, ``BSANet w/o ISAM, ARM`` for an ablated one."""
    if not ablation:
        return model_title(model, recorded)
    return without_parts(MODEL_TITLES.get(model) or recorded or model, ablation)


def without_parts(title: str, ablation: Sequence[str]) -> str:
    """Return the printed name of a variant, from that of its model."""
    return f"{title} w/o {', '.join(map(part_title, ablation))}" if ablation else title


def part_title(part: str) -> str:
    """Return the printed name of a part that an ablation leaves out."""
    return part.upper() if len(part) <= 4 else part.replace("_", " ")


def make_row(records: Sequence[Record], key: RowKey, dataset: str, protocol: str, seeds: tuple[int, ...]) -> Row:
    model, ablation, foreign = key[:3]
    title = key.title or row_title(model, ablation, records[0].model_title or model if records else None)
    used = list(records) if foreign else [r for r in records if r.seed in seeds]
    used.sort(key=lambda r: r.seed)
    reason = _why_blank(used, dataset, protocol, () if foreign else seeds)
    if reason is not None:
        blank: dict[str, float | None] = dict.fromkeys(MEASURE_KEYS)
        return Row(model, ablation, title, blank, blank, foreign=foreign, reason=reason, setting=key.setting)
    tests = [r.tests[dataset] for r in used]
    columns = {key: [_number(t.scores[protocol].get(key)) for t in tests] for key in MEASURE_KEYS}
    lacking = [key for key, column in columns.items() if None in column]
    return Row(
        model=model,
        ablation=ablation,
        title=title,
        values={key: mean_of(column) for key, column in columns.items()},
        std={key: std_of(column) for key, column in columns.items()},
        n=tests[0].n,
        of=tests[0].of,
        seeds=tuple(r.seed for r in used),
        foreign=foreign,
        origin=(used[0].origin or "") + digest(used[0]) if foreign else "",
        recipe_hash=used[0].recipe_hash,
        weights=describe_weights(used[0]),
        num_params=used[0].num_params,
        num_leaked=None if foreign else total_leaked(tests),
        leaked={} if foreign else count_kinds(tests),
        reason=f"no number for {', '.join(lacking)}" if lacking else None,
        cells=tuple(r.cell for r in used),
        setting=key.setting,
        fingerprint=tests[0].fingerprint,
        ensemble=used[0].ensemble is not None,
        by_seed={key: tuple(column) for key, column in columns.items()},
    )


def _why_blank(records: Sequence[Record], dataset: str, protocol: str, seeds: Sequence[int]) -> str | None:
    """Return why a row has no numbers, None when every seed has them."""
    if not records:
        return "not run" + (f" with seed {seed_words(seeds)}" if seeds else "")
    for record in records:
        missing = record.missing.get(dataset)
        if missing:
            return str(missing)
        if record.status != "ok":
            error = f": {record.error}" if record.error else ""
            return f"seed {record.seed} {record.status}{error}"
        scores = record.tests[dataset].scores if dataset in record.tests else {}
        if protocol not in scores:
            scored = f"scored under {', '.join(sorted(scores))} only" if scores else f"not scored on {dataset}"
            return f"seed {record.seed} {scored}"
    absent = sorted(set(seeds) - {r.seed for r in records})
    if absent:
        have = seed_words(r.seed for r in records)
        return f"only seed {have} of {seed_words(seeds)} was run; --seeds chooses which to average"
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def mean_of(column: Sequence[float | None]) -> float | None:
    numbers = [value for value in column if value is not None]
    return statistics.fmean(numbers) if len(numbers) == len(column) else None


def std_of(column: Sequence[float | None]) -> float | None:
    numbers = [value for value in column if value is not None]
    return statistics.stdev(numbers) if len(numbers) == len(column) >= 2 else None


def describe_weights(record: Record) -> str:
    if is_foreign(record):
        return "as their authors trained them"
    start = start_of(record)
    if start:
        return start
    pretrained = record.pretrained
    name = pretrained.get("name")
    asked = bool(record.recipe.get("pretrained"))
    if not pretrained.get("used", bool(name) or asked):
        return "random initialisation"
    return f"pretrained {name}{digest(record)}" if name else "pretrained on ImageNet"


def mark_other_images(rows: Sequence[Row]) -> list[Row]:
    """Tell which rows were scored on other images than ours; where all are foreign and differ, that is every row."""
    ours = {row.fingerprint for row in rows if row.fingerprint and not row.foreign}
    known = ours or {row.fingerprint for row in rows if row.fingerprint and not row.is_partial}
    if ours or len(known) > 1:
        agreed = ours if len(ours) == 1 else set()
        return [
            replace(row, other_images=row.foreign and not row.is_partial and row.fingerprint not in agreed)
            if row.fingerprint
            else row
            for row in rows
        ]
    return list(rows)


def notes(rows: Sequence[Row]) -> list[str]:
    """Return one line per reason for blanks, and one per row over foreign maps."""
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        if row.reason:
            by_reason.setdefault(row.reason, []).append(_named(row))
    lines = []
    for reason, titles in by_reason.items():
        who = "all rows" if len(titles) == len(rows) > 1 else ", ".join(titles)
        lines.append(f"Blank, {who}: {reason}")
    return [*lines, *(_foreign_note(row, rows) for row in rows if row.foreign)]


def _named(row: Row) -> str:
    return f"{row.title} ({row.setting})" if row.setting else row.title


def _foreign_note(row: Row, rows: Sequence[Row]) -> str:
    facts = [row.origin]
    if row.is_partial:
        facts.append(f"{row.n} of {row.of} images, not ranked")
    elif row.other_images:
        whose = "ours were" if any(not one.foreign and one.fingerprint for one in rows) else "the other rows were"
        facts.append(f"scored on other images than {whose} ({row.n} images), not ranked")
    return f"† {row.title}: {', '.join(facts)}"
