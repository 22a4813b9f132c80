"""Splits: sizes, stability, what is refused, leaks, and the file that carries a split elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from benchmark.data.audit.leaks import Leak, find_leaks
from benchmark.data.listing.datasets import DatasetMissing, list_dataset
from benchmark.data.listing.items import Item
from benchmark.data.listing.published import published_ids
from benchmark.data.splits.choose import Split, load_split, make_split, save_split
from benchmark.data.splits.partition import cut_groups
from benchmark.errors import BenchError

Maker = Callable[..., None]


def ids(items: tuple[Item, ...], dataset: str = "") -> list[str]:
    return [item.id for item in items if dataset in ("", item.dataset)]


def sides(split: Split) -> list[set[tuple[str, str]]]:
    parts = [split.train, split.val, *split.tests.values()]
    return [{(item.dataset, item.id) for item in part} for part in parts]


@pytest.fixture
def small_root(tmp_path: Path, make_pairs: Maker) -> Path:
    """Forty of Kvasir, ten sequences of ClinicDB, some of ColonDB with CVC-300, ten of ETIS; all images differ."""
    root = tmp_path / "data"
    make_pairs(root / "Kvasir-SEG/images", root / "Kvasir-SEG/masks", [f"cju{n}" for n in range(40)])
    clinicdb = [str(n) for n in range(1, 200, 3)]
    make_pairs(root / "CVC-ClinicDB/Original", root / "CVC-ClinicDB/Ground Truth", clinicdb)
    colondb = [str(n) for n in range(100, 160)]
    make_pairs(root / "CVC-ColonDB", root / "CVC-ColonDB", colondb, "{}.tiff", "p{}.tiff")
    etis = root / "ETIS-LaribPolypDB"
    make_pairs(etis / "ETIS-LaribPolypDB", etis / "Ground Truth", [str(n) for n in range(1, 11)], "{}.tif", "p{}.tif")
    return root


def test_paper_is_seven_one_two_and_etis_wholly_test(bundle_root: Path) -> None:
    split = make_split("paper", ["polyp"], root=bundle_root)
    counts = {name: len(items) for name, items in split.tests.items()}
    assert counts == {"kvasir": 200, "etis": 196, "colondb": 76, "endoscene": 134}
    assert len(split.train) == 700 + 266 + 471
    assert len(split.val) == 100 + 38 + 67
    assert not ids(split.train, "etis")
    parts = sides(split)
    assert sum(map(len, parts)) == len(set().union(*parts)) == 1000 + 196 + 380 + 672
    assert (split.missing, split.partial, split.synthetic) == ({}, {}, False)


def test_paper_depends_on_seed_alone(bundle_root: Path) -> None:
    first = make_split("paper", ["kvasir", "colondb"], root=bundle_root, seed=1)
    assert first == make_split("paper", ["kvasir", "colondb"], root=bundle_root, seed=1)
    other = make_split("paper", ["kvasir", "colondb"], root=bundle_root, seed=2)
    assert set(ids(first.tests["kvasir"])) != set(ids(other.tests["kvasir"]))
    swapped = make_split("paper", ["colondb", "kvasir"], root=bundle_root, seed=1)
    assert swapped.tests == first.tests
    alone = make_split("paper", ["kvasir"], root=bundle_root, seed=1)
    assert alone.tests["kvasir"] == first.tests["kvasir"]


def test_paper_is_the_same_on_every_machine(bundle_root: Path) -> None:
    """Literal ids: a change of the draw would silently make results incomparable."""
    split = make_split("paper", ["colondb"], root=bundle_root, seed=0)
    assert ids(split.val)[:8] == ["4", "5", "7", "10", "19", "34", "52", "60"]
    assert ids(split.tests["colondb"])[:8] == ["1", "9", "22", "28", "31", "36", "37", "43"]


def test_layout_does_not_change_the_draw(tmp_path: Path, make_pairs: Maker) -> None:
    names = [f"cju{n}" for n in range(30)]
    make_pairs(tmp_path / "a/Kvasir-SEG/images", tmp_path / "a/Kvasir-SEG/masks", names)
    make_pairs(tmp_path / "b/TrainDataset/image", tmp_path / "b/TrainDataset/mask", reversed(names))
    one, two = (make_split("paper", ["kvasir"], root=tmp_path / r, allow_missing=True) for r in ("a", "b"))
    assert ids(one.tests["kvasir"]) == ids(two.tests["kvasir"])
    assert ids(one.val) == ids(two.val)


def test_images_added_elsewhere_move_nothing(small_root: Path, make_pairs: Maker) -> None:
    before = make_split("paper", ["kvasir", "colondb"], root=small_root, allow_missing=True)
    home = small_root / "CVC-ColonDB"
    make_pairs(home, home, [str(n) for n in range(300, 320)], "{}.tiff", "p{}.tiff")
    after = make_split("paper", ["kvasir", "colondb"], root=small_root, allow_missing=True)
    assert after.tests["kvasir"] == before.tests["kvasir"]
    assert len(after.tests["colondb"]) == 16


@pytest.mark.parametrize("num", [3, 4, 9])
def test_few_images_still_give_every_side(tmp_path: Path, make_pairs: Maker, num: int) -> None:
    make_pairs(tmp_path / "mine/images", tmp_path / "mine/masks", [str(n) for n in range(num)])
    split = make_split("paper", ["mine"], root=tmp_path)
    assert [len(side) > 0 for side in sides(split)] == [True, True, True]


def test_pranet_takes_the_published_lists(bundle_root: Path) -> None:
    split = make_split("pranet", ["polyp"], root=bundle_root)
    counts = {name: len(items) for name, items in split.tests.items()}
    assert counts == {"kvasir": 100, "clinicdb": 62, "colondb": 380, "etis": 196, "cvc300": 60}
    assert (len(split.train), len(split.val)) == (810 + 495, 90 + 55)
    both = split.train + split.val
    assert set(ids(both, "kvasir")) == set(published_ids("kvasir", "train"))
    assert set(ids(both, "clinicdb")) == set(published_ids("clinicdb", "train"))
    assert ids(split.tests["clinicdb"]) == list(published_ids("clinicdb", "test"))


def test_pranet_trains_on_both_sets_whatever_is_tested(bundle_root: Path) -> None:
    split = make_split("pranet", ["etis"], root=bundle_root)
    assert list(split.tests) == ["etis"]
    assert len(split.train) + len(split.val) == 1450


def test_pranet_on_a_part_is_refused_or_counted(small_root: Path) -> None:
    with pytest.raises(BenchError, match="'kvasir' is incomplete: 40 of 1000 images"):
        make_split("pranet", ["polyp"], root=small_root)
    shutil.rmtree(small_root / "Kvasir-SEG")
    with pytest.raises(DatasetMissing, match="dataset 'kvasir' is missing"):
        make_split("pranet", ["polyp"], root=small_root)
    split = make_split("pranet", ["polyp"], root=small_root, allow_missing=True)
    assert list(split.missing) == ["kvasir"]
    assert split.partial["clinicdb"] == "67 of 612 images"
    listed = set(published_ids("clinicdb", "test"))
    assert ids(split.tests["clinicdb"]) == [i for i in map(str, range(1, 200, 3)) if i in listed]


def test_pranet_has_no_list_for_others(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="has no list for dataset 'phantom-etis'"):
        make_split("pranet", ["phantom-etis"], root=tmp_path)


def test_absent_dataset_is_refused_or_noted(small_root: Path) -> None:
    shutil.rmtree(small_root / "ETIS-LaribPolypDB")
    with pytest.raises(DatasetMissing, match="dataset 'etis' is missing"):
        make_split("paper", ["polyp"], root=small_root)
    split = make_split("paper", ["polyp"], root=small_root, allow_missing=True)
    assert list(split.tests) == ["kvasir", "colondb", "endoscene"]
    assert split.missing == {"etis": "not found; get it from https://polyp.grand-challenge.org/ETISLarib/"}
    assert split.partial == {
        "kvasir": "40 of 1000 images",
        "colondb": "60 of 380 images",
        "endoscene": "78 of 672 images",
    }


def test_nothing_to_train_on(bundle_root: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="nothing to train on under split 'paper' with etis: add"):
        make_split("paper", ["etis"], root=bundle_root)
    with pytest.raises(BenchError, match=r"nothing to train on .* \(missing: kvasir\)"):
        make_split("paper", ["kvasir"], root=tmp_path, allow_missing=True)


def test_unknown_split_and_mixed_sources(bundle_root: Path) -> None:
    with pytest.raises(BenchError, match="unknown split 'papr': did you mean 'paper'"):
        make_split("papr", ["kvasir"], root=bundle_root)
    with pytest.raises(BenchError, match="cannot share a split"):
        make_split("paper", ["kvasir", "phantom-etis"], root=bundle_root)


def test_grouped_keeps_sequences_whole(bundle_root: Path) -> None:
    split = make_split("grouped", ["polyp"], root=bundle_root)
    test = [item for items in split.tests.values() for item in items]
    groups = [{item.group for item in part} for part in (split.train, split.val, test)]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert len(split.tests["colondb"]) == 380
    assert not [item for item in split.train + split.val if item.group.startswith("colondb-")]
    assert len([i for i in ids(split.tests["endoscene"]) if i.startswith("cvc300-")]) == 60
    clinicdb = len(split.tests["endoscene"]) - 60
    assert 0.2 * 612 <= clinicdb <= 0.2 * 612 + 27
    assert len(split.tests["kvasir"]) == 200
    assert len(split.tests["etis"]) == 196
    assert split == make_split("grouped", ["polyp"], root=bundle_root)
    assert split.train != make_split("grouped", ["polyp"], root=bundle_root, seed=1).train


def test_grouped_agrees_across_sets_that_share_images(bundle_root: Path) -> None:
    split = make_split("grouped", ["clinicdb", "endoscene", "kvasir"], root=bundle_root)
    trained = {item.group for item in split.train + split.val}
    tested = {item.group for items in split.tests.values() for item in items}
    assert not trained & tested


def test_paper_skin(tmp_path: Path, make_pairs: Maker) -> None:
    for part, name in (("Training", "000{:04}"), ("Test", "100{:04}")):
        stem = f"ISBI2016_ISIC_Part1_{part}"
        numbers = [name.format(n) for n in range(20)]
        images, masks = tmp_path / f"{stem}_Data", tmp_path / f"{stem}_GroundTruth"
        make_pairs(images, masks, numbers, "ISIC_{}.jpg", "ISIC_{}_Segmentation.png")
    lesion = tmp_path / "PH2Dataset/PH2 Dataset images/IMD003"
    make_pairs(lesion / "IMD003_Dermoscopic_Image", lesion / "IMD003_lesion", ["IMD003"], "{}.bmp", "{}_lesion.bmp")
    split = make_split("paper-skin", ["skin"], root=tmp_path, allow_missing=True)
    assert (len(split.train), len(split.val)) == (18, 2)
    assert {name: len(items) for name, items in split.tests.items()} == {"isic2016": 20, "ph2": 1}
    assert {item.part for item in split.train + split.val} == {"train"}
    assert list(split.missing) == ["isic2018"]
    with pytest.raises(BenchError, match="no dataset 'kvasir'"):
        make_split("paper-skin", ["kvasir"], root=tmp_path)


def write_isic(root: Path, make_pairs: Maker, parts: dict[str, list[str]]) -> None:
    """Both challenges in small; ``parts`` maps "2016 Training" and the like to ISIC numbers."""
    for part, numbers in parts.items():
        year, name = part.split()
        stem = f"ISBI2016_ISIC_Part1_{name}" if year == "2016" else f"ISIC2018_Task1-2_{name}"
        images = root / (f"{stem}_Data" if year == "2016" else f"{stem}_Input")
        masks = root / (f"{stem}_GroundTruth" if year == "2016" else f"ISIC2018_Task1_{name}_GroundTruth")
        mask = "ISIC_{}_Segmentation.png" if year == "2016" else "ISIC_{}_segmentation.png"
        make_pairs(images, masks, numbers, "ISIC_{}.jpg", mask)


def test_skin_challenges_share_images_and_none_leaks(tmp_path: Path, make_pairs: Maker) -> None:
    """By ISIC id: 2018 trains on images that 2016 tests, both train on the same image, 2016 trains on 2018's test."""
    parts = {
        "2016 Training": [f"{n:07d}" for n in range(40)],
        "2016 Test": [f"{n:07d}" for n in range(100, 120)],
        "2018 Training": [f"{n:07d}" for n in range(20, 110)],
        "2018 Validation": ["0000300"],
        "2018 Test": ["0000001", "0000400"],
    }
    write_isic(tmp_path, make_pairs, parts)
    split = make_split("paper-skin", ["isic2016", "isic2018"], root=tmp_path)
    assert {name: len(items) for name, items in split.tests.items()} == {"isic2016": 20, "isic2018": 3}
    seen = split.train + split.val
    tested = {item.id for items in split.tests.values() for item in items}
    assert not {item.id for item in seen} & tested
    assert len({item.id for item in seen}) == len(seen) == 19 + 80
    assert {item.dataset for item in seen if 20 <= int(item.id[5:]) < 40} == {"isic2018"}
    assert split.partial == {
        "isic2018": "93 of 3694 images; 10 of 90 training images also test and do not train",
        "isic2016": "60 of 1279 images; 1 of 40 training images also test and do not train; "
        "20 of 40 training images stand in isic2018 too and train once",
    }
    assert split == make_split("paper-skin", ["isic2016", "isic2018"], root=tmp_path)
    alone = make_split("paper-skin", ["isic2018"], root=tmp_path)
    assert len(alone.train) + len(alone.val) == 90  # isic2016 tests nothing here


