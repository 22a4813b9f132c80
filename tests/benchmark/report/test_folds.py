"""Tables over folds and over parts left out: the mean row, its deviation, what is blank, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmark.errors import BenchError
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.folds import find_folds, fold_tables
from benchmark.report.tables.gaps import with_gaps
from benchmark.report.tables.request import TableRequest, build
from benchmark.report.tables.wide import wide_sheet
from benchmark.store import io
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record

SCORES = {"unet": (0.7, 0.8, 0.9), "bsanet": (0.75, 0.85, 0.86)}


def _folds(make_record: Any, folds: tuple[int, ...] = (1, 2, 3)) -> list[Record]:
    return [
        make_record(
            model,
            tests={"kvasir": SCORES[model][k - 1]},
            n=30 + k,
            leaked=k,
            fingerprint=f"fold{k}",
            split={"name": f"kfold:3:{k}", "fingerprint_train": f"train{k}"},
            cell=f"{model}/quick-{k}/seed0",
        )
        for model in SCORES
        for k in folds
    ]


def _tables(records: list[Record], **options: Any) -> Any:
    folds = find_folds(records, recipe=None, split=None)
    assert folds is not None
    return fold_tables(folds, lambda label: build_tables(records, split=label, **options))


def test_each_fold_is_a_row_and_their_mean_is_ranked(make_record: Any) -> None:
    (table,) = _tables(_folds(make_record), std=True)
    assert [row.setting for row in table.rows[:4]] == ["fold 1", "fold 2", "fold 3", "mean of 3 folds"]
    mean = table.rows[3]
    assert mean.values["mDSC"] == pytest.approx(0.8) and mean.std["mDSC"] == pytest.approx(
        np.std(SCORES["unet"], ddof=1)
    )
    assert mean.n == 31 + 32 + 33 and table.facts.leaked["exact"] == 6
    assert {i for i, _ in table.marks} == {3, 7} and table.marks[(7, "mDSC")] == "best"
    text = table.to_markdown()
    assert "Split kfold:3 (seed 0)" in text and "Rows of means: over 3 folds, ± over them." in text
    assert "| U-Net | mean of 3 folds | <u>0.800 ± 0.100</u> |" in text and "No standard deviation" not in text
    assert "mean of 3 folds" in wide_sheet([table]).to_csv()


def test_a_fold_that_was_not_run_leaves_no_mean(make_record: Any) -> None:
    (table,) = _tables(_folds(make_record, (1, 3)))
    assert [row.setting for row in table.rows[:3]] == ["fold 1", "fold 3", "mean of 2 folds"]
    assert table.rows[2].values["mDSC"] is None and "Fold 2 not run: no mean over folds" in table.notes
    some = [one for one in _folds(make_record) if (one.model, one.split.name) != ("unet", "kfold:3:2")]
    (table,) = _tables(some)
    means = [row.values["mDSC"] for row in table.rows if not row.of_mean]
    assert means == [None, pytest.approx(0.82)]


def test_records_of_any_other_splits_make_no_family(make_record: Any) -> None:
    folds = _folds(make_record)
    for more in (
        make_record("unet"),
        make_record("unet", split={"name": "kfold:5:1"}),
        make_record("unet", split={"name": "kfold:3:1", "seed": 1}),
        make_record("unet", split={"name": "kfold:3:1", "fingerprint_train": "others"}),
    ):
        assert find_folds([*folds, more], recipe=None, split=None) is None
    assert find_folds(folds[:1], recipe=None, split=None) is None
    assert find_folds([*folds, make_record("unet")], recipe=None, split="kfold:3") is not None


def _centre(make_record: Any, part: str, seen: float, far: float) -> Record:
    split = {"name": f"leave-out:{part}", "fingerprint_train": part}
    tests = {"polypgen": far, "polypgen-seen": seen}
    return make_record("unet", tests=tests, split=split, cell=f"unet/quick-{part}/seed0", fingerprint=part)


def test_the_gap_of_a_centre_left_out(make_record: Any) -> None:
    tables = build_tables([_centre(make_record, "C1", 0.8, 0.65)])
    far, near = sorted(tables, key=lambda one: one.dataset)
    assert far.rows[0].gap == pytest.approx(0.15) and near.rows[0].gap is None
    assert [column.plain for column in far.sheet.columns][-1] == "gap mDSC" and far.sheet.rows[0][-1].text == "0.150"
    assert "Gap: how much less mDSC on the part left out" in far.to_markdown() and "gap" not in near.to_csv()
    assert "0.150000" in far.to_csv()
    better = with_gaps(build_tables([_centre(make_record, "C1", 0.6, 0.65)]))
    assert "−0.050" in better[0].to_markdown()
    both = [_centre(make_record, "C1", 0.8, 0.65), _centre(make_record, "C2", 0.9, 0.6)]
    far, near = sorted(_tables(both), key=lambda one: one.dataset)
    assert [(row.setting, row.gap) for row in far.rows] == [
        ("without C1", pytest.approx(0.15)),
        ("without C2", pytest.approx(0.3)),
        ("mean of 2 parts", pytest.approx(0.225)),
    ]
    sheet = wide_sheet([far, near])
    assert [name for name, _ in sheet.groups][1:] == [far.title, near.title]  # no mean of seen and unseen images
    assert dict(sheet.data[2])["polypgen_gap"] == pytest.approx(0.225)


def test_what_a_table_over_folds_does_not_hold_is_refused(make_record: Any, tmp_path: Any) -> None:
    for record in _folds(make_record):
        io.write_record(ResultsLayout(tmp_path).cell(record.cell), record)
    (made,) = build(TableRequest(results=tmp_path))
    assert "mean of 3 folds" in made.sheet.to_latex()
    assert len(build(TableRequest(results=tmp_path, split="kfold:3:2"))[0].sheet.rows) == 2
    for options in ({"ci": True}, {"significance": "unet"}, {"exclude": ("exact",)}):
        with pytest.raises(BenchError, match="does not apply to a table over folds; choose one with --split"):
            build(TableRequest(results=tmp_path, **options))  # type: ignore[arg-type]
