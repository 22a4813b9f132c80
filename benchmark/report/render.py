"""A table as LaTeX, Markdown and CSV text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmark.report import escape
from benchmark.report.names import MEASURE_KEYS, MEASURES
from benchmark.report.rows import Row, printed

if TYPE_CHECKING:
    from benchmark.report.tables import Table


def caption(table: Table) -> str:
    """Return the caption as plain text: what was measured, on what, how, and how it was made."""
    facts = table.facts
    what = "Results" if table.kind == "main" else "Ablation"
    sentences = [
        f"{what} on {table.title}{_images(table)}",
        f"Protocol {facts.protocol}{_in_brackets(facts.protocol_hash)}",
    ]
    if facts.split:
        sentences.append(f"Split {facts.split}")
    if facts.recipe:
        spaced = facts.recipe.replace(",", ", ")  # so that a long list of fields can break across lines
        sentences.append(f"Recipe {spaced}{_in_brackets(facts.recipe_hash)}")
    if facts.seeds:
        sentences.append(_seeds(facts.seeds, table.show_std))
    if facts.weights:
        sentences.append(f"Weights: {facts.weights}")
    if facts.num_leaked:
        sentences.append(f"{facts.num_leaked} test images also stand in the training set")
    if facts.commit:
        sentences.append(f"Commit {facts.commit}")
    if facts.synthetic:
        sentences.append("Synthetic images: these numbers say nothing about real polyps")
    return ". ".join(sentences) + "."


def _images(table: Table) -> str:
    facts = table.facts
    if facts.n is None:
        return ""
    kind = "synthetic images" if facts.synthetic and "synthetic" not in table.title else "images"
    return f" ({facts.n} of {facts.of} {kind})" if facts.of and facts.of != facts.n else f" ({facts.n} {kind})"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _seeds(seeds: Sequence[int], with_std: bool) -> str:
    if len(seeds) == 1:
        return f"Seed {seeds[0]}"
    spread = " and standard deviation" if with_std else ""
    return f"Seeds {', '.join(map(str, seeds))} (mean{spread})"


def _printed(table: Table, row: Row, key: str, plus_minus: str) -> str:
    value, std = row.values.get(key), row.std.get(key)
    if value is None:
        return ""
    return printed(value) + (f"{plus_minus}{printed(std)}" if table.show_std and std is not None else "")


def to_latex(table: Table) -> str:
    """Return a ``table`` environment for an article that loads booktabs."""
    lines = [
        r"\begin{table}[tbp]",
        r"  \centering",
        rf"  \caption{{{escape.latex(caption(table))} Best in bold, second underlined.}}",
        rf"  \label{{tab:{table.stem}}}",
        r"  \begin{tabular}{l" + "c" * len(MEASURES) + "}",
        r"    \toprule",
        "    " + " & ".join(["Model", *(measure.latex for measure in MEASURES)]) + r" \\",
        r"    \midrule",
    ]
    for i, row in enumerate(table.rows):
        cells = [_latex_cell(table, i, row, key) for key in MEASURE_KEYS]
        dagger = r"$^{\dagger}$" if row.foreign else ""
        lines.append("    " + " & ".join([escape.latex(row.title) + dagger, *cells]) + r" \\")
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    lines += [rf"  \par\smallskip{{\footnotesize {escape.latex(note)}\par}}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}", ""])


def _latex_cell(table: Table, i: int, row: Row, key: str) -> str:
    text = _printed(table, row, key, r"\,$\pm$\,")
    mark = table.marks.get((i, key))
    if mark == "best":
        return rf"\textbf{{{text}}}"
    return rf"\underline{{{text}}}" if mark == "second" else text


def to_markdown(table: Table) -> str:
    """Return a GitHub table with the caption above and the notes below."""
    header = ["Model", *(f"{measure.plain} {measure.arrow}" for measure in MEASURES)]
    lines = [
        f"{escape.markdown(caption(table))} Best in bold, second underlined.",
        "",
        "| " + " | ".join(header) + " |",
        "|:--|" + "--:|" * len(MEASURES),
    ]
    for i, row in enumerate(table.rows):
        name = escape.markdown(row.title) + ("†" if row.foreign else "")
        cells = [_markdown_cell(table, i, row, key) for key in MEASURE_KEYS]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    if table.notes:
        lines += ["", *(f"- {escape.markdown(note)}" for note in table.notes)]
    return "\n".join([*lines, ""])


def _markdown_cell(table: Table, i: int, row: Row, key: str) -> str:
    text = _printed(table, row, key, " ± ")
    mark = table.marks.get((i, key))
    if mark == "best":
        return f"**{text}**"
    return f"<u>{text}</u>" if mark == "second" else text


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
            "synthetic": facts.synthetic,
            "origin": row.origin,
            "note": row.reason or "",
        }
        for row in table.rows
    ]


def to_csv(tables: Sequence[Table]) -> str:
    """Return the rows of several tables under one header."""
    rows = [row for table in tables for row in csv_rows(table)]
    if not rows:
        return ""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _csv_value(v) for k, v in row.items()} for row in rows)
    return buffer.getvalue()


def _csv_value(value: Any) -> Any:
    """Round to six decimals: below any measure's repeatability, and short enough to read."""
    if isinstance(value, str):
        return escape.one_line(value)
    return f"{value:.6f}" if isinstance(value, float) else value