def exact_leaks(split: Split, cache_dir: Path) -> dict[str, list[tuple[str, str]]]:
    found = find_leaks(split, cache_dir=cache_dir)
    return {name: [leak[:2] for leak in leaks if leak.kind == "exact"] for name, leaks in found.items()}


def test_leaks_are_found_by_pixels_across_formats(small_root: Path, tmp_path: Path) -> None:
    split = make_split("paper", ["kvasir", "etis"], root=small_root, allow_missing=True)
    assert exact_leaks(split, tmp_path) == {"kvasir": [], "etis": []}
    trained, validated, tested = split.train[3], split.val[0], split.tests["kvasir"][2]
    Image.open(trained.image_path).save(split.tests["etis"][4].image_path)  # PNG copied into a TIFF
    Image.open(validated.image_path).save(tested.image_path)
    assert exact_leaks(split, tmp_path) == {
        "kvasir": [(tested.id, f"kvasir/{validated.id}")],
        "etis": [("5", f"kvasir/{trained.id}")],
    }


def test_a_test_image_that_trains_itself_is_an_exact_leak(small_root: Path, tmp_path: Path) -> None:
    drawn = make_split("paper", ["kvasir", "etis"], root=small_root, allow_missing=True)
    tested = (*drawn.train[:2], drawn.val[0], *drawn.tests["kvasir"])
    leaks = find_leaks(replace(drawn, tests={"kvasir": tested, "etis": drawn.tests["etis"]}), cache_dir=tmp_path)
    assert leaks == {"kvasir": [Leak(i.id, f"kvasir/{i.id}", "exact", "kvasir") for i in tested[:3]], "etis": []}


