"""The newer sets in their layouts, outlines and boxes as masks, images without a polyp; every file is made here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_datasets import CASES, hyperkvasir, mask, neopolyp, piccolo, picture, polypgen, sessile, sun_seg
from matplotlib.path import Path as Outline

from benchmark.data.audit.check import check_dataset
from benchmark.data.files.hashing import content_hash
from benchmark.data.files.read_item import mask_shape, read_mask
from benchmark.data.listing import datasets
from benchmark.data.listing.annotations import draw
from benchmark.data.listing.datasets import expand_datasets, list_dataset
from benchmark.data.listing.items import DatasetMissing, Item
from benchmark.data.splits.choose import make_split
from benchmark.errors import BenchError


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    datasets.MANIFESTS.clear()
    yield
    datasets.MANIFESTS.clear()


@pytest.mark.parametrize("name", CASES)
def test_a_newer_set_is_read_in_its_layout(name: str, tmp_path: Path) -> None:
    make, parts, num_groups = CASES[name]
    make(tmp_path)
    items = list_dataset(name, tmp_path, cache_dir=tmp_path / "cache")
    assert Counter(item.part for item in items) == parts
    assert len({item.group for item in items}) == num_groups and len({item.id for item in items}) == len(items)
    report = check_dataset(name, tmp_path, cache_dir=tmp_path / "cache")
    assert [fault for fault in report.faults if "expected; get the rest" not in fault] == []
    assert report.strays == ()


def test_a_missing_set_that_can_be_fetched_says_how(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=r"'kvasir' is missing: .* \('bench data fetch kvasir' downloads it"):
        list_dataset("kvasir", tmp_path)


def test_two_colours_of_neopolyp_are_one_foreground(tmp_path: Path) -> None:
    neopolyp(tmp_path)
    for item in list_dataset("neopolyp", tmp_path):
        found = read_mask(item)
        assert mask_shape(item) == (48, 64) and found[10:22, 18:46].all() and 0.1 < found.mean() < 0.2


def test_splits_of_the_newer_sets(tmp_path: Path) -> None:
    for make in (polypgen, piccolo, sun_seg, sessile, hyperkvasir):
        make(tmp_path)
    split = make_split("leave-out:C3", ["polypgen"], root=tmp_path)
    assert {i.part for i in split.tests["polypgen"]} == {"C3"}
    assert len(split.train) + len(split.val) + len(split.tests["polypgen-seen"]) == 20
    assert [i.id for i in list_dataset("polypgen-seen", tmp_path)] == [i.id for i in list_dataset("polypgen", tmp_path)]
    split = make_split("official", ["piccolo"], root=tmp_path)
    assert (len(split.train), len(split.val), len(split.tests["piccolo"])) == (6, 3, 3)
    split = make_split("official", ["sun-seg"], root=tmp_path)
    assert {i.part for i in split.tests["sun-seg"]} == {"easy-seen", "hard-unseen"}
    assert {i.group for i in split.train}.isdisjoint({i.group for i in split.val})
    split = make_split("paper", ["polypgen", "hyperkvasir-normal"], root=tmp_path, cache_dir=tmp_path / "cache")
    assert len(split.tests["hyperkvasir-normal"]) == 6  # frames without a polyp never train


def test_normal_frames_have_black_masks_of_their_size(tmp_path: Path) -> None:
    hyperkvasir(tmp_path)
    items = list_dataset("hyperkvasir-normal", tmp_path, cache_dir=tmp_path / "cache")
    assert [mask_shape(item) for item in items] == [(16, 20 + 4 * (n % 2)) for n in range(6)]
    assert not any(read_mask(item).any() for item in items)
    assert len(list((tmp_path / "cache" / "drawn-masks").rglob("*.bmp"))) == 2


TRIANGLE = [(2.0, 2.0), (17.0, 3.5), (6.25, 14.0)]


def manifest(folder: Path, text: str) -> list[Item]:
    (folder / "mine.toml").write_text(f'name = "mine"\nimages = "frames/**/*.png"\n{text}')
    (name,) = expand_datasets([str(folder / "mine.toml")])
    return list_dataset(name, cache_dir=folder / "cache")


def inside(corners: list[tuple[float, float]], height: int = 16, width: int = 20) -> np.ndarray:
    """Pixels whose centre lies in a polygon, by matplotlib."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    found = Outline([*corners, corners[0]], closed=True).contains_points(np.c_[columns.ravel(), rows.ravel()])
    return found.reshape(height, width)


def test_polygons_are_drawn_by_pixel_centres() -> None:
    np.testing.assert_array_equal(draw([tuple(TRIANGLE)], 16, 20) > 0, inside(TRIANGLE))
    square = draw([((2, 3), (7, 3), (7, 9), (2, 9))], 16, 20) > 0
    assert square.sum() == 30 and square[3:9, 2:7].all()
    assert draw([((-5, -5), (40, -5), (40, 40), (-5, 40))], 16, 20).min() == 255  # cut at the border


