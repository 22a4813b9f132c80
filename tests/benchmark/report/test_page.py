"""The page and the commands on it: what it embeds, what it warns of, what it never asks for."""

from __future__ import annotations

import gc
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_results import changed, with_test

from benchmark.errors import BenchError
from benchmark.metrics.measures import MEASURES
from benchmark.report.figures.gather import gather
from benchmark.report.figures.style import new_figure
from benchmark.report.page import album as albums
from benchmark.report.page.audit_view import data_rows, environments, study_labels
from benchmark.report.page.page import PageOptions, _address, build_page
from benchmark.report.page.reproduce import checkouts, commands
from benchmark.store.layout import ResultsLayout

SET = "phantom-colondb"
MakeCell = Callable[..., dict[str, Any]]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, shared_cache: Path) -> PageOptions:
    """Options for a page with one kind of figure."""
    monkeypatch.setattr("benchmark.report.page.page._KINDS", ("distribution", "latency"))
    return PageOptions(cache_dir=shared_cache)


def _album(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="album" type="application/json">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_the_page_holds_all_and_asks_for_nothing(tmp_path: Path, make_cell: MakeCell, quick: PageOptions) -> None:
    records = [make_cell("unet", value=0.5), make_cell("bsanet", value=0.8)]
    page = build_page(tmp_path, records, quick)
    assert page == build_page(tmp_path, records, quick)  # no clock, no chance
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "default-src 'none'" in page
    one = _album(page)["sets"][f"1:{SET}"]
    assert [model["title"] for model in one["models"]] == ["U-Net", "BSANet"]
    images = one["images"].values()
    assert all(
        set(image["maps"]) == {"unet", "bsanet"} and max(image["width"], image["height"]) <= 192 for image in images
    )
    assert "bench run --models unet,bsanet" in page
    assert "latency-phantom-colondb" in page  # among what was not drawn


def test_real_images_come_with_a_warning_and_can_be_left_out(
    tmp_path: Path, make_cell: MakeCell, quick: PageOptions
) -> None:
    records = [changed(make_cell("unet"), synthetic=False)]
    assert "Do not redistribute" in build_page(tmp_path, records, quick)
    bare = build_page(tmp_path, records, replace(quick, images=False))
    assert "Do not redistribute" not in bare
    assert "image/jpeg" not in bare
    assert len(_album(bare)["sets"][f"1:{SET}"]["worst"]["unet"]["MAE"]) == 4
    assert "Synthetic images." not in bare


def test_the_page_is_bounded(
    tmp_path: Path, make_cell: MakeCell, quick: PageOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(albums, "MAX_IMAGES", 3)
    records = [make_cell("unet"), make_cell("bsanet")]
    one = _album(build_page(tmp_path, records, replace(quick, worst=5)))["sets"][f"1:{SET}"]
    embedded = {name for name, image in one["images"].items() if "image" in image}
    assert len(embedded) == 3
    assert {
        one["worst"][model]["mDSC"][0] for model in ("unet", "bsanet")
    } <= embedded  # every list's worst comes first
    assert "3 pictures of a test set at most" in one["why"]


def test_figures_of_many_models_show_ours_and_the_best_and_say_so(
    tmp_path: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"unet": 0.5, "pranet": 0.7, "sanet": 0.3, "ldnet": 0.6, "bsanet": 0.2}
    records = [make_cell(name, value=value) for name, value in values.items()]
    evidence = gather(tmp_path, records)
    few = evidence.shortlist(3)
    assert few.block(SET).models == ("pranet", "ldnet", "bsanet")
    assert set(evidence.block(SET).models) == set(values) and evidence.shortlist(5) is evidence
    assert "Drawn: BSANet and the 2 of 4 other models with the best mean mDSC; " in few.note()
    without = gather(tmp_path, [record for record in records if record.model != "bsanet"]).shortlist(3)
    assert "Drawn: the 3 of 4 models with the best mean mDSC; " in without.note()
    worst = replace(evidence, measure=next(m for m in MEASURES if m.key == "MAE")).shortlist(1)
    assert worst.block(SET).models == ("bsanet",)
    shown: dict[str, int] = {}
    monkeypatch.setattr("benchmark.report.page.page.MOST_MODELS", 3)
    for name in ("distribution", "forest"):
        monkeypatch.setattr("benchmark.report.page.page._KINDS", (name,))
        monkeypatch.setattr(
            "benchmark.report.page.page._address",
            lambda figure, name=name: shown.update({name: len(figure.axes[0].get_yticklabels())}) or "",
        )
        build_page(tmp_path, records, PageOptions(images=False))
    assert shown == {"distribution": 3, "forest": 4}


def test_collections_leave_the_records_alone_while_the_page_is_drawn_even_if_it_fails(
    tmp_path: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [make_cell("unet", n=1)]
    seen: list[int] = []

    def study(*_: object) -> dict[str, Any]:
        seen.append(gc.get_freeze_count())
        raise BenchError("no")

    gc.unfreeze()
    monkeypatch.setattr("benchmark.report.page.page._study", study)
    with pytest.raises(BenchError, match="no"):
        build_page(tmp_path, records, PageOptions(images=False))
    assert seen[0] > 1000 and gc.get_freeze_count() == 0


def test_names_from_records_are_text_never_markup(tmp_path: Path, make_cell: MakeCell, quick: PageOptions) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    record = make_cell("own", model_title=evil, cell="own/quick-1/seed0")
    failed = changed(make_cell("unet"), status="failed", error=evil, tests={})
    page = build_page(tmp_path, [record, failed], replace(quick, title=evil))
    assert "<img src=x" not in page
    assert page.count("</script>") == 2


def test_two_recipes_are_two_studies_and_failures_are_named(
    tmp_path: Path, make_cell: MakeCell, quick: PageOptions
) -> None:
    failed = changed(make_cell("pranet"), status="diverged", error="loss is NaN", tests={})
    other = make_cell("bsanet", recipe_name="smoke", cell="bsanet/smoke-1/seed0")
    page = build_page(tmp_path, [make_cell("unet"), failed, other], quick)
    assert list(_album(page)["sets"]) == [f"1:{SET}", f"2:{SET}"]
    assert "2 ok, 1 diverged" in page
    assert "diverged, loss is NaN" in page
    only = build_page(tmp_path, [failed], quick)
    assert "No finished cell has scores of single images" in only
    with pytest.raises(BenchError, match="no results"):
        build_page(tmp_path, [], quick)


def test_a_cell_without_its_files_leaves_a_reason(tmp_path: Path, make_cell: MakeCell, quick: PageOptions) -> None:
    record = make_cell("unet")
    ResultsLayout(tmp_path).cell(record.cell).scores.unlink()
    page = build_page(tmp_path, [record], quick)
    assert "scores.parquet is missing" in page
    assert _album(page)["sets"] == {}


def test_measures_that_were_not_made_cost_no_reading(
    tmp_path: Path, make_cell: MakeCell, quick: PageOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were most of a page's time: every cell's rows were read to find nothing in them."""
    records = [make_cell("unet"), make_cell("bsanet")]
    monkeypatch.setattr("benchmark.report.tables.families.io.read_scores", None)
    page = build_page(tmp_path, records, replace(quick, images=False))
    assert "Outlines" not in page and "Calibration" not in page


def test_a_figure_of_very_many_dots_is_a_bitmap() -> None:
    kinds = {}
    for number in (20, 2001):
        figure, (axes,) = new_figure(2.0)
        axes.scatter(range(number), range(number), s=1)
        kinds[number] = _address(figure)[:24]
    assert kinds == {20: "data:image/svg+xml;base6", 2001: "data:image/png;base64,iV"}


def test_commands_carry_everything_that_differs_from_the_defaults(make_record: MakeCell) -> None:
    from benchmark.recipes.read import load_recipe

    recipe = load_recipe("smoke", model="unet", overrides={"epochs": 7, "max_test_images": None})
    fields = {"recipe_name": "smoke", "recipe": recipe.model_dump(mode="json"), "engine": "reference"}
    fields |= {"missing": {"etis": "not found"}, "split": {"name": "grouped", "seed": 3}}
    made = commands([make_record(m, seed=s, **fields) for m in ("bsanet", "file:net:build") for s in (1, 0)])
    assert [one.text for one in made] == [
        "bench run --models ./net.py:build,bsanet --datasets kvasir,etis --split grouped --split-seed 3 --recipe smoke "
        "--set epochs=7 --set max_test_images=none --seeds 0,1 --engine reference --allow-missing"
    ]
    assert len(made[0].cells) == 4
    assert made[0].notes == (
        "./net.py: not kept in the records; its text is part of the cell's hash",
        "etis was missing: not found",
    )


def test_commands_of_ablations_own_recipes_and_maps_by_others(make_record: MakeCell) -> None:
    parts = [["isam"], ["fsam"], ["arm"], ["isam", "fsam", "arm"]]
    plain = commands([make_record("bsanet", ablation=drop) for drop in parts])
    assert plain[0].text.startswith("bench ablate --model bsanet --drop isam,fsam,arm --datasets kvasir")
    pairs = [["isam", "fsam"], ["isam", "arm"], ["fsam", "arm"]]
    assert "--factorial" in commands([make_record("bsanet", ablation=drop) for drop in parts + pairs])[0].text
    own = commands([make_record(recipe_name="mine", recipe={"name": "mine", "lr": 0.01, "loss": "bce"})])[0]
    assert "--recipe mine.toml" in own.text
    assert own.recipe == 'lr = 0.01\nloss = "bce"\n'
    maps = make_record("pranet", origin="maps by their authors", model_title="Pra Net")
    assert commands([maps])[0].text == "bench evaluate --predictions DIR --name 'Pra Net' --dataset kvasir"
    weights = make_record(
        "pranet", origin="checkpoint PraNet-19.pth", pretrained={"name": "PraNet-19.pth", "sha256": "ab"}
    )
    assert shlex.split(commands([weights])[0].text)[2:6] == ["--model", "pranet", "--checkpoint", "PraNet-19.pth"]
    dirty = make_record(environment={"commit": "c0ffee", "dirty": True})
    assert checkouts([dirty]) == ["git checkout c0ffee   # plus local changes that no record holds"]
    modified = make_record(environment={"commit": None, "commit_state": "modified"})
    (line,) = checkouts([modified, modified])
    assert line.startswith("#") and "no commit holds their code" in line


def test_data_and_environment_are_read_from_the_records(make_record: MakeCell) -> None:
    leaked = make_record(environment={"commit": "c0ffee", "device": "cpu", "packages": {"torch": "2.6", "timm": None}})
    leaked = with_test(leaked, "kvasir", leaked={"exact": ["1", "2"], "near": [], "sequence": ["3"]})
    foreign = make_record("pranet", origin="maps by their authors")
    gaps = {"missing": {"etis": "not found"}, "partial": {"kvasir": "90 of 100"}}
    gap = make_record("unet", environment=leaked.environment, **gaps)
    rows = data_rows([leaked, gap, foreign])
    assert [(row["set"], row["split"], row["n"], row["leaks"], list(row["notes"])) for row in rows] == [
        ("Kvasir", "paper (seed 0)", 100, "2 exact, 0 near, 1 sequence", ["partial: 90 of 100"]),
        ("ETIS", "paper (seed 0)", None, "", ["missing: not found"]),
        ("Kvasir", "maps or weights by others", 100, "unknown", []),
    ]
    assert data_rows([gap])[0]["leaks"] == "0 exact; near and sequence not looked for"
    first, second = environments([leaked, gap, foreign])
    assert first["facts"] == {"commit": "c0ffee", "device": "cpu", "packages": "torch 2.6"}
    assert (len(first["cells"]), second["facts"]) == (2, {})
    recipe = {"epochs": 2, "max_train_images": 64, "max_test_images": 12, "image_size": 96, "batch_size": 8}
    labels = study_labels([make_record(recipe=recipe, synthetic=True)])
    assert [text.partition(":")[0] for text in labels["warnings"]] == [
        "Synthetic images",
        "Short training",
        "At most 12 images of each test set were scored",
        "Random initialisation",
    ]
    long = {"epochs": 120, "image_size": 256, "batch_size": 16, "pretrained": True}
    assert study_labels([make_record(recipe=long)])["warnings"] == []