def test_split_file_round_trip(small_root: Path, tmp_path: Path) -> None:
    split = make_split("paper", ["polyp"], root=small_root, allow_missing=True, seed=3)
    path = tmp_path / "splits" / "paper.json"
    save_split(split, path)
    assert load_split(path, root=small_root) == split
    assert str(small_root) not in json.dumps(json.loads(path.read_text())["train"])
    moved = tmp_path / "elsewhere"
    shutil.copytree(small_root, moved)
    assert ids(load_split(path, root=moved).train) == ids(split.train)
    assert [p.name for p in path.parent.iterdir()] == ["paper.json"]


def test_split_file_on_other_images_is_refused(small_root: Path, tmp_path: Path) -> None:
    split = make_split("paper", ["kvasir", "etis"], root=small_root, allow_missing=True)
    path = tmp_path / "paper.json"
    save_split(split, path)
    victim = split.train[0]
    victim.image_path.write_bytes(split.train[1].image_path.read_bytes())
    with pytest.raises(BenchError, match="differs in content from split file"):
        load_split(path, root=small_root)
    victim.image_path.unlink()
    victim.mask_path.unlink()
    with pytest.raises(BenchError, match=f"not on disk: kvasir/{victim.id}; or pass --allow-missing"):
        load_split(path, root=small_root)
    loaded = load_split(path, root=small_root, allow_missing=True)
    assert loaded.train == split.train[1:]
    assert loaded.partial["kvasir"] == "39 of the 40 images in the split file"


