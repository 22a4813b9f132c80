"""The clean figure: recomputed over the images that are left, E's peak included, or blank with a reason."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_results import with_test

from benchmark.errors import BenchError
from benchmark.metrics import score
from benchmark.metrics.aggregate import Accumulator, aggregate
from benchmark.report.records.frames import load_results
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.leaks import describe_leaks
from benchmark.report.tables.scores import Table, csv_rows
from benchmark.report.tables.without_leaked import with_clean
from benchmark.store.io import write_npz, write_parquet, write_record
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record, TestResult

MakeRecord = Callable[..., Record]
NUM = 6
LEAKED = {"exact": ["0", "3"], "near": ["4"], "sequence": []}


def _images(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Maps of very different brightness, so that E peaks elsewhere when some are left out."""
    rng = np.random.default_rng(seed)
    images = []
    for number in range(NUM):
        mask = np.zeros((24, 30), bool)
        mask[4:14, 5 : 12 + number] = True
        noise = rng.random(mask.shape)
        bright = number in (1, 2)  # best cut high: its surroundings are grey; the others' polyps are dark
        prob = np.where(mask, 0.85, 0.5) if bright else np.where(mask, 0.25, 0.0)
        prob = prob + 0.1 * noise
        prob[0, 0], prob[5, 6] = 0.0, 1.0
        images.append((prob, mask))
    return images


def _store(layout: ResultsLayout, record: Record, seed: int, *, protocol: str = "pranet") -> Accumulator:
    accumulator = Accumulator()
    for number, (prob, mask) in enumerate(_images(seed)):
        accumulator.add(score(prob, mask, protocol=protocol), protocol=protocol, dataset="kvasir", id=str(number))
    paths = layout.cell(record.cell)
    write_parquet(paths.scores, pd.DataFrame(accumulator.rows()))
    write_npz(paths.curves, {f"{protocol}/kvasir/em_images": accumulator.em_curves()})
    return accumulator


def _with_leaks(record: Record, accumulator: Accumulator, leaked: Any) -> Record:
    figures = accumulator.result()
    scores = {key: figures[key] for key in ("mDSC", "mIoU", "S_alpha", "F_beta_w", "E_phi_max", "MAE")}
    return with_test(record, "kvasir", leaked=leaked, n=NUM, scores={"pranet": scores})


@pytest.fixture
def made(make_record: MakeRecord, tmp_path: Path) -> Callable[..., tuple[list[Table], list[Record]]]:
    """Two models whose scores lie in a results folder, and their tables."""

    def make(leaked: Any = LEAKED) -> tuple[list[Table], list[Record]]:
        layout = ResultsLayout(tmp_path)
        records = []
        for seed, model in enumerate(("unet", "bsanet")):
            record = make_record(model)
            records.append(_with_leaks(record, _store(layout, record, seed), leaked))
        return build_tables(records), records

    return make


def test_figures_are_those_of_the_remaining_images(made: Any, tmp_path: Path) -> None:
    tables, records = made()
    (table,) = with_clean(tables, records, ResultsLayout(tmp_path))
    for seed, row in enumerate(table.rows):
        rest = [pair for number, pair in enumerate(_images(seed)) if str(number) not in ("0", "3", "4")]
        expected = aggregate(score(*pair) for pair in rest)
        assert row.clean is not None and row.clean.n == 3
        for key, value in row.clean.values.items():
            assert value == pytest.approx(expected[key], abs=1e-6), key
            assert value != pytest.approx(row.values[key], abs=1e-3), key
    frame = pd.read_parquet(ResultsLayout(tmp_path).cell(records[0].cell).scores)
    kept = frame[frame["id"].isin(["1", "2", "5"])]
    assert table.rows[0].clean is not None
    peak = table.rows[0].clean.values["E_phi_max"]
    assert peak != pytest.approx(float(kept["em_max"].mean()), abs=1e-2)  # the old peak is another threshold


def test_it_stands_beside_the_usual_figure_in_every_form(made: Any, tmp_path: Path) -> None:
    tables, records = made()
    (table,) = with_clean(tables, records, ResultsLayout(tmp_path))
    markdown = table.to_markdown()
    assert markdown.count("| ↳ without leaked images |") == 2 and "**" in markdown.splitlines()[5]
    assert "without 3 leaked test images (2 exact, 1 near, 0 sequence); 3 remain" in markdown
    assert table.to_latex().count("without leaked images & ") == 2
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert rows[0]["n_clean"] == "3" and float(rows[0]["mDSC_clean"]) != float(rows[0]["mDSC"])
    assert "mDSC_clean" not in tables[0].to_csv()


def test_kinds_can_be_chosen(made: Any, tmp_path: Path) -> None:
    tables, records = made()
    (table,) = with_clean(tables, records, ResultsLayout(tmp_path), ["near"])
    assert table.rows[0].clean is not None and table.rows[0].clean.n == 5
    with pytest.raises(BenchError, match="--leak-kinds nearly: expected some of exact, near, sequence"):
        with_clean(tables, records, ResultsLayout(tmp_path), ["nearly"])


