"""Every distribution's layout, generated; strays, orphans and empty folders; groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.listing.datasets import (
    DATASETS,
    GROUPS,
    DatasetMissing,
    expand_datasets,
    list_dataset,
    resolve_root,
)
from benchmark.data.listing.folders import Pair
from benchmark.data.listing.groups import (
    CLINICDB_STARTS,
    COLONDB_CLUSTERS,
    COLONDB_STARTS,
    assign_groups,
    known_groups,
    regroup,
)
from benchmark.errors import BenchError

Maker = Callable[..., None]

ONE_TO_11 = [str(n) for n in range(1, 12)]
FRAMES = [str(n) for n in (148, 149, 150, 208, 209)]
CJU = ["cju1", "cju2", "cju10"]

# dataset, folder of images, folder of masks, ids, file patterns, ids expected
LAYOUTS = {
    "kvasir": ("kvasir", "Kvasir-SEG/images", "Kvasir-SEG/masks", CJU, "{}.jpg", "{}.jpg", CJU),
    "kvasir unpacked twice": (
        *("kvasir", "kvasir-seg/Kvasir-SEG/images", "kvasir-seg/Kvasir-SEG/masks"),
        *(CJU, "{}.jpg", "{}.jpg", CJU),
    ),
    "clinicdb tif": (
        *("clinicdb", "CVC-ClinicDB/Original", "CVC-ClinicDB/Ground Truth"),
        *(ONE_TO_11, "{}.tif", "{}.tif", ONE_TO_11),
    ),
    "clinicdb mirror": (
        *("clinicdb", "CVC-ClinicDB/PNG/Original", "CVC-ClinicDB/PNG/Ground Truth"),
        *(ONE_TO_11, "{}.png", "{}.png", ONE_TO_11),
    ),
    "clinicdb as CVC-612": (
        *("clinicdb", "CVC-612/images", "CVC-612/masks"),
        *(ONE_TO_11, "{}.png", "{}.png", ONE_TO_11),
    ),
    "clinicdb in EndoSceneStill": (
        *("clinicdb", "CVC-EndoSceneStill/CVC-612/bbdd", "CVC-EndoSceneStill/CVC-612/gtpolyp"),
        *(ONE_TO_11, "{}.bmp", "{}.bmp", ONE_TO_11),
    ),
    "colondb flat": ("colondb", "CVC-ColonDB", "CVC-ColonDB", ONE_TO_11, "{}.tiff", "p{}.tiff", ONE_TO_11),
    "colondb tif images": ("colondb", "CVC-ColonDB", "CVC-ColonDB", ["77", "97"], "{}.tif", "p{}.tiff", ["77", "97"]),
    "colondb in two folders": (
        *("colondb", "CVC-ColonDB/images", "CVC-ColonDB/masks"),
        *(ONE_TO_11, "{}.png", "p{}.png", ONE_TO_11),
    ),
    "colondb in the bundle": (
        *("colondb", "TestDataset/CVC-ColonDB/images", "TestDataset/CVC-ColonDB/masks"),
        *(ONE_TO_11, "{}.png", "{}.png", ONE_TO_11),
    ),
    "cvc300 as colondb frames": (
        *("cvc300", "CVC-ColonDB", "CVC-ColonDB"),
        *(FRAMES, "{}.tiff", "p{}.tiff", ["149", "150", "208"]),
    ),
    "cvc300 in the bundle": (
        *("cvc300", "TestDataset/CVC-300/images", "TestDataset/CVC-300/masks"),
        *(["149", "208"], "{}.png", "{}.png", ["149", "208"]),
    ),
    "cvc300 in EndoSceneStill": (
        *("cvc300", "CVC-EndoSceneStill/CVC-300/bbdd", "CVC-EndoSceneStill/CVC-300/gtpolyp"),
        *(FRAMES, "{}.bmp", "{}.tif", ["149", "150", "208"]),
    ),
    "etis tif": (
        *("etis", "ETIS-LaribPolypDB/ETIS-LaribPolypDB", "ETIS-LaribPolypDB/Ground Truth"),
        *(ONE_TO_11, "{}.tif", "p{}.tif", ONE_TO_11),
    ),
    "etis unpacked into the root": (
        *("etis", "ETIS-LaribPolypDB", "Ground Truth"),
        *(ONE_TO_11, "{}.tif", "p{}.tif", ONE_TO_11),
    ),
    "etis png and bmp": (
        *("etis", "ETIS-LaribPolypDB/images", "ETIS-LaribPolypDB/masks"),
        *(ONE_TO_11, "{}.png", "p{}.bmp", ONE_TO_11),
    ),
    "etis in the bundle": (
        *("etis", "PraNet/TestDataset/ETIS-LaribPolypDB/images", "PraNet/TestDataset/ETIS-LaribPolypDB/masks"),
        *(ONE_TO_11, "{}.png", "{}.png", ONE_TO_11),
    ),
    "isic2016": (
        *("isic2016", "ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth"),
        *(["0000000", "0000001"], "ISIC_{}.jpg", "ISIC_{}_Segmentation.png", ["ISIC_0000000", "ISIC_0000001"]),
    ),
    "isic2018 in a folder": (
        *("isic2018", "ISIC 2018/ISIC2018_Task1-2_Test_Input", "ISIC 2018/ISIC2018_Task1_Test_GroundTruth"),
        *(["0012255"], "ISIC_{}.jpg", "ISIC_{}_segmentation.png", ["ISIC_0012255"]),
    ),
    "own folder": ("my-clinic", "my-clinic/images", "my-clinic/masks", ["a b", "c"], "{}.jpg", "{}.png", ["a b", "c"]),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_layout_is_read(tmp_path: Path, make_pairs: Maker, case: str) -> None:
    name, images, masks, ids, image, mask, expected = LAYOUTS[case]
    make_pairs(tmp_path / images, tmp_path / masks, ids, image, mask)
    items = list_dataset(name, tmp_path)
    assert [item.id for item in items] == expected
    for item in items:
        number = item.id.removeprefix("ISIC_")
        assert item.image_path == tmp_path / images / image.format(number)
        assert item.mask_path == tmp_path / masks / mask.format(number)
        assert item.dataset == name


@pytest.mark.parametrize("case", LAYOUTS)
def test_strays_are_passed_over(tmp_path: Path, make_pairs: Maker, case: str) -> None:
    name, images, masks, ids, image, mask, expected = LAYOUTS[case]
    make_pairs(tmp_path / images, tmp_path / masks, ids, image, mask)
    for folder in (images, masks):
        for stray in ("Thumbs.db", ".DS_Store", "._1.png", "notes.txt"):
            (tmp_path / folder / stray).write_bytes(b"stray")
    assert [item.id for item in list_dataset(name, tmp_path)] == expected


def test_contours_and_superpixels_are_passed_over(tmp_path: Path, make_pairs: Maker) -> None:
    colondb = tmp_path / "CVC-ColonDB"
    make_pairs(colondb, colondb, ["1", "2"], "{}.tiff", "p{}.tiff")
    make_pairs(colondb, colondb, ["1", "2"], "cp{}.tiff", "cp{}.tiff")
    isic = tmp_path / "ISBI2016_ISIC_Part1_Test_Data"
    truth = tmp_path / "ISBI2016_ISIC_Part1_Test_GroundTruth"
    make_pairs(isic, truth, ["0000003"], "ISIC_{}.jpg", "ISIC_{}_Segmentation.png")
    make_pairs(isic, isic, ["0000003"], "ISIC_{}_superpixels.png", "ISIC_{}_superpixels.png")
    assert [item.id for item in list_dataset("colondb", tmp_path)] == ["1", "2"]
    assert [item.id for item in list_dataset("isic2016", tmp_path)] == ["ISIC_0000003"]


def test_ph2_one_folder_a_lesion(tmp_path: Path, make_pairs: Maker) -> None:
    base = tmp_path / "PH2Dataset" / "PH2 Dataset images"
    for name in ("IMD010", "IMD003"):
        lesion = base / name
        make_pairs(lesion / f"{name}_Dermoscopic_Image", lesion / f"{name}_lesion", [name], "{}.bmp", "{}_lesion.bmp")
        (lesion / f"{name}_roi").mkdir()
    assert [item.id for item in list_dataset("ph2", tmp_path)] == ["IMD003", "IMD010"]
    (base / "IMD003" / "IMD003_lesion" / "IMD003_lesion.bmp").unlink()
    with pytest.raises(BenchError, match=r"IMD003\.bmp"):
        list_dataset("ph2", tmp_path)


def test_bundle_gives_all_five_sets(bundle_root: Path) -> None:
    names = ("kvasir", "clinicdb", "colondb", "cvc300", "endoscene", "etis")
    counts = {name: len(list_dataset(name, bundle_root)) for name in names}
    assert counts == {name: DATASETS[name].expected for name in counts}


def test_the_singular_training_bundle(tmp_path: Path, make_pairs: Maker) -> None:
    train = tmp_path / "TrainDataset"
    make_pairs(train / "image", train / "mask", ["cju1", "cju2", "7", "12"])
    assert [item.id for item in list_dataset("kvasir", tmp_path)] == ["cju1", "cju2"]
    assert [item.id for item in list_dataset("clinicdb", tmp_path)] == ["7", "12"]


def test_the_fuller_copy_is_taken(tmp_path: Path, make_pairs: Maker) -> None:
    make_pairs(tmp_path / "Kvasir-SEG/images", tmp_path / "Kvasir-SEG/masks", ["cju1"])
    test = tmp_path / "TestDataset/Kvasir"
    make_pairs(test / "images", test / "masks", ["cju1", "cju2"])
    assert [item.id for item in list_dataset("kvasir", tmp_path)] == ["cju1", "cju2"]


def test_root_may_be_the_dataset_itself(tmp_path: Path, make_pairs: Maker) -> None:
    home = tmp_path / "Kvasir-SEG"
    make_pairs(home / "images", home / "masks", CJU)
    assert len(list_dataset("kvasir", home)) == 3


def test_endoscene_joins_its_parts(tmp_path: Path, make_pairs: Maker) -> None:
    colondb = tmp_path / "CVC-ColonDB"
    make_pairs(colondb, colondb, FRAMES, "{}.tiff", "p{}.tiff")
    with pytest.raises(DatasetMissing, match=r"'endoscene' is missing: .*its part 'clinicdb'"):
        list_dataset("endoscene", tmp_path)
    make_pairs(tmp_path / "CVC-612/images", tmp_path / "CVC-612/masks", ["9", "10"])
    items = list_dataset("endoscene", tmp_path)
    assert [item.id for item in items] == ["clinicdb-9", "clinicdb-10", "cvc300-149", "cvc300-150", "cvc300-208"]
    assert {item.dataset for item in items} == {"endoscene"}
    assert [item.group for item in items][:3] == ["clinicdb-s01", "clinicdb-s01", "colondb-s06"]


def test_published_parts_of_isic(tmp_path: Path, make_pairs: Maker) -> None:
    for part, name in (("Training", "0000001"), ("Validation", "0000002"), ("Test", "0000003")):
        images, masks = f"ISIC2018_Task1-2_{part}_Input", f"ISIC2018_Task1_{part}_GroundTruth"
        make_pairs(tmp_path / images, tmp_path / masks, [name], "ISIC_{}.jpg", "ISIC_{}_segmentation.png")
    items = list_dataset("isic2018", tmp_path)
    assert [(item.id[-1], item.part) for item in items] == [("1", "train"), ("2", "validation"), ("3", "test")]
    assert items[0].group == "isic-0000001"


@pytest.mark.parametrize(("folder", "what"), [("images", "mask without image"), ("masks", "image without mask")])
def test_orphans_are_refused_by_name(tmp_path: Path, make_pairs: Maker, folder: str, what: str) -> None:
    home = tmp_path / "Kvasir-SEG"
    make_pairs(home / "images", home / "masks", CJU)
    (home / folder / "cju2.png").unlink()
    with pytest.raises(BenchError) as caught:
        list_dataset("kvasir", tmp_path)
    assert what in str(caught.value)
    assert "cju2.png" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_files_for_one_id_are_refused(tmp_path: Path, make_pairs: Maker) -> None:
    home = tmp_path / "CVC-ColonDB"
    make_pairs(home, home, ["1"], "{}.tif", "p{}.tiff")
    make_pairs(home, home, ["1"], "{}.tiff", "p{}.tiff")
    with pytest.raises(BenchError, match=r"1\.tiff? .*have the same id '1'"):
        list_dataset("colondb", tmp_path)


def test_empty_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / "Kvasir-SEG").mkdir()
    with pytest.raises(BenchError, match="Kvasir-SEG holds no images in a known layout"):
        list_dataset("kvasir", tmp_path)
    (tmp_path / "Kvasir-SEG" / "images").mkdir()
    with pytest.raises(BenchError, match="images has no folder of masks beside it"):
        list_dataset("kvasir", tmp_path)
    (tmp_path / "Kvasir-SEG" / "masks").mkdir()
    with pytest.raises(BenchError, match="images holds no image"):
        list_dataset("kvasir", tmp_path)


def test_absent_dataset_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing) as caught:
        list_dataset("etis", tmp_path)
    text = str(caught.value)
    assert "dataset 'etis' is missing" in text
    assert str(tmp_path) in text
    assert DATASETS["etis"].source in text
    assert "--allow-missing" not in text  # not every command that lists a dataset has it
    assert DATASETS["etis"].source in caught.value.reason
    assert "--allow-missing" not in caught.value.reason and str(tmp_path) not in caught.value.reason


def test_data_root_unset_absent_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match="no data root"):
        resolve_root(None)
    with pytest.raises(BenchError, match="does not exist"):
        list_dataset("kvasir", tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="is not a folder"):
        resolve_root(tmp_path / "file")
    monkeypatch.setenv("BENCH_DATA_ROOT", str(tmp_path))
    assert resolve_root(None) == tmp_path


def test_groups_expand_in_the_papers_order(tmp_path: Path) -> None:
    assert expand_datasets(["polyp"]) == ["kvasir", "etis", "colondb", "endoscene"]
    assert expand_datasets(["etis", "polyp", "ph2"]) == ["etis", "kvasir", "colondb", "endoscene", "ph2"]
    assert expand_datasets(["phantom"]) == list(GROUPS["phantom"])
    with pytest.raises(BenchError, match="unknown dataset 'kvasr': did you mean 'kvasir'"):
        expand_datasets(["kvasr"])
    for inside in ("images", "masks"):
        (tmp_path / "mine" / inside).mkdir(parents=True)
    assert expand_datasets(["mine"], tmp_path) == ["mine"]
    for wrong in (f"../{tmp_path.name}/mine", "other"):
        with pytest.raises(BenchError, match="unknown dataset"):
            expand_datasets([wrong], tmp_path)


def test_clinicdb_sequences(bundle_root: Path) -> None:
    groups = {int(item.id): item.group for item in list_dataset("clinicdb", bundle_root)}
    assert len(set(groups.values())) == 29
    starts = [frame for frame in sorted(groups) if groups[frame] != groups.get(frame - 1)]
    assert tuple(starts) == CLINICDB_STARTS
    lengths = [25, 25, 17, 11, 25, 23, 25, 26, 22, 6, 22, 25, 25, 20, 20]
    lengths += [25, 21, 20, 25, 20, 19, 19, 12, 25, 25, 18, 25, 20, 21]  # the set's own table of sequences
    assert [b - a for a, b in pairwise((*starts, 613))] == lengths
    assert (groups[25], groups[26], groups[612]) == ("clinicdb-s01", "clinicdb-s02", "clinicdb-s29")


def test_colondb_scenes(tmp_path: Path, make_pairs: Maker) -> None:
    home = tmp_path / "CVC-ColonDB"
    make_pairs(home, home, [str(n) for n in range(1, 381)], "{}.tiff", "p{}.tiff")
    groups = {int(item.id): item.group for item in list_dataset("colondb", tmp_path)}
    starts = [frame for frame in sorted(groups) if groups[frame] != groups.get(frame - 1)]
    lengths = [38, 22, 16, 21, 51, 7, 48, 22, 38, 10, 27, 20, 20, 20, 20]
    assert [b - a for a, b in pairwise((*starts, 381))] == lengths
    assert tuple(starts) == COLONDB_STARTS and len(set(groups.values())) == 15
    assert (groups[38], groups[39], groups[380]) == ("colondb-s01", "colondb-s02", "colondb-s15")
    assert all(len({groups[frame] for frame in cluster}) == 1 for cluster in COLONDB_CLUSTERS)
    inside = {int(item.id): item.group for item in list_dataset("cvc300", tmp_path)}
    assert inside == {frame: groups[frame] for frame in range(149, 209)}
    assert sorted(Counter(inside.values()).values()) == [5, 7, 48]


def test_frames_of_colondb_with_other_names_are_grouped_by_pixels(tmp_path: Path, make_pairs: Maker) -> None:
    home = tmp_path / "CVC-ColonDB"
    make_pairs(home / "images", home / "masks", ["a", "b", "c"])
    (home / "images/c.png").write_bytes((home / "images/a.png").read_bytes())
    groups = assign_groups("colondb", [Pair(n, home / f"images/{n}.png", home / f"masks/{n}.png") for n in "abc"])
    assert groups == {"a": "colondb-a", "b": "colondb-b", "c": "colondb-a"}


def test_records_of_earlier_days_take_todays_scenes() -> None:
    assert regroup("colondb", "183", "colondb-183") == regroup("cvc300", "198", "x") == "colondb-s07"
    assert regroup("endoscene", "cvc300-149", "colondb-149") == "colondb-s06"
    assert (
        regroup("endoscene", "clinicdb-9", "clinicdb-s01") == regroup("clinicdb", "9", "clinicdb-s01") == "clinicdb-s01"
    )
    assert regroup("mine", "149", "mine-149") == "mine-149" and regroup("colondb", "381", "g") == "g"


@pytest.mark.parametrize(("name", "said"), [("etis", "34 sequences"), ("kvasir", "patient"), ("mine", "independent")])
def test_what_is_not_known_of_groups_is_said(name: str, said: str) -> None:
    assert said in known_groups(name)
    assert known_groups("clinicdb") == known_groups("phantom-etis") == ""


def test_pixels_decide_not_lengths(tmp_path: Path, make_pairs: Maker, rng: np.random.Generator) -> None:
    home = tmp_path / "CVC-ColonDB"
    make_pairs(home, home, ["901", "902"], "{}.tiff", "p{}.tiff")
    for name in ("901", "902"):  # uncompressed: equal lengths, unequal pixels
        Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(home / f"{name}.tiff")
    assert (home / "901.tiff").stat().st_size == (home / "902.tiff").stat().st_size
    assert len({item.group for item in list_dataset("colondb", tmp_path)}) == 2
