"""Figures from a results folder: every kind by name, odd folders, and a reason for what cannot be drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_results import with_test

from benchmark.errors import BenchError
from benchmark.metrics.families import calibration
from benchmark.report.figures.catalogue import DEFAULT_ROWS, PLOTS, Drawn, Options, draw
from benchmark.report.figures.cell_files import latencies
from benchmark.report.figures.evidence import Evidence
from benchmark.report.figures.gather import gather
from benchmark.report.figures.pictures import Pictures, stretched
from benchmark.report.records.select import group_studies
from benchmark.scoring.kept_maps import measure_kept
from benchmark.store import io
from benchmark.store.layout import ResultsLayout

SET = "phantom-colondb"
MakeCell = Callable[..., dict[str, Any]]


def _all(evidence: Evidence, cache: Path, options: Options | None = None) -> dict[str, Drawn]:
    pictures = Pictures(evidence, cache_dir=cache)
    return {made.stem: made for name in PLOTS for made in draw(name, evidence, pictures, options or Options())}


def _reasons(made: dict[str, Drawn]) -> dict[str, str]:
    return {stem: one.reason for stem, one in made.items() if one.figure is None}


def test_every_kind_is_drawn_and_says_that_images_are_synthetic(
    tmp_path: Path, make_cell: MakeCell, shared_cache: Path
) -> None:
    records = [make_cell(m, seed=s, value=v) for m, v in (("unet", 0.5), ("bsanet", 0.8)) for s in (0, 1)]
    profile = pd.DataFrame({"model": ["unet", "bsanet"], "size_px": 256, "batch": [1, 1], "latency_ms": [90.0, 40.0]})
    profile.assign(device_name="CPU X", num_threads=1).to_csv(tmp_path / "profile.csv", index=False)
    assert measure_kept(calibration(), tmp_path, cache_dir=shared_cache) == {}
    made = _all(gather(tmp_path, records), shared_cache)
    assert _reasons(made) == {}
    assert set(made) == {name if PLOTS[name].whole else f"{name}-{SET}" for name in PLOTS}
    for one in made.values():
        assert one.figure is not None
        assert "Synthetic images" in one.figure.get_supxlabel().replace("\n", " ")
        assert "Recipe quick" in one.figure.get_supxlabel().replace("\n", " ")
    assert "on CPU X, 1 thread" in made[f"latency-{SET}"].figure.get_supxlabel().replace("\n", " ")  # type: ignore[union-attr]


def test_one_model_one_seed_and_one_image_draw_what_they_can(
    tmp_path: Path, make_cell: MakeCell, shared_cache: Path
) -> None:
    made = _all(gather(tmp_path, [make_cell("unet", n=1)]), shared_cache)
    reasons = _reasons(made)
    assert set(reasons) == {"forest", "ranks", f"latency-{SET}", f"reliability-{SET}"}
    assert "one model only" in reasons["forest"]
    assert "bench profile" in reasons[f"latency-{SET}"]


def test_a_gap_in_the_files_is_one_line_and_costs_one_figure(
    tmp_path: Path, make_cell: MakeCell, shared_cache: Path
) -> None:
    records = [make_cell("unet"), make_cell("bsanet")]
    paths = ResultsLayout(tmp_path).cell(records[0].cell)
    paths.curves.unlink()
    next(paths.maps(SET).iterdir()).unlink()
    made = _all(gather(tmp_path, records), shared_cache)
    assert "U-Net has no curves.npz" in made[f"curves-{SET}"].figure.get_supxlabel().replace("\n", " ")  # type: ignore[union-attr]
    assert [axes.get_ylabel() for axes in made[f"qualitative-{SET}"].figure.axes if axes.get_ylabel()] == [  # type: ignore[union-attr]
        "Image",
        "Truth",
        "BSANet",
    ]
    paths.scores.unlink()
    reasons = _reasons(_all(gather(tmp_path, records), shared_cache))
    assert "scores.parquet is missing" in reasons["forest"]
    assert all("\n" not in reason for reason in reasons.values())


def test_a_model_without_a_seed_or_with_nan_is_left_out_and_named(
    tmp_path: Path, make_cell: MakeCell, shared_cache: Path
) -> None:
    records = [
        make_cell("unet"),
        make_cell("bsanet"),
        make_cell("bsanet", seed=1),
        make_cell("pranet"),
        make_cell("pranet", seed=1),
    ]
    scores = ResultsLayout(tmp_path).cell(records[3].cell).scores
    io.read_scores(scores).assign(dice=np.nan).to_parquet(scores)
    evidence = gather(tmp_path, records)
    assert evidence.block(SET).models == ("bsanet",)
    assert "Left out: U-Net, only seed 0 of 0, 1 was run" in evidence.note()
    assert "Left out: PraNet, dice is missing or not a number for some images" in evidence.note()
    assert gather(tmp_path, records, seeds=[0]).block(SET).models == ("unet", "bsanet")


def test_maps_by_others_stand_beside_several_seeds_under_a_dagger(tmp_path: Path, make_cell: MakeCell) -> None:
    own = [make_cell("pranet", seed=s) for s in (0, 1)]
    theirs = make_cell(
        "pranet", cell="pranet/maps-1/seed0", model_title="PraNet", origin="maps by their authors", value=0.9
    )
    block = gather(tmp_path, [*own, theirs]).block(SET)
    assert (block.models, block.seeds) == (("pranet", "PraNet†"), (0, 1))
    assert (block.scores[1, 0] == block.scores[1, 1]).all()


def test_other_images_than_the_scored_ones_are_refused(tmp_path: Path, make_cell: MakeCell, shared_cache: Path) -> None:
    record = with_test(make_cell("unet"), SET, fingerprint="another")
    reason = _reasons(_all(gather(tmp_path, [record]), shared_cache))[f"qualitative-{SET}"]
    assert reason == f"images of {SET} in the data root are not the ones that were scored"


def test_mixed_recipes_and_unknown_names_are_refused(tmp_path: Path, make_cell: MakeCell) -> None:
    records = [make_cell("unet"), make_cell("bsanet", recipe_name="smoke")]
    with pytest.raises(BenchError, match="choose one with --recipe"):
        gather(tmp_path, records)
    assert gather(tmp_path, records, recipe="smoke").block(SET).models == ("bsanet",)
    assert len(group_studies(records)) == 2
    for options in ({"models": ["unett"]}, {"datasets": ["etiss"]}, {"measure": "dice"}, {"protocol": "x"}):
        with pytest.raises(BenchError, match="unknown"):
            gather(tmp_path, records[:1], **options)  # type: ignore[arg-type]
    with pytest.raises(BenchError, match="no results"):
        gather(tmp_path, [])


def test_the_grid_shows_the_chosen_images_and_rules(tmp_path: Path, make_cell: MakeCell, shared_cache: Path) -> None:
    records = [make_cell("unet"), make_cell("bsanet")]
    evidence = gather(tmp_path, records)
    ids = evidence.block(SET).ids
    made = _all(evidence, shared_cache, Options(rows=[ids[0], "worst:2"], wide=True))[f"qualitative-{SET}"]
    assert made.figure is not None
    assert [axes.get_title() for axes in made.figure.axes if axes.get_title()] == ["Image", "Truth", "U-Net", "BSANet"]
    assert len({axes.get_ylabel() for axes in made.figure.axes} - {""}) == len({"worst", ids[0]})
    assert DEFAULT_ROWS == ("best", "median", "worst", "disagreement")


def test_latency_takes_the_condition_that_covers_most_models(tmp_path: Path) -> None:
    rows = [("unet", 256, 1, 50.0), ("unet", 256, 16, 320.0), ("bsanet", 256, 16, 160.0), ("unet", 96, 16, 32.0)]
    table = pd.DataFrame(rows, columns=["model", "size_px", "batch", "latency_ms"])
    table.assign(device_name="GPU", num_threads=4).to_csv(tmp_path / "profile.csv", index=False)
    assert latencies(tmp_path, ["unet", "bsanet"]) == (
        {"unet": 20.0, "bsanet": 10.0},
        "at 256 px, batch 16, on GPU, 4 threads",
    )
    with pytest.raises(BenchError, match="none of sanet"):
        latencies(tmp_path, ["sanet"])


def test_stretching_an_eight_bit_map() -> None:
    assert stretched(np.array([[10, 20, 30]], np.uint8)).tolist() == [[0, 128, 255]]
    assert stretched(np.array([[7, 7]], np.uint8)).tolist() == [[7, 7]]


def test_models_scored_on_other_images_stand_in_no_block(tmp_path: Path, make_cell: MakeCell) -> None:
    records = [make_cell("bsanet"), make_cell("unet"), make_cell("pranet")]
    scores = ResultsLayout(tmp_path).cell(records[0].cell).scores
    rows = io.read_scores(scores)
    rows.assign(id=[f"other-{name}" for name in rows["id"]]).to_parquet(scores)
    evidence = gather(tmp_path, records)
    assert evidence.gaps(SET) == {"BSANet (ours)": "scored on other images"}
    assert evidence.block(SET).models == ("unet", "pranet")
    assert "Left out: BSANet (ours), scored on other images" in evidence.note()
