"""A dataset of one's own by a TOML manifest: every rule it can state, and every line that can be wrong in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.audit.check import check_dataset
from benchmark.data.audit.leaks import find_leaks
from benchmark.data.files.hashing import content_hash, fingerprint
from benchmark.data.files.read_item import read_image, read_mask
from benchmark.data.listing import datasets
from benchmark.data.listing.datasets import dataset_info, expand_datasets, list_dataset
from benchmark.data.listing.items import Item
from benchmark.data.pixels.cache import load_pair
from benchmark.data.splits.choose import load_split, make_split, obtain_split, save_split
from benchmark.data.splits.partition import Split
from benchmark.errors import BenchError

Maker = Callable[..., None]
README = Path(__file__).parents[3] / "benchmark" / "data" / "README.md"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    datasets.MANIFESTS.clear()
    yield
    datasets.MANIFESTS.clear()


def written(folder: Path, text: str, name: str = "mine.toml") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return str(folder / name)


def items_of(path: str) -> list[Item]:
    (name,) = expand_datasets([path])
    return list_dataset(name)


PLAIN = """
name = "mine"
images = "frames/*.png"
masks = "labels/*.png"
"""


def test_the_least(tmp_path: Path, make_pairs: Maker) -> None:
    make_pairs(tmp_path / "frames", tmp_path / "labels", ["b10", "b9", "a"])
    (tmp_path / "frames" / "notes.txt").touch()
    items = items_of(written(tmp_path, PLAIN))
    assert [(item.dataset, item.id, item.group) for item in items] == [
        ("mine", "a", "mine-a"),
        ("mine", "b9", "mine-b9"),
        ("mine", "b10", "mine-b10"),
    ]
    assert (dataset_info("mine").title, dataset_info("mine").expected) == ("mine", 0)
    report = check_dataset("mine")
    assert report.ok and report.num_images == 3 and report.strays == ("notes.txt",)


def test_the_example_in_the_readme(tmp_path: Path, make_pairs: Maker) -> None:
    """The manifest that the documentation shows, on the folders that it describes."""
    text = re.search(r"```toml\n(# clinic\.toml.*?)```", README.read_text(), re.S)
    assert text is not None
    for patient in ("p01", "p02"):
        ids = [f"{patient}_{n}" for n in range(3)]
        make_pairs(tmp_path / "export/frames", tmp_path / "export/labels", ids, "{}.png", "{}_seg.png")
    for file in (tmp_path / "export/labels").iterdir():  # labels 0 and 1
        Image.fromarray((np.asarray(Image.open(file)) > 127).astype(np.uint8)).save(file)
    items = items_of(written(tmp_path, text[1], "clinic.toml"))
    assert [item.id for item in items] == ["p01_0", "p01_1", "p01_2", "p02_0", "p02_1", "p02_2"]
    assert {item.group for item in items} == {"clinic-p01", "clinic-p02"}
    assert read_mask(items[0]).mean() == pytest.approx(35 / 192)
    assert check_dataset("clinic").faults == ()


def test_channels_and_threshold_reach_the_pixels_and_the_hashes(tmp_path: Path) -> None:
    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[..., 0], pixels[..., 2] = 200, 50
    grey = np.array([[0, 1, 2, 3, 40, 41, 254, 255]] * 6, np.uint8)
    for folder, array in (("frames", pixels), ("labels", grey)):
        (tmp_path / folder).mkdir()
        Image.fromarray(array).save(tmp_path / folder / "a.png")
    (plain,) = items_of(written(tmp_path, PLAIN))
    (odd,) = items_of(written(tmp_path, PLAIN + 'channels = "bgr"\nmask_threshold = 40\n', "odd.toml"))
    np.testing.assert_array_equal(read_image(plain), pixels)
    np.testing.assert_array_equal(read_image(odd), pixels[..., ::-1])
    np.testing.assert_array_equal(read_mask(plain)[0], grey[0] > 127)
    np.testing.assert_array_equal(read_mask(odd)[0], grey[0] > 40)
    image, mask = load_pair(odd)
    assert image[0, 0].tolist() == [50, 0, 200] and set(np.unique(mask)) == {0, 255}
    assert content_hash(plain) != content_hash(odd) and fingerprint([plain]) != fingerprint([odd])


def test_labels_of_zero_and_one_need_a_threshold(tmp_path: Path, make_pairs: Maker) -> None:
    make_pairs(tmp_path / "frames", tmp_path / "labels", ["a"])
    Image.fromarray(np.eye(12, 16, dtype=np.uint8)).save(tmp_path / "labels" / "a.png")
    expand_datasets([written(tmp_path, PLAIN)])
    assert "or set mask_threshold in a manifest" in check_dataset("mine").faults[0]
    expand_datasets([written(tmp_path, PLAIN + "mask_threshold = 0\n")])
    assert check_dataset("mine").ok


def test_images_and_masks_in_one_folder(tmp_path: Path, make_pairs: Maker) -> None:
    make_pairs(tmp_path / "all", tmp_path / "all", ["1", "2"], "{}.png", "{}_mask.png")
    text = 'name = "x"\nimages = "all/*.png"\nmasks = "all/*_mask.png"\nmask_id = "(?P<id>.+)_mask"\n'
    assert [item.id for item in items_of(written(tmp_path, text))] == ["1", "2"]


def test_one_folder_a_patient_by_path_and_a_table_of_groups(tmp_path: Path, make_pairs: Maker) -> None:
    for patient in ("p1", "p2"):
        make_pairs(tmp_path / patient / "im", tmp_path / patient / "gt", ["1", "2"], "{}.png", "{}.png")
    text = (
        'name = "x"\nimages = ["*/im/*.png"]\nmasks = ["*/gt/*.png"]\nmatch = "path"\n'
        'image_id = "(?P<prefix>[^/]+)/im/(?P<id>.+)"\nmask_id = "(?P<prefix>[^/]+)/gt/(?P<id>.+)"\n'
        "[group]\nregex = '^(?P<group>[^-]+)'\n"
    )
    items = items_of(written(tmp_path, text))
    assert [(item.id, item.group) for item in items] == [(f"{p}-{n}", f"x-{p}") for p in ("p1", "p2") for n in "12"]
    with pytest.raises(BenchError, match=r"have the same id '1': .* or set match = .path."):
        items_of(written(tmp_path, 'name = "x"\nimages = "*/im/*.png"\nmasks = "*/gt/*.png"\n'))
    text = 'name = "x"\nimages = "p1/im/*.png"\nmasks = "p1/gt/*.png"\n[group]\ntable = "groups.csv"\n'
    path = written(tmp_path, text)
    table = tmp_path / "groups.csv"
    for content, message in {
        "id,patient\n1,a\n": r"groups\.csv, line 1: expected the columns id and group",
        "id,group\n1,a\n2,\n": r"groups\.csv, line 3: expected an id and a group",
        "id,group\n1,a\n1,b\n": r"groups\.csv, line 3: id '1' has two groups",
        "id,group\n1,a\n": r"groups\.csv has no line for 2; every image needs a group",
    }.items():
        table.write_text(content)
        with pytest.raises(BenchError, match=message):
            items_of(path)
    table.write_text("id,group\n1,a\n2,a\n3,b\n")
    assert [item.group for item in items_of(path)] == ["x-a", "x-a"]
    table.unlink()
    with pytest.raises(BenchError, match=r"cannot read .*groups\.csv: No such file"):
        items_of(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("name", "nmae"), r"mine\.toml, line 2: unknown key nmae: known are name, title, root, images"),
        (('"frames/*.png"', "3"), r"mine\.toml, line 3: images: .*got"),
        (('"frames/*.png"', '"../frames/*.png"'), r"mine\.toml, line 3: images: pattern .* must stay below root"),
        (('"frames/*.png"', "[]"), r"mine\.toml, line 3: images: "),
        (
            ('name = "mine"', 'name = "my set"'),
            r"mine\.toml, line 2: name: String should match pattern .*, got 'my set'",
        ),
        (('name = "mine"', 'name = "kvasir"'), "name 'kvasir' is taken by a known dataset"),
        (('name = "mine"', ""), r"mine\.toml: name is missing: expected at least name, images and masks"),
        (("masks", 'channels = "brg"\nmasks'), r"line 4: channels: Input should be 'rgb' or 'bgr', got 'brg'"),
        (("masks", "mask_threshold = 255\nmasks"), r"line 4: mask_threshold: .*less than or equal to 254, got 255"),
        (("masks", "mask_threshold = true\nmasks"), r"line 4: mask_threshold: .*integer, got True"),
        (("masks", "image_id = '(?P<id>'\nmasks"), r"line 4: image_id: .*is not a regular expression"),
        (("masks", "mask_id = '.*'\nmasks"), r"line 4: mask_id: .*has no group called id: write \(\?P<id>\.\.\.\)"),
        (('.png"\nmasks', '.png"\nimages = "b"\nmasks'), r"mine\.toml is not TOML: .*line 4"),
        (("END", ""), ""),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, make_pairs: Maker, change: tuple[str, str], message: str
) -> None:
    make_pairs(tmp_path / "frames", tmp_path / "labels", ["a"])
    path = written(tmp_path, PLAIN.replace(*change))
    if not message:
        assert len(items_of(path)) == 1
        return
    with pytest.raises(BenchError, match=message) as caught:
        items_of(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("[group]\nregexp = 'x'\n", r"line 6: unknown key group\.regexp: known are regex, table"),
        ("[group]\n", r"line 5: group: expected either regex or table"),
        ("[group]\nregex = 'p'\n", r"line 6: group\.regex: 'p' has no group called group"),
        ("[group]\nregex = '(?P<group>p)'\n", r"group\.regex .* does not match a; every image needs a group"),
        ("root = 'nowhere'\n", r"root .*nowhere is not a folder; it is relative to the manifest"),
        ("image_id = '(?P<id>x)'\n", r"images = frames/\*\.png below .*: 1 files match, none has the form"),
    ],
)
def test_faulty_rules(tmp_path: Path, make_pairs: Maker, more: str, message: str) -> None:
    make_pairs(tmp_path / "frames", tmp_path / "labels", ["a"])
    with pytest.raises(BenchError, match=message):
        items_of(written(tmp_path, PLAIN + more))


def test_a_pattern_that_would_run_for_years_is_stopped(tmp_path: Path, make_pairs: Maker) -> None:
    make_pairs(tmp_path / "frames", tmp_path / "labels", ["a" * 60])
    with pytest.raises(BenchError, match=r"takes more than 0\.5 s on 'a+'; write it without nested repetitions"):
        items_of(written(tmp_path, PLAIN + "image_id = '(?P<id>(a|aa)+)[!x]'\n"))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"masks = labels/\*\.png below .*: no image file matches"):
        items_of(written(tmp_path, PLAIN))
    with pytest.raises(BenchError, match=r"cannot read manifest .*none\.toml: No such file"):
        expand_datasets([str(tmp_path / "none.toml")])


def test_grouped_split_and_its_file(tmp_path: Path, make_pairs: Maker) -> None:
    ids = [f"p{n // 4:02d}_{n}" for n in range(80)]
    make_pairs(tmp_path / "frames", tmp_path / "labels", ids)
    path = written(tmp_path, PLAIN + "[group]\nregex = '^(?P<group>p\\d+)'\n")
    split = make_split("grouped", [path])
    sides = [{item.group for item in side} for side in (split.train, split.val, split.tests["mine"])]
    assert not sides[0] & sides[1] and not (sides[0] | sides[1]) & sides[2] and len(set().union(*sides)) == 20
    save_split(split, tmp_path / "s.json")
    datasets.MANIFESTS.clear()
    with pytest.raises(BenchError, match="no data root"):
        load_split(tmp_path / "s.json")
    assert obtain_split(str(tmp_path / "s.json"), [path, "polyp"]) == split


def test_a_copy_in_another_colour_order_is_a_leak(tmp_path: Path, make_pairs: Maker) -> None:
    make_pairs(tmp_path / "frames", tmp_path / "labels", [f"i{n}" for n in range(10)])
    (tmp_path / "copy").mkdir()
    for path in (tmp_path / "frames").iterdir():
        Image.fromarray(np.asarray(Image.open(path))[..., ::-1]).save(tmp_path / "copy" / path.name)
    mine = items_of(written(tmp_path, PLAIN))
    other = items_of(
        written(tmp_path, PLAIN.replace("mine", "bgr").replace("frames", "copy") + 'channels = "bgr"\n', "b.toml")
    )
    split = Split("x", 0, tuple(mine[:5]), tuple(mine[5:7]), {"bgr": tuple(other)})
    expected = [(f"i{n}", f"mine/i{n}") for n in range(7)]
    found = find_leaks(split, cache_dir=tmp_path / "cache")["bgr"]
    assert [(leak.id, leak.twin) for leak in found if leak.kind == "exact"] == expected
