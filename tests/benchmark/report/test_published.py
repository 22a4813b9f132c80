"""The audit of printed numbers: what it must flag, and nothing more."""

from __future__ import annotations

import csv
import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import BenchError
from benchmark.report.literature.audit import audit_published, findings_json
from benchmark.report.literature.published import published_files, read_published
from benchmark.report.literature.rules import dice_iou_fault

PUBLISHED = Path(__file__).parents[3] / "results" / "published"
PAPER = PUBLISHED / "bsanet_paper.csv"


def _of_rule(rule: str, paths: list[Path]) -> list[tuple[str, str, str]]:
    return [(f.table, f.dataset, f.model) for f in audit_published(paths) if f.rule == rule]


def test_the_papers_impossible_rows_are_these_four() -> None:
    # By hand. Table 1, Unet++: 0.8405 / 1.1595 = 0.7249 is more than 0.7185, the most that 0.718 can stand for.
    # Table 4: 0.843 > 0.831, 0.873 > 0.870 and 0.875 > 0.873 by more than one unit; 0.880 = 0.880 is possible.
    assert _of_rule("iou-below-bound", [PAPER]) == [("Table 1", "Kvasir", "Unet++")]
    above = [("Table 4", "CVC-EndoScene", model) for model in ("Unet++", "PraNet", "LDNet")]
    assert _of_rule("iou-above-dice", [PAPER]) == above


def test_a_search_over_all_true_values_that_print_so_agrees_on_every_published_row() -> None:
    def possible(dice: str, iou: str) -> bool:
        fine = [k / 20 for k in range(-10, 11)]  # steps of 1/20 unit across the printed interval, in thousandths
        dices = [float(dice) + k / 1000 for k in fine]
        ious = [float(iou) + k / 1000 for k in fine]
        return any(d / (2 - d) <= j + 1e-9 and j <= d + 1e-9 for d in dices for j in ious)

    with PAPER.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    impossible = [(r["table"], r["dataset"], r["model"]) for r in rows if not possible(r["mDSC"], r["mIoU"])]
    flagged = _of_rule("iou-below-bound", [PAPER]) + _of_rule("iou-above-dice", [PAPER])
    assert sorted(impossible) == sorted(flagged)
    assert len(rows) == 24


def test_no_row_of_the_pranet_and_sanet_papers_is_impossible() -> None:
    paths = [PUBLISHED / "pranet_paper.csv", PUBLISHED / "sanet_paper.csv"]
    assert {f.rule for f in audit_published(paths)} == {"across-papers"}


KEPT = ("table", "dataset", "model", "mDSC", "mIoU", "S_alpha", "F_beta_w", "E_phi_max", "MAE")


def test_papers_that_state_one_setup_disagree_on_these_numbers() -> None:
    found = [f for f in audit_published(published_files(PUBLISHED)) if f.severity == "warning"]
    assert sorted((f.dataset, f.model) for f in found) == [
        ("CVC-ClinicDB", "U-Net"),
        ("CVC-ColonDB", "PraNet"),
        ("ETIS", "PraNet"),
    ]
    etis = next(f for f in found if f.dataset == "ETIS")
    assert "mIoU 0.460 and 0.567" in etis.message
    assert etis.table == "Table 2 of PraNet, Table 1 of SANet"


def test_claims_that_the_papers_own_tables_contradict() -> None:
    found = {(f.dataset, f.model): f.message for f in audit_published([PAPER]) if f.rule == "claim"}
    assert set(found) == {("Kvasir", "BSANet")}
    assert "ranking first in all six test indicators" in found[("Kvasir", "BSANet")]
    assert "in F_beta_w BSANet is not best: PraNet prints 0.926" in found[("Kvasir", "BSANet")]


def test_a_loose_sentence_is_a_note() -> None:
    """ "In one indicator" holds if it means one at least; as a count it does not."""
    found = {(f.dataset, f.model): f for f in audit_published([PAPER], notes=True) if f.rule == "claim"}
    assert set(found) == {("Kvasir", "BSANet"), ("Kvasir", "PraNet")}
    assert found[("Kvasir", "PraNet")].severity == "note"
    assert "second in 2 of the 6 measures (E_phi_max, MAE)" in found[("Kvasir", "PraNet")].message


