"""No name, path or error message may break a LaTeX or Markdown file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import changed
from typeset import compile_latex, needs_pdflatex

from benchmark.report.literature.against import against_published
from benchmark.report.literature.published import published_files, published_folder, read_published
from benchmark.report.records.set_scores import score_reader
from benchmark.report.sheets import escape
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.efficiency import efficiency_sheets
from benchmark.report.tables.ranks import rank_sheet
from benchmark.store.io import read_records

NASTY = [
    r"50% of $HOME\results & more_{x}^2 ~ #1 <a|b> \"q\" `t` 'u' --seeds -- ''x'' ?` !`",
    "Zoë Müller, Łódź, Ångström, naïve façade, ĵ ī, größe, 中文, 🙂, x\u0301\u0302, \u0000\u001b[0m",
    "line one\nline two\r\n\tthree\u2028four",
    "α β φ µ ± × ≥ ≤ → … – — “q” ‘r’ † 5°",
    r"\input{/etc/passwd} \end{table} %",
    "",
]


@given(st.text())
def test_latex_is_ascii_without_a_bare_special(text: str) -> None:
    out = escape.latex(text)
    assert out.isascii()
    assert "\n" not in out
    # taking away every escape that we write leaves no character with a meaning of its own
    rest = re.sub(r"\$(\\[a-z]+|\^\{\\[a-z]+\})\$", "", out)
    rest = re.sub(r"\{\\ttfamily\\char34\}", "", rest)
    rest = re.sub(r"\\([`'^~=.\"]|[urHvc](?=\{))\{(\\[ij]|[A-Za-z])\}", "", rest)
    rest = re.sub(
        r"\\(textbackslash|text[a-z]+|dots|ss|ae|AE|o|O|l|L)\{\}|\\[{}$&#%_]|[-'`]\{\}|\{(--|---|``|'')\}", "", rest
    )
    assert not re.search(r"[\\{}$&#%_^~]", rest)


def test_options_and_quotes_are_not_turned_into_dashes_and_ligatures() -> None:
    assert escape.latex("--seeds '' ---") == "-{}-seeds '{}' -{}-{}-"
    assert escape.latex("U-Net's") == "U-Net's"


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_different_plain_texts_stay_different(text: str) -> None:
    assert (escape.latex(text) == escape.latex(text + "_")) is False
    assert escape.latex(text).count(r"\_") == escape.one_line(text).count("_")


@given(st.text())
def test_markdown_cell_is_one_line_without_a_bare_pipe_or_tag(text: str) -> None:
    out = escape.markdown(text)
    assert len(out.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(\\\\)*[|<>*_`]", out)


@given(st.text())
def test_label_is_safe_for_files_and_latex(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", escape.label(text))


@needs_pdflatex
def test_every_table_compiles_in_a_bare_article(make_record: Any, tmp_path: Path) -> None:
    records = [make_record("unet", tests={"kvasir": 0.5}, missing={"etis": NASTY[0]})]
    records.append(make_record("bsanet", missing={"etis": NASTY[0]}))
    for i, text in enumerate(NASTY):
        bad = make_record(f"m{i}_&%", model_title=text, tests={}, status="failed", error=text * 3)
        records.append(changed(bad, environment={"commit": text}))
    foreign = make_record("pranet", origin="maps by their authors", n=3)
    tables = build_tables([*records, foreign], std=True)
    compile_latex("\n".join(table.to_latex() for table in tables), tmp_path)


@needs_pdflatex
def test_tables_of_every_kind_compile_and_fit_the_line(make_results: Any, tmp_path: Path) -> None:
    root = make_results(sets={"kvasir": 12, "etis": 8})
    make_results({"bsanet": 0.7}, ablation=["isam"], cell="bsanet-no-isam/quick-1/seed0", seeds=(0, 1))
    records = read_records(root)
    read = score_reader(root, "pranet")
    made: list[Any] = build_tables(records, std=True, ci=True, significance="", read=read)
    made += build_tables(records, kind="ablation", ci=True, significance="", read=read)
    made.append(rank_sheet(made[:2]))
    numbers = (
        "size_px",
        "batch",
        "num_params",
        "gmacs",
        "latency_ms",
        "latency_p95_ms",
        "peak_memory_mb",
        "num_threads",
    )
    cost: dict[str, Any] = {**dict.fromkeys(numbers, 1.0), "model": "unet", "title": "U-Net", "device": "cpu"}
    cost |= {"device_name": NASTY[0], "torch": "2"}
    made += efficiency_sheets(records, [cost])
    published = [row for file in published_files(published_folder()) for row in read_published(file)]
    made += against_published(build_tables(records, ci=True, read=read), records, published)
    log = compile_latex("\n".join(one.sheet.to_latex() for one in made), tmp_path)
    assert not re.findall(r"Overfull .hbox .*", log)


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-net", "@sum", "-0.5", "+1e-3", "plain"])
def test_no_text_of_a_csv_is_a_formula(text: str) -> None:
    from benchmark.report.sheets.csv import to_csv

    (cell,) = to_csv([{"model": text}]).splitlines()[1:]
    is_safe = text == "plain" or text in ("-0.5", "+1e-3")
    assert cell == (text if is_safe else f"'{text}")


def test_std_of_one_seed_says_why_there_is_none(make_record: Any) -> None:
    (table,) = build_tables([make_record("unet")], std=True)
    assert table.sheet.notes == ("No standard deviation: one seed; it needs two, such as --seeds 0,1",)
    assert "standard deviation" not in table.sheet.caption
