"""The smallest detectable difference on each test set, with the present seeds and with more of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.errors import BenchError
from benchmark.metrics.measures import MEASURES
from benchmark.report.sheets.cells import Cell, Column
from benchmark.report.sheets.sheet import Sheet
from benchmark.report.statistics.limits import MIN_SEEDS
from benchmark.report.statistics.power import ALPHA, POWER, detectable, with_seeds
from benchmark.report.tables.rows import printed
from benchmark.report.tables.uncertainty import Design

if TYPE_CHECKING:
    from benchmark.report.tables.scores import Table

OTHER_SEEDS = (3, 5, 10)


def power_sheet(tables: Sequence[Table]) -> Sheet:
    """Lay out one row per test set.

    The level is that of Holm's first and strictest step: 0.05 over the comparisons of the command. Where a set has
    several comparisons the one of median standard error stands for all.

    Args:
        tables: Of one kind, from ``build_tables`` with ``significance``.
    Raises:
        BenchError: Nothing is compared.
    """
    if not any(table.uncertainty.designs for table in tables):
        raise BenchError("--power: nothing is compared; it needs two models, or variants, scored on one test set")
    family = max(1, sum(len(t.uncertainty.designs) for t in tables if not _hopeless(t)))
    alpha = ALPHA / family
    lines = [_line(table, alpha, family) for table in tables]
    primary = tables[0].primary
    measure = next(m for m in MEASURES if m.key == primary)
    facts = tables[0].facts
    synthetic = " Synthetic images." if any(t.facts.synthetic for t in tables) else ""
    heads = ("Test set", "Images", "Groups", "Seeds", "Comparisons", "Standard error", "Detectable")
    more = tuple(Column(f"with {seeds} seeds") for seeds in OTHER_SEEDS)
    return Sheet(
        stem="power" if tables[0].kind == "main" else "ablation-power",
        caption=(
            f"Smallest true difference in {measure.plain} that this design finds with {POWER:.0%} power".replace(
                "%", " %"
            )
            + f" at p < {ALPHA} after Holm's correction over {family} comparison{'s' if family > 1 else ''} (median "
            f"comparison; the columns on the right: the same images and variances, other numbers of seeds). Protocol "
            f"{facts.protocol} ({facts.protocol_hash}).{synthetic}"
        ),
        columns=(Column(heads[0], align="l"), *(Column(head) for head in heads[1:]), *more),
        rows=tuple(_cells(line) for line in lines),
        notes=tuple(dict.fromkeys(f"{line['title']}: {line['reason']}" for line in lines if line["reason"])),
        data=tuple(lines),
    )


def _hopeless(table: Table) -> bool:
    """Whether no number of seeds would help."""
    return not table.uncertainty.designs or bool(table.uncertainty.blank_reason)


def _line(table: Table, alpha: float, family: int) -> dict[str, Any]:
    found = table.uncertainty
    first = found.designs[0].fit if found.designs else None
    seeds = (first.num_seeds if first.num_trained else 0) if first else None
    line: dict[str, Any] = {
        "dataset": table.dataset,
        "title": table.title,
        "measure": table.primary,
        "n": table.facts.n,
        "num_groups": len(first.sizes) if first else None,
        "num_seeds": seeds,
        "num_comparisons": len(found.designs),
        "family": family,
        "error": None,
        "detectable": None,
        "detectable_least": None,
        "detectable_most": None,
        **{f"detectable_{seeds}_seeds": None for seeds in OTHER_SEEDS},
        "reason": found.untested or ("" if found.designs else "nothing is compared"),
    }
    if _hopeless(table):
        return line
    pairs = sorted((float(d.found.error[d.place]), float(d.found.df[d.place]), k) for k, d in enumerate(found.designs))
    error, df, k = pairs[(len(pairs) - 1) // 2]
    line["error"] = error
    if seeds == 0 or (seeds or 0) >= MIN_SEEDS:
        line["detectable"] = detectable(error, df, alpha=alpha)
        line["detectable_least"] = detectable(*pairs[0][:2], alpha=alpha)
        line["detectable_most"] = detectable(*pairs[-1][:2], alpha=alpha)
    if (seeds or 0) > 1:
        line |= {f"detectable_{other}_seeds": _at(found.designs[k], other, alpha) for other in OTHER_SEEDS}
    return line


def _at(design: Design, num_seeds: int, alpha: float) -> float | None:
    error, df = with_seeds(design.found, design.fit, design.place, design.reference, num_seeds)
    shift = detectable(error, df, alpha=alpha)
    return shift if np.isfinite(shift) else None


def _cells(line: dict[str, Any]) -> tuple[Cell, ...]:
    counts = [Cell("" if line[key] is None else str(line[key]), value=line[key])
              for key in ("n", "num_groups", "num_seeds", "num_comparisons")]  # fmt: skip
    shifts = [_shift(line[f"detectable_{seeds}_seeds"]) for seeds in OTHER_SEEDS]
    now = _shift(line["detectable"]) if line["detectable"] is not None else Cell("none")
    return (Cell(line["title"]), *counts, _shift(line["error"]), now, *shifts)


def _shift(value: float | None) -> Cell:
    if value is None:
        return Cell()
    return Cell(printed(value) if value <= 1 else "> 1", value=value)