def test_split_file_that_cannot_be_written(bundle_root: Path, tmp_path: Path) -> None:
    split = make_split("paper", ["colondb"], root=bundle_root)
    (tmp_path / "split.json").mkdir()
    with pytest.raises(BenchError, match=r"cannot write .*split\.json"):
        save_split(split, tmp_path / "split.json")
    assert [path.name for path in tmp_path.iterdir()] == ["split.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1, "train": [[1]], "val": [], "tests": {}}', "not json"])
def test_other_files_are_no_split(tmp_path: Path, text: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(BenchError, match="is no split file"):
        load_split(path, root=tmp_path)
    with pytest.raises(BenchError, match="cannot read split file"):
        load_split(tmp_path / "absent.json", root=tmp_path)


def test_split_of_another_schema(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text('{"schema": 99}')
    with pytest.raises(BenchError, match="schema 99, expected 1"):
        load_split(path, root=tmp_path)


def test_phantom_mirrors_the_papers_sets(shared_cache: Path) -> None:
    split = make_split("paper", ["phantom"], cache_dir=shared_cache)
    names = ["phantom-kvasir", "phantom-etis", "phantom-colondb", "phantom-endoscene"]
    assert list(split.tests) == names
    assert len(split.tests["phantom-etis"]) == len(list_dataset("phantom-etis", cache_dir=shared_cache))
    assert not ids(split.train + split.val, "phantom-etis")
    assert split.synthetic
    grouped = make_split("grouped", ["phantom"], cache_dir=shared_cache)
    tested = {item.group for items in grouped.tests.values() for item in items}
    assert not tested & {item.group for item in grouped.train + grouped.val}
    with pytest.raises(BenchError, match="add a dataset that trains, such as phantom-kvasir"):
        make_split("paper", ["phantom-etis"], cache_dir=shared_cache)


def test_groups_with_a_side_fill_it_before_others_are_drawn() -> None:
    def items(dataset: str, groups: range) -> list[Item]:
        return [Item(dataset, f"{g}-{n}", Path("i"), Path("m"), f"g{g}") for g in groups for n in range(2)]

    sides: dict[str, str] = {f"g{g}": "test" for g in range(4)}
    cut_groups(0, items("a", range(20)), sides)
    assert [list(sides.values()).count(side) for side in ("train", "val", "test")] == [14, 2, 4]
    before = dict(sides)
    cut_groups(0, items("b", range(20)), sides)
    assert sides == before