def test_without_a_curve_per_image_the_peak_is_blank(made: Any, tmp_path: Path) -> None:
    tables, records = made()
    layout = ResultsLayout(tmp_path)
    write_npz(layout.cell(records[0].cell).curves, {"pranet/kvasir/em": np.zeros(256)})
    (table,) = with_clean(tables, records, layout)
    clean = next(row for row in table.rows if row.model == "unet").clean
    assert clean is not None and clean.values["E_phi_max"] is None and clean.values["mDSC"] is not None
    assert "E\\_phi\\_max needs the curve of every image" in table.to_markdown()


def test_nothing_left_is_a_blank_and_nothing_leaked_is_said(made: Any, tmp_path: Path) -> None:
    tables, records = made({"exact": [], "near": [], "sequence": [str(i) for i in range(NUM)]})
    (table,) = with_clean(tables, records, ResultsLayout(tmp_path))
    assert all(row.clean is not None and set(row.clean.values.values()) == {None} for row in table.rows)
    assert "every test image is leaked" in table.to_markdown()
    (table,) = with_clean(tables, records, ResultsLayout(tmp_path), ["exact", "near"])
    assert "No test image is leaked (exact, near)" in table.to_markdown() and "↳" not in table.to_markdown()
    assert next(csv.DictReader(io.StringIO(table.to_csv())))["n_clean"] == str(NUM)


def test_records_that_do_not_list_their_leaks_get_no_clean_figure(made: Any, tmp_path: Path) -> None:
    tables, records = made(None)
    (table,) = with_clean(tables, records, ResultsLayout(tmp_path))
    assert "Leaked test images are not known: its records do not list them" in table.to_markdown()
    assert all(row.clean is None for row in table.rows)


def test_maps_of_others_are_measured_on_the_same_images(made: Any, make_record: MakeRecord, tmp_path: Path) -> None:
    _, records = made()
    layout = ResultsLayout(tmp_path)
    other = make_record("pranet", origin="PraNet's authors", cell="maps-pranet/evaluation-1/seed0")
    records.append(_with_leaks(other, _store(layout, other, 5), None))
    (table,) = with_clean(build_tables(records), records, layout)
    assert [row.clean.n for row in table.rows if row.clean is not None] == [3, 3, 3]


def test_caption_names_every_kind() -> None:
    unsought = " (near-duplicates and sequences were not looked for)"
    assert describe_leaks({"exact": 0}) == "No test image stands in the training set" + unsought
    assert describe_leaks({"exact": 3}) == "3 test images also stand in the training set" + unsought
    none = {"exact": 0, "near": 0, "sequence": 0}
    assert describe_leaks(none) == "No test image stands in the training set, nearly so or by its sequence"
    text = describe_leaks({"exact": 1, "near": 2, "sequence": 62})
    assert text == (
        "1 test image also stands in the training set, 2 are near-duplicates of training images, "
        "62 are of a training sequence or scene"
    )
    assert describe_leaks({**none, "sequence": 62}) == "62 test images are of a training sequence or scene"


def test_every_kind_is_counted_in_csv_and_frame(make_record: Any, tmp_path: Path) -> None:
    """41 of 41 leak, not one as an exact copy: the total says so."""
    leaked = {"exact": [], "near": [f"n{i}" for i in range(5)], "sequence": [f"s{i}" for i in range(36)]}
    record = with_test(make_record("unet", n=41), "kvasir", leaked=leaked)
    old = make_record("bsanet", n=41, leaked=2)
    theirs = make_record("pranet", n=41, origin="maps by others", cell="maps-pranet/evaluation-1/seed0")
    keys = ("num_leaked", "num_leaked_exact", "num_leaked_near", "num_leaked_sequence")
    (table,) = build_tables([record, old, theirs])
    expected = {"unet": (41, 0, 5, 36), "bsanet": (None, 2, None, None), "pranet": (None,) * 4}
    assert {row["model"]: tuple(row[key] for key in keys) for row in csv_rows(table)} == expected
    for one in (record, old):
        write_record(ResultsLayout(tmp_path).cell(one.cell), one)
    frame = load_results(tmp_path).set_index("model")
    assert frame.loc["unet", list(keys)].tolist() == [41, 0, 5, 36]
    assert frame.loc["bsanet", "num_leaked_exact"] == 2 and frame.loc["bsanet", list(keys)].isna().sum() == 3


def test_counts_follow_the_lists_and_older_records_are_read_as_what_they_were(make_record: Any) -> None:
    test = make_record("unet", leaked=2).to_json()["tests"]["kvasir"]
    written = {key: value for key, value in test.items() if not key.startswith("num_leaked")}
    oldest = TestResult.model_validate({**written, "leaked": None, "num_leaked": 2})
    assert (oldest.num_leaked, oldest.num_leaked_exact, oldest.num_leaked_near) == (None, 2, None)
    lists = {"exact": ["a"], "near": ["b", "c"], "sequence": []}
    old = TestResult.model_validate({**written, "leaked": lists, "num_leaked": 1})
    assert (old.num_leaked, *old.num_leaked_by_kind().values()) == (3, 1, 2, 0)
    assert (
        TestResult.model_validate(old.model_dump()) == old and TestResult.model_validate(oldest.model_dump()) == oldest
    )
    assert TestResult.model_validate(written).num_leaked_exact is None
