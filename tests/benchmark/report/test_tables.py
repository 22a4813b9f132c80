"""What a table shows, what it leaves blank, and what it refuses."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import changed, with_test

from benchmark.errors import BenchError
from benchmark.metrics.measures import MEASURES
from benchmark.report.records.names import seed_words
from benchmark.report.records.select import choose, recipe_label
from benchmark.report.sheets.files import write_tables
from benchmark.report.sheets.sheet import said_once
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.captions import commit_label
from benchmark.report.tables.request import TableRequest
from benchmark.report.tables.rows import Row, mark_best
from benchmark.store.schema import Record

MODELS = ("unet", "unetplusplus", "pranet", "sanet", "ldnet", "bsanet")
KEYS = ("mDSC", "mIoU", "S_alpha", "F_beta_w", "E_phi_max", "MAE")


@pytest.fixture
def six(make_record: Any) -> list[Record]:
    """Six models on Kvasir, in no order, ETIS not there."""
    order = ("sanet", "bsanet", "unet", "ldnet", "pranet", "unetplusplus")
    values = dict(zip(MODELS, (0.71, 0.72, 0.83, 0.84, 0.82, 0.80), strict=True))
    missing = {"etis": "etis: not found below the data root; get it from its authors"}
    return [make_record(m, tests={"kvasir": values[m]}, missing=missing) for m in order]


def _titles(table: Any) -> list[str]:
    return [row.title for row in table.rows]


def test_rows_stand_in_the_papers_order_with_bsanet_last_as_ours(six: Any, make_record: Any) -> None:
    table = build_tables([*six, make_record("mynet")])[0]
    assert _titles(table) == ["U-Net", "Unet++", "PraNet", "SANet", "LDNet", "mynet", "BSANet (ours)"]


def test_tables_stand_in_the_papers_order(make_record: Any) -> None:
    sets = dict.fromkeys(("phantom", "endoscene", "colondb", "etis", "kvasir"), 0.5)
    tables = build_tables([make_record(tests=sets)])
    assert [t.dataset for t in tables] == ["kvasir", "etis", "colondb", "endoscene", "phantom"]


def test_incomplete_datasets_are_noted_below_every_table(make_record: Any) -> None:
    record = make_record(tests={"kvasir": 0.5}, partial={"colondb": "108 of 380 images"})
    (table,) = build_tables([record])
    assert "Incomplete datasets: CVC-ColonDB, 108 of 380 images" in table.notes
    assert "108 of 380" in table.to_latex() and "108 of 380" in table.to_markdown()


def test_a_reason_is_said_below_the_first_of_several_tables_alone(make_record: Any) -> None:
    sets = dict.fromkeys(("kvasir", "etis", "colondb"), 0.5)
    ours, failed = make_record("unet", tests=sets), make_record("pranet", tests={}, status="failed", error="no memory")
    made = build_tables([ours, failed, make_record("sanet", tests={"kvasir": 0.5}, missing={"etis": "not here"})])
    assert [sum("no memory" in note for note in table.notes) for table in made] == [1, 1, 1], "each file says it"
    shown = said_once(made)
    assert [sum("no memory" in note for note in sheet.notes) for sheet in shown] == [1, 0, 0]
    assert sum("not here" in note for sheet in shown for note in sheet.notes) == 1
    assert [len(sheet.rows) for sheet in shown] == [len(table.sheet.rows) for table in made]


def test_a_missing_test_set_is_a_table_of_blank_rows_with_the_reason(six: Any) -> None:
    etis = build_tables(six)[1]
    assert etis.title == "ETIS"
    assert len(etis.rows) == 6
    assert all(value is None for row in etis.rows for value in row.values.values())
    assert etis.notes == ("Blank, all rows: etis: not found below the data root; get it from its authors",)
    assert r"BSANet (ours) &  &  &  &  &  &  \\" in etis.to_latex()
    assert "get it from its authors" in etis.to_latex()


def test_csv_begins_with_the_promised_columns_and_holds_blanks(six: Any) -> None:
    kvasir, etis = build_tables(six)
    rows = list(csv.reader(io.StringIO(kvasir.to_csv())))
    assert rows[0][:9] == ["dataset", "model", *KEYS, "n"]
    assert rows[1][:2] == ["kvasir", "unet"]
    assert float(rows[1][2]) == 0.71
    assert next(iter(csv.DictReader(io.StringIO(etis.to_csv()))))["mDSC"] == ""
    assert list(kvasir.frame["model"]) == list(MODELS)


def test_best_is_bold_second_underlined_and_a_low_mae_is_good(six: Any) -> None:
    tex = build_tables(six)[0].to_latex()
    sanet = next(line for line in tex.splitlines() if line.strip().startswith("SANet"))
    pranet = next(line for line in tex.splitlines() if line.strip().startswith("PraNet"))
    assert sanet.count(r"\textbf{0.840}") == 5
    assert r"\textbf{0.160}" in sanet
    assert r"\underline{0.170}" in pranet


@given(st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=1, max_size=7), st.sampled_from(MEASURES))
def test_marks_agree_with_counting_the_rows_that_beat_each(values: list[int | None], measure: Any) -> None:
    # tenths of a printed unit apart: values within one printed digit must tie
    numbers = [None if v is None else 0.5 + v * 0.0004 for v in values]
    rows = [Row("m", (), "m", {measure.key: v}, {}) for v in numbers]
    marks = mark_best(rows, measure)
    sign = 1 if measure.higher_is_better else -1
    shown = [None if v is None else sign * round(v * 1000) for v in numbers]
    present = [v for v in shown if v is not None]
    for i, mine in enumerate(shown):
        better = set() if mine is None else {v for v in present if v > mine}
        expected = None
        if mine is not None and len(present) >= 2:
            expected = {0: "best", 1: "second"}.get(len(better))
        assert marks.get(i) == expected


def test_equal_printed_scores_share_bold_though_they_differ_beyond_the_digits(make_record: Any) -> None:
    records = [make_record(m, tests={"kvasir": v}) for m, v in (("unet", 0.80049), ("pranet", 0.79951))]
    table = build_tables(records)[0]
    assert [table.marks[(i, "mDSC")] for i in (0, 1)] == ["best", "best"]


def test_the_only_row_with_numbers_is_not_called_best(make_record: Any) -> None:
    failed = make_record("unet", tests={}, status="failed", error="out of memory")
    table = build_tables([failed, make_record("bsanet")])[0]
    assert not table.marks
    assert "\\textbf" not in table.to_latex()


def test_mean_and_deviation_over_seeds(make_record: Any) -> None:
    records = [make_record("unet", seed=s, tests={"kvasir": v}) for s, v in enumerate((0.7, 0.8, 0.9))]
    table = build_tables(records, std=True)[0]
    assert table.rows[0].values["mDSC"] == pytest.approx(0.8)
    assert table.rows[0].std["mDSC"] == pytest.approx(0.1)
    assert r"$\pm$ 0.100" in table.to_latex() and "0.800 ± 0.100" in table.to_markdown()
    assert "Seeds 0, 1, 2 (mean and standard deviation)" in table.to_markdown()


def test_a_model_that_lacks_a_seed_is_blank_not_a_mean_of_fewer(make_record: Any) -> None:
    records = [make_record("unet", seed=0), make_record("unet", seed=1), make_record("bsanet", seed=0)]
    table = build_tables(records)[0]
    assert table.rows[0].values["mDSC"] == pytest.approx(0.8)
    assert table.rows[1].values["mDSC"] is None
    assert "only seed 0 of 0, 1" in table.notes[0]
    assert build_tables(records, seeds=[0])[0].rows[1].values["mDSC"] == pytest.approx(0.8)


@pytest.mark.parametrize("status", ["failed", "diverged", "interrupted", "skipped"])
def test_a_cell_that_did_not_finish_is_blank_with_its_error(make_record: Any, status: str) -> None:
    bad = make_record("pranet", tests={}, status=status, error="loss is NaN_at 5%")
    table = build_tables([make_record("unet"), bad])[0]
    assert table.rows[1].values["mDSC"] is None
    assert table.notes == (f"Blank, PraNet: seed 0 {status}: loss is NaN_at 5%",)
    assert r"NaN\_at 5\%" in table.to_latex()


def test_a_failed_cell_of_another_split_stays_out(make_record: Any) -> None:
    bad = make_record("pranet", tests={}, status="failed", split={"name": "phantom"})
    assert _titles(build_tables([make_record("unet"), bad])[0]) == ["U-Net"]


def test_a_wanted_model_without_a_record_is_a_blank_row(make_record: Any) -> None:
    table = build_tables([make_record("bsanet")], models=["unet", "bsanet"])[0]
    assert _titles(table) == ["U-Net", "BSANet (ours)"]
    assert table.notes == ("Blank, U-Net: not run with seed 0",)


def test_a_score_that_is_absent_is_a_blank_cell(make_record: Any) -> None:
    record = make_record("unet", tests={"kvasir": dict.fromkeys(KEYS, 0.5)})
    for key in ("mDSC", "MAE"):
        del record.tests["kvasir"].scores["pranet"][key]
    row = build_tables([record])[0].rows[0]
    assert (row.values["mDSC"], row.values["MAE"], row.values["mIoU"]) == (None, None, 0.5)
    assert row.reason == "no number for mDSC, MAE"


def test_a_score_that_one_seed_lacks_is_blank_not_the_mean_of_the_others(make_record: Any) -> None:
    records = [make_record("unet", seed=seed) for seed in (0, 1)]
    del records[1].tests["kvasir"].scores["pranet"]["mIoU"]
    row = build_tables(records, std=True)[0].rows[0]
    assert (row.values["mIoU"], row.std["mIoU"]) == (None, None)
    assert row.values["mDSC"] == pytest.approx(0.8)


def test_caption_states_protocol_split_recipe_seeds_images_weights_and_leaks(make_record: Any) -> None:
    record = make_record("unet", leaked=3, environment={"commit": "abcdef0123456", "dirty": True})
    other = make_record(
        "bsanet", leaked=3, pretrained={"used": True, "name": "swin_tiny", "sha256": "0123456789abcdef" * 4}
    )
    text = build_tables([record, other])[0].to_markdown()
    for part in (
        "Kvasir (100 images)",
        "Protocol pranet (aa11bb22)",
        "Split paper (seed 0)",
        "Recipe quick (11112222)",
        "Seed 0",
        "random initialisation: U-Net; pretrained swin\\_tiny (sha256 0123456789ab): BSANet",
        "3 test images also stand in the training set",
        "Commit abcdef01 with local changes",
    ):
        assert part in text
    modified = make_record("unet", environment={"commit": None, "commit_state": "modified"})
    assert "Commit none (modified source tree)." in build_tables([modified])[0].to_markdown()


def test_phantom_is_called_synthetic_in_every_format(make_record: Any) -> None:
    table = build_tables([make_record(tests={"phantom": 0.5}, synthetic=True)])[0]
    assert "100 synthetic images" in table.to_latex()
    assert "100 synthetic images" in table.to_markdown()
    assert table.frame["synthetic"].all()


def test_maps_by_the_authors_carry_a_dagger_and_partial_ones_are_not_ranked(make_record: Any) -> None:
    theirs = make_record("pranet", tests={"kvasir": 0.9}, n=62, fingerprint="other", origin="maps by their authors")
    theirs = with_test(theirs, "kvasir", of=100)
    records = [make_record("unet", tests={"kvasir": 0.7}), make_record("bsanet"), theirs]
    table = build_tables(records)[0]
    assert r"PraNet$^{\dagger}$ & 0.900" in table.to_latex()
    assert table.notes == ("† PraNet: maps by their authors, 62 of 100 images, not ranked",)
    assert table.marks[(2, "mDSC")] == "best"
    assert (1, "mDSC") not in table.marks


def test_ablated_variants_have_a_table_of_their_own(make_record: Any) -> None:
    cut = make_record("bsanet", ablation=["isam"], cell="bsanet-no-isam/quick-1/seed0", tests={"kvasir": 0.6})
    records = [make_record("unet"), make_record("bsanet"), cut]
    assert _titles(build_tables(records)[0]) == ["U-Net", "BSANet (ours)"]
    ablation = build_tables(records, kind="ablation")[0]
    assert _titles(ablation) == ["BSANet (ours)", "BSANet w/o ISAM"]
    assert ablation.stem == "ablation-kvasir"
    with pytest.raises(BenchError, match="no ablated cell"):
        build_tables(records[:2], kind="ablation")


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"recipe_name": "smoke"}, "--recipe"),
        ({"recipe": {"epochs": 5}}, "--recipe"),
        ({"split": {"name": "pranet"}}, "--split"),
        ({"split": {"seed": 1}}, "--split"),
        ({"split": {"fingerprint_train": "ffff"}}, "--split"),
        ({"protocol_hash": "ffffffff"}, "--protocol"),
        ({"fingerprint": "others"}, "--split"),
    ],
)
def test_records_that_differ_refuse_to_share_a_table(make_record: Any, change: Any, option: str) -> None:
    with pytest.raises(BenchError, match=option) as caught:
        build_tables([make_record("unet"), make_record("bsanet", **change)])
    assert "\n" not in str(caught.value)


def test_the_refusal_can_be_resolved_by_naming_one(make_record: Any) -> None:
    records = [make_record("unet"), make_record("bsanet", recipe={"epochs": 5}, recipe_hash="99998888")]
    for wanted, expected in (
        ("quick", "U-Net"),
        ("quick[epochs=5]", "BSANet (ours)"),
        ("quick-99998888", "BSANet (ours)"),
    ):
        assert _titles(build_tables(records, recipe=wanted)[0]) == [expected]
    with pytest.raises(BenchError, match=r"hold quick, quick\[epochs=5\]"):
        build_tables(records, recipe="paper")
    with pytest.raises(BenchError, match="--split pranet: no record"):
        build_tables(records, split="pranet")


def test_a_recipe_is_chosen_by_the_fields_that_were_changed(make_record: Any) -> None:
    rule = {"recipe_name": "native", "recipe": {"select": "test:cvc300"}}
    records = [make_record("caranet", recipe_name="native"), make_record("caranet", cell="c/n-2/seed0", **rule)]
    other = make_record("pranet_v2", recipe_name="native", recipe={"select": "test:clinicdb+cvc300"}, tests={"etis": 1})
    assert {recipe_label(r) for r in [*records[1:], other]} == {'native[select="test"]'}
    assert [r.cell for r in choose([*records, other], recipe="native[select]", split=None)] == [
        "c/n-2/seed0",
        other.cell,
    ]
    assert choose(records, recipe="native", split=None) == records[:1]
    (table,) = build_tables(records[1:])
    assert "Checkpoints picked on test images of CVC-300: optimistic scores." in table.sheet.caption
    (table,) = build_tables(
        [*records[1:], changed(other, tests=records[0].to_json()["tests"])], recipe="native[select]"
    )
    said = "so that these scores are optimistic: caranet on CVC-300; pranet_v2 on CVC-ClinicDB, CVC-300."
    assert said in table.sheet.caption


def test_two_splits_that_share_no_test_set_need_no_choice(make_record: Any) -> None:
    phantom = make_record("unet", tests={"phantom": 0.5}, split={"name": "phantom"}, synthetic=True)
    kvasir, synthetic = build_tables([make_record("unet"), phantom])
    assert (kvasir.facts.split, synthetic.facts.split) == ("paper (seed 0)", "phantom (seed 0)")
    assert not kvasir.facts.synthetic


def test_a_cell_trained_again_by_newer_code_replaces_the_old_one_and_says_so(make_record: Any) -> None:
    old = make_record("unet", tests={"kvasir": 0.9}, cell="unet/quick-0/seed0", created="2025-01-01T00:00:00Z")
    new = make_record("unet", tests={"kvasir": 0.7}, cell="unet/quick-1/seed0", created="2025-02-01T00:00:00Z")
    failed = make_record("unet", tests={}, status="failed", cell="unet/quick-2/seed0", created="2025-03-01T00:00:00Z")
    table = build_tables([new, failed, old])[0]
    assert [row.values["mDSC"] for row in table.rows] == [pytest.approx(0.7)]
    assert table.notes == ("Left out, made by older code: unet/quick-2/seed0, unet/quick-0/seed0",)


def test_sets_that_the_paper_lacks_keep_the_order_in_which_they_were_scored(make_record: Any) -> None:
    record = make_record(tests={"phantom-kvasir": 0.5, "phantom-etis": 0.5, "kvasir": 0.5, "phantom-colondb": 0.5})
    assert [t.dataset for t in build_tables([record])] == [
        "kvasir",
        "phantom-kvasir",
        "phantom-etis",
        "phantom-colondb",
    ]


@pytest.mark.parametrize(
    ("pretrained", "recipe", "expected"),
    [
        ({}, {}, "random initialisation"),
        ({}, {"pretrained": True}, "pretrained on ImageNet"),
        ({"name": "res2net", "sha256": "0" * 64}, {"pretrained": True}, "pretrained res2net (sha256 000000000000)"),
        ({"name": "res2net"}, {"pretrained": True}, "pretrained res2net"),
        ({"used": False, "name": "res2net"}, {}, "random initialisation"),
    ],
)
def test_weights_are_named_whatever_the_record_says_of_them(
    make_record: Any, pretrained: Any, recipe: Any, expected: str
) -> None:
    table = build_tables([make_record(pretrained=pretrained, recipe=recipe)])[0]
    assert table.facts.weights == expected


def test_the_same_cell_twice_is_refused(make_record: Any) -> None:
    with pytest.raises(BenchError, match="two records of unet with seed 0"):
        build_tables([make_record("unet"), make_record("unet", recipe_hash="22221111", cell="unet/quick-2/seed0")])


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        ({"model_options": {"width": 8}}, ["default", "width=8"]),
        ({"pretrained": {"name": "b", "sha256": "ff"}}, ["a (sha256 00)", "b (sha256 ff)"]),
    ],
)
def test_one_model_with_other_weights_or_options_has_two_rows(make_record: Any, change: Any, settings: Any) -> None:
    first = {} if "model_options" in change else {"pretrained": {"name": "a", "sha256": "00"}}
    old = make_record("unet", **first)
    new = make_record("unet", cell="unet/quick-2/seed0", created="2025-02-01T00:00:00Z", **change)
    (table,) = build_tables([old, new, make_record("bsanet")])
    assert [row.setting for row in table.rows] == [*settings, ""] and not any("older" in note for note in table.notes)
    assert table.sheet.columns[1].plain == "Setting" and table.sheet.rows[1][1].text == settings[1]


def test_two_recipes_share_a_table_with_a_column_that_tells_them_apart(make_record: Any) -> None:
    records = [
        make_record("unet", recipe={"epochs": e, "pretrained": False}, recipe_hash=f"{e}", cell=f"unet/quick-{e}/seed0")
        for e in (5, 50)
    ]
    with pytest.raises(BenchError, match="--settings"):
        build_tables(records)
    (table,) = build_tables(records, settings=True)
    assert [row.setting for row in table.rows] == ["epochs=5", "epochs=50"]
    assert "Recipe quick (see column Setting)" in table.sheet.caption


def _foreign(make_record: Any, name: str, **fields: Any) -> Record:
    facts = {"model_title": name, "origin": "maps by their authors", "cell": f"{name}/maps-1/seed0", **fields}
    return make_record("theirs", split={"name": ""}, **facts)


def test_rows_on_other_images_are_shown_but_not_ranked(make_record: Any) -> None:
    ours = [make_record("unet", tests={"kvasir": 0.6}), make_record("bsanet", tests={"kvasir": 0.7})]
    (table,) = build_tables([*ours, _foreign(make_record, "A", tests={"kvasir": 0.9}, fingerprint="x", n=6)])
    assert "† A: maps by their authors, scored on other images than ours were (6 images), not ranked" in table.notes
    assert [table.marks.get((i, "mDSC")) for i in range(3)] == ["second", None, "best"]


def test_foreign_rows_that_disagree_on_the_images_are_not_ranked_at_all(make_record: Any) -> None:
    records = [_foreign(make_record, "A", n=8), _foreign(make_record, "B", fingerprint="x", n=6)]
    (table,) = build_tables(records)
    assert not table.marks and all("other images than the other rows were" in note for note in table.notes)
    assert "images)" not in table.sheet.caption.partition(".")[0]


def test_two_evaluations_of_one_name_join_or_say_which_was_repeated(make_record: Any) -> None:
    plain = _foreign(make_record, "A", tests={"kvasir": 0.7})
    boundary = _foreign(make_record, "A", tests={"colondb": 0.7}, cell="A/maps-2/seed0")
    assert [(t.dataset, t.notes[0][:3]) for t in build_tables([plain, boundary])] == [
        ("kvasir", "† A"),
        ("colondb", "† A"),
    ]
    later = _foreign(make_record, "A", tests={"kvasir": 0.8}, cell="A/maps-3/seed0", created="2025-02-01T00:00:00Z")
    (table,) = build_tables([plain, later])
    assert [row.values["mDSC"] for row in table.rows] == [0.8]
    assert "Left out, scored again later: A/maps-1/seed0" in table.notes


def test_names_of_one_slug_and_checkpoints_of_one_network_are_rows_of_their_own(make_record: Any) -> None:
    (table,) = build_tables([_foreign(make_record, "My net"), _foreign(make_record, "my-net")])
    assert _titles(table) == ["My net", "my-net"]
    weights = [
        _foreign(make_record, "PraNet", origin=f"checkpoint {n}", cell=f"p/{n}/seed0") for n in ("a.pth", "b.pth")
    ]
    (table,) = build_tables(weights)
    assert [row.setting for row in table.rows] == ["checkpoint a.pth", "checkpoint b.pth"]


def test_a_failed_attempt_with_another_recipe_stays_out(make_record: Any) -> None:
    bad = make_record(
        "unet", tests={}, status="failed", recipe={"epochs": 5}, recipe_hash="5", cell="unet/quick-5/seed0"
    )
    assert _titles(build_tables([make_record("unet"), bad])[0]) == ["U-Net"]


def test_names_can_be_replaced(make_record: Any) -> None:
    table = build_tables([make_record("bsanet")], titles={"bsanet": "Net_1"})[0]
    assert _titles(table) == ["Net_1"] and r"Net\_1" in table.to_latex()


def test_unknown_names_get_the_nearest_match(make_record: Any) -> None:
    with pytest.raises(BenchError, match="did you mean 'bsanet'"):
        build_tables([make_record()], models=["bsanett"])
    with pytest.raises(BenchError, match="did you mean 'kvasir'"):
        build_tables([make_record()], datasets=["kvasr"])
    with pytest.raises(BenchError, match="unknown protocol 'half': known are pranet"):
        build_tables([make_record()], protocol="half")
    with pytest.raises(BenchError, match="run 'bench run' first"):
        build_tables([])


def test_html_is_a_page_that_loads_nothing_and_escapes_names(make_record: Any, tmp_path: Path) -> None:
    records = [make_record("unet", tests={"kvasir": 0.7}), make_record("my<net>", tests={"kvasir": 0.8})]
    (page,) = write_tables(build_tables(records), tmp_path, ["html"])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and "http" not in text and "src=" not in text
    assert "my&lt;net&gt;" in text and "my<net>" not in text
    assert '<td class="r" data-value="0.8"><strong>0.800</strong></td>' in text


def test_a_caption_counts_leaks_even_when_there_are_none(make_record: Any) -> None:
    assert "No test image stands in the training set (near-dup" in build_tables([make_record()])[0].to_markdown()
    foreign = make_record(origin="maps by their authors")
    assert "training set" not in build_tables([foreign])[0].to_markdown()


def test_write_tables_names_its_files_and_joins_the_csv(six: Any, tmp_path: Path) -> None:
    paths = write_tables(build_tables(six), tmp_path / "tables")
    names = sorted(p.name for p in paths)
    assert names == sorted(
        [f"table-{d}{s}" for d in ("kvasir", "etis") for s in (".tex", ".md", ".csv")] + ["tables.csv"]
    )
    assert sorted(p.name for p in (tmp_path / "tables").iterdir()) == names
    assert len((tmp_path / "tables" / "tables.csv").read_text(encoding="utf-8").splitlines()) == 13
    with pytest.raises(BenchError, match="did you mean 'latex'"):
        write_tables([], tmp_path, ["latx"])


def test_the_caption_says_what_was_tuned_and_with_how_many_trials(make_record: Any) -> None:
    def tuned(model: str, trials: int | None) -> Record:
        return make_record(model, recipe_name="tuned", recipe={"tuned_trials": trials})

    def caption(*records: Record) -> str:
        return build_tables(records)[0].sheet.caption

    assert "tuned on validation" not in caption(tuned("unet", None), tuned("pranet", None))
    assert "Recipe tuned on validation images with 20 trials." in caption(tuned("unet", 20), tuned("pranet", 20))
    mixed = caption(tuned("unet", 20), tuned("pranet", 1), tuned("bsanet", None))
    assert "with 20 trials: U-Net; with 1 trial: pranet; not at all: BSANet." in mixed


def test_hundreds_of_seeds_stay_one_short_line(make_record: Any) -> None:
    every = [make_record("bsanet", seed=s) for s in range(300)]
    few = [make_record("unet", seed=s) for s in range(0, 300, 3)]
    (table,) = build_tables([*every, *few])
    assert "Seeds 0 to 299 (mean" in table.sheet.caption
    (note,) = (note for note in table.notes if "U-Net" in note)
    assert "only seed 0, 3, 6 and 97 more of 0 to 299 was run" in note and len(note) < 150
    assert seed_words([0, 1, 2, 3, 4, 5, 6, 7]) == "0, 1, 2, 3, 4, 5, 6, 7"
    assert seed_words([9, *range(8), 8, 20]) == "0 to 9, 20"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"commit": "abcdef0123", "dirty": True}, "abcdef01 with local changes"),
        ({"commit": "abcdef0123", "dirty": False}, "abcdef01"),
        ({"commit": None, "dirty": True}, ""),
        ({"commit": None, "commit_state": "modified"}, "none (modified source tree)"),
    ],
)
def test_a_commit_is_named_only_where_there_is_one(environment: dict[str, Any], words: str) -> None:
    assert commit_label(environment) == words


def test_every_refinement_of_a_table_has_to_be_asked_for() -> None:
    switches = [one for one in fields(TableRequest) if one.type == "bool"]
    assert len(switches) >= 10 and not any(one.default for one in switches)