def coco(folder: Path, **changes: object) -> Path:
    for name in ("a", "b", "c"):
        picture(folder / "frames" / f"{name}.png")
    flat = [value for corner in TRIANGLE for value in corner]
    one = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [flat], "bbox": [2, 3, 5, 6]}
    other = {"id": 2, "image_id": 2, "category_id": 2, "segmentation": [flat], "bbox": [0, 0, 4, 4], **changes}
    images = [
        {"id": n, "file_name": f"frames/{name}.png", "width": 20, "height": 16} for n, name in enumerate("abc", 1)
    ]
    payload = {"images": images, "annotations": [one, other]}
    payload["categories"] = [{"id": 1, "name": "polyp"}, {"id": 2, "name": "instrument"}]
    path = folder / "coco.json"
    path.write_text(json.dumps(payload))
    return path


def test_coco_polygons_boxes_and_labels(tmp_path: Path) -> None:
    coco(tmp_path)
    items = manifest(tmp_path, 'annotations = "coco.json"')
    assert [item.id for item in items] == ["a", "b", "c"]
    np.testing.assert_array_equal(read_mask(items[0]), inside(TRIANGLE))
    assert read_mask(items[1]).any() and not read_mask(items[2]).any()
    before = content_hash(items[0])
    polyps = manifest(tmp_path, 'annotations = "coco.json"\nlabels = "polyp"')
    assert content_hash(polyps[0]) == before and not read_mask(polyps[1]).any()
    boxes = manifest(tmp_path, 'annotations = "coco.json"\nshapes = "boxes"')
    assert read_mask(boxes[0]).sum() == 30 and read_mask(boxes[0])[3:9, 2:7].all()
    assert check_dataset("mine", cache_dir=tmp_path / "cache").strays == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"segmentation": {"counts": "x", "size": [16, 20]}}, 'run-length code is not read.*shapes = "boxes"'),
        ({"image_id": 9}, "annotation 2 is of image 9, which is not listed"),
        ({"segmentation": [[1, 2, 3]]}, "expected COCO or LabelMe JSON"),
        ({"segmentation": [[1e9, 2, 3, 4, 5, 6]]}, "far outside the image"),
    ],
)
def test_annotations_that_cannot_be_drawn_are_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    coco(tmp_path, **changes)
    with pytest.raises(BenchError, match=rf"annotations .*coco\.json: .*{words}"):
        manifest(tmp_path, 'annotations = "coco.json"')


def test_an_image_of_another_size_or_without_annotation_is_named(tmp_path: Path) -> None:
    coco(tmp_path)
    picture(tmp_path / "frames" / "b.png", size=(24, 16))
    with pytest.raises(BenchError, match=r"b\.png is 24x16, annotated at 20x16"):
        manifest(tmp_path, 'annotations = "coco.json"')
    picture(tmp_path / "frames" / "b.png")
    picture(tmp_path / "frames" / "d.png")
    with pytest.raises(BenchError, match=r"image without mask in .*: d\.png"):
        manifest(tmp_path, 'annotations = "coco.json"')
    with pytest.raises(BenchError, match="expected either masks or annotations"):
        manifest(tmp_path, 'annotations = "coco.json"\nmasks = "x"')


def test_labelme_in_clips_that_repeat_names(tmp_path: Path) -> None:
    for clip in ("v1", "v2"):
        picture(tmp_path / "frames" / clip / "f1.png")
        shapes = [{"label": "polyp", "points": TRIANGLE, "shape_type": "polygon"}]
        shapes += [{"label": "polyp", "points": [[15, 12], [19, 15]], "shape_type": "rectangle"}] * (clip == "v2")
        payload = {"imagePath": f"{clip}/f1.png", "imageWidth": 20, "imageHeight": 16, "shapes": shapes}
        (tmp_path / "json").mkdir(exist_ok=True)
        (tmp_path / "json" / f"{clip}-f1.json").write_text(json.dumps(payload))
    text = 'annotations = "json/*.json"\nmatch = "path"\nimage_id = "frames/(?P<prefix>[^/]+)/(?P<id>.+)"\n'
    first, second = manifest(tmp_path, text)
    assert (first.id, second.id) == ("v1-f1", "v2-f1")
    np.testing.assert_array_equal(read_mask(first), inside(TRIANGLE))
    assert read_mask(second)[12:15, 15:19].all() and read_mask(second).sum() == inside(TRIANGLE).sum() + 12


def test_images_without_a_polyp_need_no_mask_file(tmp_path: Path) -> None:
    for name in ("p1", "p2", "n1"):
        picture(tmp_path / "frames" / f"{name}.png")
    for name in ("p1", "p2"):
        mask(tmp_path / "labels" / f"{name}.png")
    text = 'masks = "labels/*.png"\nnegatives = "frames/n*.png"\n'
    with pytest.raises(BenchError, match=r"image without mask in .*: n1\.png"):
        manifest(tmp_path, text)
    (tmp_path / "mine.toml").write_text(f'name = "mine"\nimages = "frames/p*.png"\n{text}')
    expand_datasets([str(tmp_path / "mine.toml")])
    items = list_dataset("mine", cache_dir=tmp_path / "cache")
    assert [(item.id, bool(read_mask(item).any())) for item in items] == [("n1", False), ("p1", True), ("p2", True)]
