"""Tables as papers print them: sets side by side, percent, order, check marks, siunitx, workbooks."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from typeset import compile_latex, needs_pdflatex

from benchmark.errors import BenchError
from benchmark.report.sheets.cells import Cell, Column
from benchmark.report.sheets.excel import write_excel
from benchmark.report.sheets.sheet import Sheet
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.numerals import numerals
from benchmark.report.tables.ranks import rank_sheet
from benchmark.report.tables.wide import wide_sheet
from benchmark.store.schema import Record

SETS = ("kvasir", "clinicdb", "colondb", "cvc300", "etis", "polypgen", "piccolo", "sun-seg")
TWO = ("mDSC", "mIoU")


def _seeds(make_record: Any, model: str, values: dict[str, tuple[float, ...]], **fields: Any) -> list[Record]:
    return [
        make_record(model, seed=s, tests={name: column[s] for name, column in values.items()}, **fields)
        for s in range(len(next(iter(values.values()))))
    ]


@pytest.fixture
def two(make_record: Any) -> list[Record]:
    return [
        *_seeds(make_record, "unet", {"kvasir": (0.70, 0.80), "etis": (0.50, 0.70)}),
        *_seeds(make_record, "bsanet", {"kvasir": (0.90, 0.92), "etis": (0.60, 0.62)}),
    ]


def test_sets_stand_side_by_side_with_the_mean_over_them_behind(two: Any) -> None:
    sheet = wide_sheet(build_tables(two, measures=TWO, std=True))
    assert sheet.groups == [("", 1), ("Kvasir", 2), ("etis", 2), ("Mean", 2)]
    assert [cell.text for cell in sheet.rows[0]] == ["U-Net", "0.750", "0.750", "0.600", "0.600", "0.675", "0.675"]
    # seed 0 means 0.60, seed 1 0.75: the deviation of the mean, not the mean of deviations
    assert sheet.rows[0][5].spread == "± 0.106"
    assert sheet.rows[1][5].mark == "best" and sheet.rows[0][5].mark == "second"
    line = dict(sheet.data[0])
    assert line["kvasir_mDSC"] == pytest.approx(0.75) and line["mean_mDSC_std"] == pytest.approx(0.10607, abs=1e-5)


def test_a_row_that_lacks_a_set_has_no_mean(make_record: Any) -> None:
    records = [make_record("unet", tests={"kvasir": 0.7}), make_record("bsanet", tests={"kvasir": 0.8, "etis": 0.6})]
    foreign = make_record("pranet", tests={"kvasir": 0.9, "etis": 0.9}, n=62, origin="maps by their authors")
    sheet = wide_sheet(build_tables([*records, foreign], measures=TWO))
    means = {row[0].text: row[-2].text for row in sheet.rows}
    assert means == {"U-Net": "", "PraNet": "0.900", "BSANet (ours)": "0.700"}
    assert "Blank under Mean, U-Net: not every test set was scored wholly" in sheet.notes
    partial = foreign.to_json()
    partial["tests"]["etis"]["of"] = 100
    sheet = wide_sheet(build_tables([*records, Record.model_validate(partial)], measures=TWO))
    assert {row[0].text: row[-2].text for row in sheet.rows}["PraNet"] == ""


def test_a_fact_that_all_sets_share_is_stated_once_and_one_that_differs_with_its_sets(make_record: Any) -> None:
    skin = make_record("unet", tests={"ph2": 0.5}, split={"name": "paper-skin"}, cell="unet/quick-2/seed0", leaked=2)
    caption = wide_sheet(build_tables([make_record("unet"), skin], measures=TWO)).caption
    assert (
        caption.count("Protocol pranet (aa11bb22)") == 1
        and "Results on 2 test sets: Kvasir (100 images), ph2" in caption
    )
    assert "Split paper (seed 0) (Kvasir)" in caption and "Split paper-skin (seed 0) (ph2)" in caption
    assert (
        "2 test images also stand in the training set (near-duplicates and sequences were not looked for) (ph2)"
        in caption
    )


@pytest.mark.parametrize(
    ("form", "text"),
    [({}, "0.812"), ({"percent": True}, "81.2"), ({"digits": 2}, "0.81"), ({"percent": True, "digits": 2}, "81.23")],
)
def test_percent_and_digits(make_record: Any, form: Any, text: str) -> None:
    table = build_tables([make_record("unet", tests={"kvasir": 0.8123})], numerals=numerals(**form))[0]
    assert table.sheet.rows[0][1].text == text
    assert ("Scores in percent." in table.sheet.caption) == bool(form.get("percent"))
    assert "0.812300" in table.to_csv()
    with pytest.raises(BenchError, match="--digits 9: expected 0 to 6"):
        numerals(digits=9)


def test_best_and_ranks_are_decided_on_the_digits_that_are_printed(make_record: Any) -> None:
    records = [make_record("unet", tests={"kvasir": 0.8104}), make_record("bsanet", tests={"kvasir": 0.8101})]
    for digits, marks in ((3, ["best", "best"]), (4, ["best", "second"])):
        table = build_tables(records, numerals=numerals(digits=digits))[0]
        assert [table.marks[(i, "mDSC")] for i in (0, 1)] == marks
    assert [row["mDSC_rank"] for row in rank_sheet([table]).data] == [1.0, 2.0]
    assert [row["mDSC_rank"] for row in rank_sheet(build_tables(records)).data] == [1.5, 1.5]


def test_rows_follow_the_order_that_was_asked_for(make_record: Any) -> None:
    records = [make_record(model) for model in ("unet", "pranet", "sanet", "bsanet")]
    cut = make_record("bsanet", ablation=["isam"], cell="bsanet-no-isam/quick-1/seed0")
    for kind, expected in (
        ("main", ["BSANet (ours)", "SANet", "U-Net", "PraNet"]),
        ("ablation", ["BSANet (ours)", "BSANet w/o ISAM"]),
    ):
        tables = build_tables([*records, cut], kind=kind, order=("bsanet", "sanet"))  # type: ignore[arg-type]
        assert [row.title for row in tables[0].rows] == expected
        assert [row[0].text for row in wide_sheet(tables, order=("bsanet", "sanet")).rows] == expected
    with pytest.raises(BenchError, match="did you mean 'sanet'"):
        build_tables(records, order=("sanett",))


def test_an_ablation_with_check_marks_shows_the_parts_that_each_variant_has(make_record: Any) -> None:
    parts = ["isam", "arm", "long_name"]
    records = [
        make_record("bsanet", parts=parts),
        make_record("bsanet", ablation=["isam"], parts=parts, cell="bsanet-1/quick-1/seed0"),
        make_record("bsanet", ablation=["arm", "isam"], parts=parts, cell="bsanet-2/quick-1/seed0"),
        make_record("pranet", parts=["ra"]),
        make_record("pranet", ablation=["ra"], parts=["ra"], cell="pranet-1/quick-1/seed0"),
    ]
    (table,) = build_tables(records, kind="ablation", check_marks=True, measures=("mDSC",))
    assert [column.plain for column in table.sheet.columns] == ["Model", "RA", "ISAM", "ARM", "long name", "mDSC ↑"]
    assert [[cell.text for cell in row[:5]] for row in table.sheet.rows] == [
        ["PraNet", "✓", "–", "–", "–"],
        ["PraNet", "", "–", "–", "–"],
        ["BSANet (ours)", "–", "✓", "✓", "✓"],
        ["BSANet", "–", "", "✓", "✓"],
        ["BSANet", "–", "", "", "✓"],
    ]
    assert r"$\checkmark$" in table.to_latex() and "booktabs,amssymb" in table.to_latex()
    assert "| BSANet | – |  | ✓ |" in table.to_markdown() and "✓" in table.to_html()


def test_a_title_of_ones_own_does_not_hide_what_a_variant_lacks(make_record: Any) -> None:
    cut = make_record("bsanet", ablation=["isam"], cell="bsanet-no-isam/quick-1/seed0")
    (table,) = build_tables([make_record("bsanet"), cut], kind="ablation", titles={"bsanet": "Ours"})
    assert [row.title for row in table.rows] == ["Ours", "Ours w/o ISAM"]


def test_heads_above_stand_over_their_columns_in_every_format(two: Any) -> None:
    sheet = wide_sheet(build_tables(two, measures=TWO))
    tex = sheet.to_latex()
    assert r"& \multicolumn{2}{c}{Kvasir} & \multicolumn{2}{c}{etis} & \multicolumn{2}{c}{Mean} \\" in tex
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-5} \cmidrule(lr){6-7}" in tex
    assert tex.startswith("% needs \\usepackage{booktabs}\n\\begin{table*}") and r"\end{table*}" in tex
    assert "| Model | Kvasir mDSC ↑ | Kvasir mIoU ↑ | etis mDSC ↑ |" in sheet.to_markdown()
    assert '<tr><td></td><th scope="colgroup" colspan="2" class="c">Kvasir</th>' in sheet.to_html()
    assert sheet.to_csv().startswith("model,model_title,ablation,setting,kvasir_mDSC,kvasir_mIoU,etis_mDSC")


def _many(make_record: Any, num_models: int, sets: tuple[str, ...]) -> list[Record]:
    names = [f"net_{i}" for i in range(num_models - 2)]
    titles = {"net_0": "Réseau_à_trous (Łódź)", "net_1": "Net_&_%"}
    return [
        make_record(
            model,
            seed=seed,
            model_title=titles.get(model, model),
            tests={name: 0.5 + (i * 7 + k * 3 + seed) % 40 / 100 for k, name in enumerate(sets)},
        )
        for i, model in enumerate([*names, "unet", "bsanet"])
        for seed in range(2)
    ]


@needs_pdflatex
def test_wide_tables_fit_a_page_of_two_columns(make_record: Any, make_results: Any, tmp_path: Path) -> None:
    from benchmark.report.records.set_scores import score_reader
    from benchmark.store.io import read_records

    eight = _many(make_record, 16, SETS)
    made = [wide_sheet(build_tables(_many(make_record, 6, SETS[:5]), measures=TWO, std=True))]
    for form in ({}, {"percent": True}, {"digits": 4}):
        made.append(wide_sheet(build_tables(eight, measures=TWO, numerals=numerals(**form))))
    made.append(wide_sheet(build_tables(eight, measures=("mDSC", "mIoU", "MAE"), std=True)))
    parts = ["isam", "arm", "ohem"]
    cut = [
        make_record(
            "bsanet", ablation=[p], parts=parts, tests=dict.fromkeys(SETS[:3], 0.5), cell=f"b-{p}/quick-1/seed0"
        )
        for p in parts
    ]
    full = make_record("bsanet", tests=dict.fromkeys(SETS[:3], 0.7), parts=parts)
    variants = build_tables([full, *cut], kind="ablation", check_marks=True, measures=TWO)
    made.append(wide_sheet(variants))
    root = make_results(sets={"kvasir": 12, "etis": 8})
    tables = build_tables(read_records(root), ci=True, significance="", read=score_reader(root, "pranet"), measures=TWO)
    made.append(wide_sheet(tables))
    body = "\n".join(one.to_latex() for one in made)
    log = compile_latex(body, tmp_path, options="twocolumn", packages="booktabs,amssymb")
    log += compile_latex(variants[0].to_latex(), tmp_path, packages="booktabs,amssymb")
    assert not re.findall(r"Overfull .hbox .*", log)
    assert made[1].to_latex().count(r"\begin{tabular}") == 2  # sixteen columns of figures go on below
    assert made[2].to_latex().count(r"\begin{tabular}") <= 2
    for panel in made[1].to_latex().split(r"\begin{tabular}")[1:]:
        assert r"\cmidrule(lr){2-3}" in panel and "Réseau" not in panel and r"R\'{e}seau\_\`{a}\_trous" in panel


def test_siunitx_columns_state_their_digits(two: Any) -> None:
    sheet = wide_sheet(build_tables(two, measures=TWO, siunitx=True, numerals=numerals(percent=True)))
    tex = sheet.to_latex()
    assert (
        "% needs \\usepackage{booktabs,siunitx}" in tex
        and r"\begin{tabular}{l" + "S[table-format=2.1]" * 6 + "}" in tex
    )
    assert r"{BSANet (ours)} & \bfseries 91.0 &" in tex and r"{\underline{75.0}}" in tex and "{mDSC}" in tex
    spread = build_tables(two, measures=TWO, siunitx=True, std=True)[0].to_latex()
    assert r"{\textbf{0.910\,$\pm$\,0.014}}" in spread


@needs_pdflatex
@pytest.mark.skipif(
    shutil.which("kpsewhich") is None or not subprocess.run(["kpsewhich", "siunitx.sty"], capture_output=True).stdout,
    reason="siunitx is not installed",
)
def test_siunitx_compiles(two: Any, tmp_path: Path) -> None:
    made = [wide_sheet(build_tables(two, measures=TWO, siunitx=True, std=std)) for std in (False, True)]
    body = "\n".join(one.to_latex() for one in made)
    log = compile_latex(body, tmp_path, options="twocolumn", packages="booktabs,siunitx")
    assert not re.findall(r"Overfull .hbox .*", log)


def test_a_workbook_holds_numbers_and_no_formulas(two: Any, make_record: Any, tmp_path: Path) -> None:
    bad = make_record("=cmd|' /C calc'!A0", tests={"kvasir": 0.5}, model_title="=HYPERLINK(1)", cell="x/quick-1/seed0")
    tables = build_tables([*two, bad])
    path = write_excel([*tables, wide_sheet(tables)], tmp_path / "t.xlsx")
    book = openpyxl.load_workbook(io.BytesIO(path.read_bytes()))
    assert book.sheetnames == ["table-kvasir", "table-etis", "table-wide", "about"]
    head, *rows = book["table-kvasir"].iter_rows(values_only=True)
    assert {row[head.index("model")]: row[head.index("mDSC")] for row in rows}["unet"] == pytest.approx(0.75)
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f"]
    assert "'=HYPERLINK(1)" in [cell.value for cell in cells]
    assert any("Split paper" in str(cell.value) for row in book["about"].iter_rows() for cell in row)


def test_a_workbook_takes_any_text(tmp_path: Path) -> None:
    nasty = ["a\x00b\x0b", "\ud800", "x" * 40000, "=1+1", "@a", "中文 🙂"]
    sheets = [
        Sheet(stem, text, (Column("A"),), ((Cell(text),),), data=({"=a": text, "b": None, "c": 1.0},))
        for stem, text in zip(["about", "a" * 40, "a" * 40, "x[1]:*?/\\", "'q'", "History"], nasty, strict=True)
    ]
    book = openpyxl.load_workbook(write_excel(sheets, tmp_path / "any.xlsx"))
    assert len(book.sheetnames) == 7 and max(map(len, book.sheetnames)) <= 31
    assert {sheet["A1"].value for sheet in list(book)[:-1]} == {"'=a"}
    with pytest.raises(BenchError, match=r"ends in \.xlsx"):
        write_excel(sheets, tmp_path / "any.csv")


def test_siunitx_leaves_columns_with_words_in_them_as_they_are() -> None:
    columns = tuple(
        Column(name, align=align) for name, align in (("Model", "l"), ("Dice", "r"), ("Seed", "r"), ("Gaps", "r"))
    )
    rows = ((Cell("a"), Cell("0.5"), Cell("0, 1"), Cell("1")), (Cell("b"), Cell("0.75"), Cell("2"), Cell("")))
    tex = Sheet(stem="s", caption="c", columns=columns, rows=rows, siunitx=True).to_latex()
    assert r"\begin{tabular}{lS[table-format=1.2]rS[table-format=1.0]}" in tex
