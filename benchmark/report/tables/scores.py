"""A table of scores as a sheet: the paper's six columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmark.metrics.measures import MEASURE_KEYS, MEASURES
from benchmark.report.sheets.escape import label
from benchmark.report.sheets.sheet import Cell, Column, Mark, Sheet
from benchmark.report.tables.captions import Facts, caption
from benchmark.report.tables.leaks import CLEAN_TITLE, LEAK_KINDS
from benchmark.report.tables.numerals import PLAIN, Numerals
from benchmark.report.tables.rows import Clean, Kind, Row, part_title
from benchmark.report.tables.uncertainty import Uncertainty

if TYPE_CHECKING:
    import pandas as pd

GAP_OF = MEASURE_KEYS[0]
"""The measure whose gap between seen parts and the one left out is printed."""


@dataclass(frozen=True)
class Table:
    """The rows of one test set with everything the caption and the notes say.

    Attributes:
        measures: Those that are printed; CSV holds all.
        parts: In an ablation with check marks, the parts of each model, by its name; else empty.
        aside: What the caption says of rows over folds or parts left out; else empty.
    """

    dataset: str
    title: str
    kind: Kind
    rows: tuple[Row, ...]
    facts: Facts
    notes: tuple[str, ...] = ()
    show_std: bool = False
    show_settings: bool = False
    show_ci: bool = False
    show_tests: bool = False
    primary: str = MEASURE_KEYS[0]
    signed_rank: bool = False
    uncertainty: Uncertainty = field(default_factory=Uncertainty)
    marks: Mapping[tuple[int, str], Mark] = field(default_factory=dict)
    numerals: Numerals = PLAIN
    siunitx: bool = False
    measures: tuple[str, ...] = MEASURE_KEYS
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aside: str = ""

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return f"{'table' if self.kind == 'main' else 'ablation'}-{label(self.dataset)}"

    @property
    def sheet(self) -> Sheet:
        """The table ready to print."""
        return score_sheet(self)

    @property
    def frame(self) -> pd.DataFrame:
        """The CSV as a data frame."""
        return self.sheet.frame

    def to_latex(self) -> str:
        """Return a ``table`` environment; it needs ``\\usepackage{booktabs}`` and nothing else."""
        return self.sheet.to_latex()

    def to_markdown(self) -> str:
        """Return a GitHub table under a caption line."""
        return self.sheet.to_markdown()

    def to_html(self) -> str:
        """Return a ``table`` element with its caption, and the notes behind it."""
        return self.sheet.to_html()

    def to_csv(self) -> str:
        """Return CSV text with a header, six decimals."""
        return self.sheet.to_csv()


def score_sheet(table: Table) -> Sheet:
    """Lay out one row per model and one column per measure."""
    measures = [Column(f"{m.plain} {m.arrow}", m.latex) for m in MEASURES if m.key in table.measures]
    return Sheet(
        stem=table.stem,
        caption=score_caption(table),
        columns=(*head_columns(table), *measures, *gap_columns(table)),
        rows=tuple(line for i, row in enumerate(table.rows) for line in _lines(table, i, row)),
        notes=(*table.notes, *_no_spread(table)),
        data=tuple(csv_rows(table)),
        combined="tables" if table.kind == "main" else "ablations",
        siunitx=table.siunitx,
    )


def _no_spread(table: Table) -> list[str]:
    """Return why a requested standard deviation is missing."""
    single = [row.title for row in table.rows if row.n is not None and len(row.seeds) == 1 and not row.foreign]
    if not table.show_std or not single or table.aside:
        return []
    num_ours = sum(row.n is not None and not row.foreign for row in table.rows)
    who = "" if len(single) == num_ours else f", {', '.join(single)}"
    return [f"No standard deviation{who}: one seed; it needs two, such as --seeds 0,1"]


def head_columns(table: Table) -> tuple[Column, ...]:
    """Return the columns that say what a row is."""
    parts = (Column(part_title(part), align="c") for part in _all_parts(table))
    return (Column("Model", align="l"), *((Column("Setting", align="l"),) if table.show_settings else ()), *parts)


def _all_parts(table: Table) -> list[str]:
    return list(dict.fromkeys(part for row in table.rows for part in table.parts.get(row.model, ())))


def head_cells(table: Table, row: Row) -> tuple[Cell, ...]:
    """Return what a row is: its name, its setting, and its parts, checked; a dash where its model has no such part."""
    title = row.title.rpartition(" w/o ")[0] if table.parts and row.ablation else row.title
    setting = (Cell(row.setting),) if table.show_settings else ()
    own = table.parts.get(row.model, ())
    parts = (
        Cell("–") if part not in own else Cell() if part in row.ablation else Cell("✓", mark="check")
        for part in _all_parts(table)
    )
    return (Cell(title, sup="†" if row.foreign else ""), *setting, *parts)


def score_caption(table: Table) -> str:
    """Return the caption: the facts, and what the marks mean."""
    what = "Results" if table.kind == "main" else "Ablation"
    spread = table.show_std and any(value is not None for row in table.rows for value in row.std.values())
    return " ".join([caption(what, table.title, table.facts, with_std=spread), *legend(table)])


def legend(table: Table) -> list[str]:
    """Return the sentences on what the marks in the cells mean."""
    sentences = ["Scores in percent."] if table.numerals.percent else []
    if table.marks:
        sentences.append("Best in bold, second underlined.")
    sentences += [table.aside] if table.aside else []
    if has_gap(table):
        sentences.append(f"Gap: how much less {GAP_OF} on the part left out than on held-out images of seen parts.")
    if table.parts:
        sentences.append("A check mark: the network has the part.")
    if table.uncertainty.intervals:
        over = "other images and other seeds" if len(table.facts.seeds) > 1 else "other images"
        sentences.append(f"In brackets: 95 % interval of the mean over {over} (Student's t on variance components).")
    for reason in dict.fromkeys(table.uncertainty.blank.values()) if table.show_ci else ():
        sentences.append(f"n. e.: interval not estimable ({reason}).")
    if table.uncertainty.tested:
        sentences.append(_meaning_of_stars(table))
    return sentences


def _meaning_of_stars(table: Table) -> str:
    references = {one.reference for one in table.uncertainty.tested.values()}
    whom = references.pop() if len(references) == 1 else "the full form of the same model"
    if table.uncertainty.untested:
        return f"No difference from {whom} is tested ({table.uncertainty.untested})."
    number, sets = table.uncertainty.family
    return (
        f"*, **, ***: {table.primary} differs from {whom}'s with p < 0.05, 0.01, 0.001 (paired by image, over other "
        f"images and seeds; Holm's correction over {number} comparisons on {sets} test set{'s' if sets != 1 else ''}). "
        "The other measures are descriptive."
    )


def _lines(table: Table, i: int, row: Row) -> Iterator[tuple[Cell, ...]]:
    """Yield the row, and below it the one without leaked images where that was asked for and differs."""
    yield _cells(table, i, row)
    clean = row.clean
    if clean is not None and not clean.same:
        blank = (Cell(),) * (len(head_columns(table)) - 1)
        figures = (
            figure(table.numerals, clean, key, clean.marks.get(key), std=table.show_std) for key in table.measures
        )
        yield (Cell(CLEAN_TITLE), *blank, *figures, *gap_cells(table, None))


def _cells(table: Table, i: int, row: Row) -> tuple[Cell, ...]:
    return (*head_cells(table, row), *(weighed(table, i, key) for key in table.measures), *gap_cells(table, row))


def gap_columns(table: Table) -> tuple[Column, ...]:
    """Return the column of the gap to seen parts, where some row has one."""
    return (Column(f"gap {GAP_OF}"),) if has_gap(table) else ()


def has_gap(table: Table) -> bool:
    """Whether some row of the table has a gap to seen parts."""
    return any(row.gap is not None for row in table.rows)


def gap_cells(table: Table, row: Row | None) -> tuple[Cell, ...]:
    """Return the cell of that column."""
    if not has_gap(table):
        return ()
    gap = None if row is None else row.gap
    return (Cell() if gap is None else Cell(table.numerals.text(gap).replace("-", "−"), value=gap),)


def weighed(table: Table, i: int, key: str) -> Cell:
    """Return the figure with its interval and its stars."""
    text = table.numerals.text
    cell = figure(table.numerals, table.rows[i], key, table.marks.get((i, key)), std=table.show_std)
    if not cell.text:
        return cell
    ends, tested = table.uncertainty.intervals.get((i, key)), table.uncertainty.tested.get((i, key))
    below = (
        f"[{text(ends[0])}, {text(ends[1])}]"
        if ends
        else "n. e."
        if table.show_ci and i in table.uncertainty.blank
        else ""
    )
    return replace(cell, below=below, sup=tested.stars if tested else "")


def figure(form: Numerals, row: Row | Clean, key: str, mark: Mark | None, *, std: bool) -> Cell:
    """Return a score, with its deviation over seeds where that was asked for."""
    value, deviation = row.values.get(key), row.std.get(key)
    if value is None:
        return Cell()
    spread = f"± {form.text(deviation)}" if std and deviation is not None else ""
    return Cell(form.text(value), spread=spread, mark=mark, value=value)


def csv_rows(table: Table) -> list[dict[str, Any]]:
    """Return one dictionary per row, the columns of the CSV in order; blanks are None."""
    facts = table.facts
    return [
        {
            "dataset": table.dataset,
            "model": row.model,
            **{key: row.values.get(key) for key in MEASURE_KEYS},
            "n": row.n,
            "of": row.of,
            "dataset_title": table.title,
            "model_title": row.title,
            "ablation": "+".join(row.ablation),
            "setting": row.setting,
            "protocol": facts.protocol,
            "protocol_hash": facts.protocol_hash,
            "split": "" if row.foreign else facts.split,
            "recipe": "" if row.foreign else facts.recipe,
            "recipe_hash": row.recipe_hash,
            "seeds": " ".join(map(str, row.seeds)),
            **{f"{key}_std": row.std.get(key) for key in MEASURE_KEYS},
            "weights": row.weights,
            "num_params": row.num_params,
            "num_leaked": row.num_leaked,
            **{f"num_leaked_{kind}": row.leaked.get(kind) for kind in LEAK_KINDS},
            "synthetic": facts.synthetic,
            **({"gap": row.gap} if has_gap(table) else {}),
            "origin": row.origin,
            "note": row.reason or "",
            **_clean_columns(table, row),
            **_uncertain(table, i),
        }
        for i, row in enumerate(table.rows)
    ]


def _clean_columns(table: Table, row: Row) -> dict[str, Any]:
    """Return the columns that only a table without leaked images has."""
    if all(one.clean is None for one in table.rows):
        return {}
    clean = row.clean or Clean({}, {})
    figures = {f"{key}_clean": clean.values.get(key) for key in MEASURE_KEYS}
    return {**figures, "n_clean": clean.n, "note_clean": clean.reason or ""}


def _uncertain(table: Table, i: int) -> dict[str, Any]:
    """Return the columns that exist only if intervals or comparisons were requested."""
    found: dict[str, Any] = {}
    if table.show_ci:
        for key in MEASURE_KEYS:
            found[f"{key}_low"], found[f"{key}_high"] = table.uncertainty.intervals.get((i, key), (None, None))
        found["not_estimable"] = table.uncertainty.blank.get(i, "")
        shares = table.uncertainty.shares.get(i, (None, None, None))
        found |= dict(zip(("share_image", "share_seed", "share_rest"), shares, strict=True))
    if table.show_tests:
        tested = {key: table.uncertainty.tested.get((i, key)) for key in MEASURE_KEYS}
        found["reference"] = next((one.reference for one in tested.values() if one), "")
        for key, one in tested.items():
            found[f"{key}_difference"] = one.difference if one else None
            found[f"{key}_difference_low"] = _known(one.low) if one else None
            found[f"{key}_difference_high"] = _known(one.high) if one else None
        one = tested[table.primary]
        found["primary"] = table.primary
        found["p"], found["p_holm"] = (_known(one.p), _known(one.p_holm)) if one else (None, None)
        found["not_tested"] = table.uncertainty.untested if any(tested.values()) else ""
        if table.signed_rank:
            found["p_wilcoxon"] = _known(one.wilcoxon) if one else None
    return found


def _known(value: float) -> float | None:
    return value if value == value else None