def test_the_papers_tables_give_these_five_findings_of_one_sentence_each_and_nothing_more(tmp_path: Path) -> None:
    expected = [
        ("Kvasir", "Unet++"),
        ("CVC-EndoScene", "Unet++"),
        ("CVC-EndoScene", "PraNet"),
        ("CVC-EndoScene", "LDNet"),
        ("Kvasir", "BSANet"),
    ]
    bare = tmp_path / "reported.csv"  # as somebody else would copy the tables: no source, no claims beside
    with PAPER.open(encoding="utf-8") as file:
        rows = [[r[key] for key in KEPT] for r in csv.DictReader(file)]
    bare.write_text("\n".join(",".join(line) for line in [list(KEPT), *rows]) + "\n", encoding="utf-8")
    for path in (PAPER, bare):
        findings = audit_published([path])
        assert [(f.dataset, f.model) for f in findings] == expected
        assert all(len(f.message.splitlines()) == 1 and ". " not in f.message for f in findings)


def test_a_table_with_other_numbers_is_not_held_against_the_papers_claims(tmp_path: Path) -> None:
    text = PAPER.read_text(encoding="utf-8").replace("0.832,0.739", "0.833,0.739")
    copy = tmp_path / "mine.csv"
    copy.write_text(text, encoding="utf-8")
    assert not _of_rule("claim", [copy])


@pytest.mark.parametrize(
    ("dataset", "column", "value", "model"),
    [
        ("ETIS", "MAE", "0.019", "BSANet"),  # no longer best in all six
        ("CVC-ColonDB", "S_alpha", "0.900", "LDNet"),  # BSANet best in five, LDNet in one
        ("CVC-EndoScene", "S_alpha", "0.999", "BSANet"),
    ],
)
def test_the_other_claims_hold_because_of_the_numbers(
    tmp_path: Path, dataset: str, column: str, value: str, model: str
) -> None:
    shutil.copy(PAPER.with_name("bsanet_paper.claims.toml"), tmp_path)
    with PAPER.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    changed = "BSANet" if dataset == "CVC-ColonDB" else "SANet"
    next(r for r in rows if (r["dataset"], r["model"]) == (dataset, changed))[column] = value
    copy = tmp_path / PAPER.name
    with copy.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert (dataset, model) in {(f.dataset, f.model) for f in audit_published([copy]) if f.rule == "claim"}


_counts = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)).filter(lambda c: sum(c) > 0)


@settings(max_examples=300)
@given(st.lists(st.lists(_counts, min_size=1, max_size=5), min_size=1, max_size=6), st.integers(1, 4))
def test_no_real_measurement_is_ever_called_impossible(images: list[list[tuple[int, int, int]]], digits: int) -> None:
    """Means over images of means over thresholds, printed with any number of digits."""
    dice = [sum(2 * tp / (2 * tp + fp + fn) for tp, fp, fn in image) / len(image) for image in images]
    iou = [sum(tp / (tp + fp + fn) for tp, fp, fn in image) / len(image) for image in images]
    shown = [Decimal(f"{sum(column) / len(column):.{digits}f}") for column in (dice, iou)]
    assert dice_iou_fault(*shown) is None


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_bound_is_sharp_to_the_half_unit(dice: int, iou: int) -> None:
    """In integers: 2d +- 1 and 2j +- 1 are the ends of the printed intervals in units of 1/2000."""
    d_low, d_high = max(2 * dice - 1, 0), min(2 * dice + 1, 2000)
    j_low, j_high = max(2 * iou - 1, 0), min(2 * iou + 1, 2000)
    possible = j_low <= d_high and d_low * 2000 <= j_high * (4000 - d_low)
    assert (dice_iou_fault(Decimal(dice).scaleb(-3), Decimal(iou).scaleb(-3)) is None) == possible


def test_one_unit_above_passes_and_two_do_not() -> None:
    assert dice_iou_fault(Decimal("0.880"), Decimal("0.881")) is None
    assert dice_iou_fault(Decimal("0.880"), Decimal("0.882")) is not None
    assert dice_iou_fault(Decimal("0.88"), Decimal("0.885")) is None  # the coarser column has more room


