"""The result of an ablation: each variant's scores, its paired differences from the full model, and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.metrics.measures import COLUMNS, MEASURES
from benchmark.report.records.blocks import make_blocks
from benchmark.report.records.names import dataset_title
from benchmark.report.sheets import escape
from benchmark.report.statistics.resampling import paired_comparisons
from benchmark.report.tables.rows import row_title
from benchmark.store.io import write_text
from benchmark.store.schema import Record

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class AblationTable:
    """Rows of one test set.

    Attributes:
        dataset: Test set.
        caption: What the numbers are: protocol, split, recipe, seeds, images.
        rows: One per variant: ``variant``, ``drop``, cost columns, and per measure ``<m>``, ``<m>_difference``,
            ``<m>_low``, ``<m>_high``, ``<m>_p_holm`` (the last four absent for the full model).
    """

    dataset: str
    caption: str
    rows: tuple[dict[str, Any], ...]

    def to_markdown(self) -> str:
        """A table with one line per variant; differences with their 95 % interval below each score."""
        heads = ["Variant", *(f"{m.plain} {m.arrow}" for m in MEASURES), "Params (M)", "GMACs", "Latency (ms)"]
        lines = [escape.markdown(self.caption), "", _line(heads), _line([":--", *["--:"] * (len(heads) - 1)])]
        for row in self.rows:
            cells = [f"{row[m.key]:.3f}{_difference(row, m.key, '<br>{} [{}, {}]')}" for m in MEASURES]
            lines.append(_line([escape.markdown(row["variant"]), *cells, *_cost(row)]))
        return "\n".join(lines) + "\n"

    def to_latex(self) -> str:
        """A booktabs table that compiles as it stands inside an article."""
        heads = ["Variant", *(m.latex for m in MEASURES), "Params (M)", "GMACs", "ms"]
        lines = [
            r"\begin{table}[htbp]",
            r"\centering\scriptsize\setlength{\tabcolsep}{2pt}",
            rf"\caption{{{escape.latex(self.caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
        ]
        for row in self.rows:
            cells = [_latex_cell(row, m.key) for m in MEASURES]
            lines.append(" & ".join([escape.latex(row["variant"]), *cells, *_cost(row)]) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def ablation_tables(
    records: Sequence[Record],
    rows: Sequence[pd.DataFrame],
    costs: Mapping[tuple[str, ...], Mapping[str, float]],
    *,
    protocol: str = "pranet",
) -> tuple[list[AblationTable], pd.DataFrame]:
    """Compare the variants of one model with its full form, per test set.

    Args:
        records: Finished cells of one model: every variant with the same seeds, recipe and split.
        rows: Per-image rows of each, in the same order.
        costs: ``num_params``, ``gmacs`` and ``latency_ms`` by dropped parts.
        protocol: Whose scores.
    Returns:
        One table per test set, and the comparisons in mDSC for a forest plot.
    Raises:
        BenchError: A variant lacks a seed or an image that others have.
    """
    import pandas as pd

    names = {tuple(r.ablation): _title(r) for r in records}
    long = pd.concat(
        [f.assign(model=_title(r), seed=r.seed) for r, f in zip(records, rows, strict=True)], ignore_index=True
    )
    full = names[()]
    found: dict[tuple[str, str], dict[str, Any]] = {}
    forest = pd.DataFrame()
    for measure, column in COLUMNS.items():
        blocks = make_blocks(long, column=column, protocol=protocol)
        compared = paired_comparisons(blocks, reference=full)
        forest = compared if measure == "mDSC" else forest
        for block in blocks:
            for model, scores in zip(block.models, block.scores, strict=True):
                found.setdefault((block.dataset, model), {})[measure] = float(scores.mean())
        for line in compared.to_dict("records"):
            target = found[(line["dataset"], line["model"])]
            for key in ("difference", "low", "high", "p_holm"):
                target[f"{measure}_{key}"] = line[key]
    sets = list(dict.fromkeys(dataset for dataset, _ in found))
    tables = []
    for dataset in sets:
        made = tuple(
            {"variant": name, "drop": ",".join(drop) or "none", **costs.get(drop, {}), **found[(dataset, name)]}
            for drop, name in names.items()
        )
        tables.append(AblationTable(dataset, _caption(records, dataset, protocol), made))
    return tables, forest


def write_ablation(tables: Sequence[AblationTable], folder: Path, model: str) -> list[Path]:
    """Write ``ablation-<model>-<dataset>.md`` and ``.tex``, and ``ablation-<model>.csv`` with every row and column."""
    import pandas as pd

    texts = {folder / f"ablation-{model}-{t.dataset}.md": t.to_markdown() for t in tables}
    texts |= {folder / f"ablation-{model}-{t.dataset}.tex": t.to_latex() for t in tables}
    everything = [{"dataset": t.dataset, **row} for t in tables for row in t.rows]
    texts[folder / f"ablation-{model}.csv"] = pd.DataFrame(everything).to_csv(index=False, float_format="%.6g")
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def _title(record: Record) -> str:
    if record.ablation:
        return row_title(record.model, record.ablation, record.model_title)
    return f"{record.model_title or record.model} (full)"


def _caption(records: Sequence[Record], dataset: str, protocol: str) -> str:
    first = records[0]
    test, split = first.tests[dataset], first.split
    seeds = sorted({r.seed for r in records})
    weights = "ImageNet weights" if first.recipe.get("pretrained") else "random initialisation"
    synthetic = "synthetic " if first.synthetic else ""
    return (
        f"Ablation of {first.model_title} on {dataset_title(dataset, test.title)} "
        f"({test.n} {synthetic}images). "
        f"Protocol {protocol} ({first.protocols[protocol]}). Split {split.name} (seed {split.seed}). "
        f"Recipe {first.recipe_name} ({first.recipe_hash}). Seeds {', '.join(map(str, seeds))}. "
        f"Weights: {weights}. "
        "Below each score: difference from the full model with its 95 % interval from paired per-image differences."
    )


def _difference(row: Mapping[str, Any], key: str, form: str) -> str:
    if f"{key}_difference" not in row:
        return ""
    return form.format(*(f"{row[f'{key}_{part}']:+.3f}" for part in ("difference", "low", "high")))


def _latex_cell(row: Mapping[str, Any], key: str) -> str:
    below = _difference(row, key, r"\tiny ${}$ [${}$, ${}$]")
    return rf"\shortstack[r]{{{row[key]:.3f}\\{below}}}" if below else f"{row[key]:.3f}"


def _cost(row: Mapping[str, Any]) -> list[str]:
    forms = {
        "num_params": lambda v: f"{v / 1e6:.2f}",
        "gmacs": lambda v: f"{v:.2f}",
        "latency_ms": lambda v: f"{v:.0f}",
    }
    return [form(row[key]) if key in row else "" for key, form in forms.items()]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