def _write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_csv_of_the_users_own_needs_only_dataset_model_and_scores(tmp_path: Path) -> None:
    table = _write(tmp_path / "mine.csv", "dataset,model,mDSC,mIoU,note", "Kvasir,Net,0.5,0.9,x", "Kvasir,Other,0.5,,")
    (finding,) = audit_published([table])
    assert (finding.table, finding.model, finding.rule) == ("mine.csv", "Net", "iou-above-dice")


def test_percentages_are_out_of_range_with_a_hint(tmp_path: Path) -> None:
    table = _write(tmp_path / "mine.csv", "dataset,model,mDSC,mIoU,MAE", "Kvasir,Net,88.1,80.0,0.03")
    (finding,) = audit_published([table])
    assert finding.rule == "range"
    assert "mDSC 88.1, mIoU 80.0" in finding.message
    assert "divide percentages by 100" in finding.message


def test_edges_are_reported_on_request_only() -> None:
    edges = [(f.dataset, f.model) for f in audit_published([PAPER], notes=True) if f.rule == "edge"]
    assert edges == [("CVC-EndoScene", "SANet"), ("CVC-EndoScene", "BSANet")]
    assert not _of_rule("edge", [PAPER])


def test_json_holds_one_object_per_finding() -> None:
    findings = audit_published([PAPER])
    entries = json.loads(findings_json(findings))
    assert len(entries) == len(findings) == 5
    assert all(list(entry) == ["table", "dataset", "model", "rule", "message"] for entry in entries)
    assert json.loads(findings_json([])) == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["dataset,mDSC", "Kvasir,0.5"], "row 1: column 'model' is missing"),
        (["dataset,model", "Kvasir,Net"], "row 1: no column of scores"),
        (["dataset,model,mDSC", "Kvasir,Net,0.8x"], "row 2, column 'mDSC': '0.8x' is not a number"),
        (["dataset,model,mDSC", "Kvasir,Net,0.8", "Kvasir,B,nan"], "row 3, column 'mDSC': 'nan' is not a number"),
        (["dataset,model,mDSC", "Kvasir,Net,0,8"], "row 2: number of cells differs"),
        (["dataset,model,mDSC", "Kvasir,Net"], "row 2: number of cells differs"),
        (["dataset,model,mDSC", ",Net,0.8"], "row 2: column 'dataset' is empty"),
        (["dataset,model,mDSC"], "no rows below the header"),
        ([""], "column 'dataset' is missing"),
    ],
)
def test_a_malformed_csv_is_one_line_that_names_file_row_and_column(
    tmp_path: Path, lines: list[str], expected: str
) -> None:
    table = _write(tmp_path / "mine.csv", *lines)
    with pytest.raises(BenchError) as caught:
        read_published(table)
    assert str(table) in str(caught.value)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("absent.csv", "binary.csv"):
        with pytest.raises(BenchError, match="cannot read it"):
            read_published(tmp_path / name)
    with pytest.raises(BenchError, match="no CSV of published numbers"):
        published_files(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[claim]\n", "not a readable TOML file"),
        ('[[claim]]\nlocation = "a"\n', "claim 1: field 'quote' is missing"),
        ("{base}kind = 'bests'\nmeasures = ['mDSC']\n", "did you mean 'best'"),
        ("{base}kind = 'best'\nmeasures = ['mDCS']\n", "unknown measure 'mDCS'"),
        ("{base}kind = 'num_best'\nmeasures = ['mDSC']\n", "field 'count' is missing"),
        ("{base}kind = 'best'\nmeasures = ['MAE']\n", "no MAE of Net on Kvasir"),
    ],
)
def test_malformed_claims_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    table = _write(tmp_path / "mine.csv", "dataset,model,mDSC", "Kvasir,Net,0.8")
    base = "[[claim]]\nlocation = 'a'\nquote = 'b'\ndataset = 'Kvasir'\nmodel = 'Net'\n"
    (tmp_path / "mine.claims.toml").write_text(text.replace("{base}", base), encoding="utf-8")
    with pytest.raises(BenchError, match=expected):
        audit_published([table])


def test_every_published_number_has_a_source_and_a_setup() -> None:
    rows = [row for path in published_files(PUBLISHED) for row in read_published(path)]
    assert len(rows) == 24 + 17 + 27
    assert all(row.source and row.setup and row.paper and row.values for row in rows)
