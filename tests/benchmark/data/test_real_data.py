"""The real images at hand: each layout is found, every file decodes, every known fault is where it is said to be."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from benchmark.data.audit.check import check_dataset
from benchmark.data.audit.leaks import find_leaks
from benchmark.data.files.decode import decode_image, decode_mask_grey, describe
from benchmark.data.files.hashing import pixel_hash
from benchmark.data.listing.datasets import list_dataset
from benchmark.data.listing.groups import COLONDB_CLUSTERS, KVASIR_CLUSTERS, KVASIR_SCENES
from benchmark.data.listing.published import published_ids
from benchmark.data.splits.choose import make_split

pytestmark = pytest.mark.real_data


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("clinicdb", [str(n) for n in range(1, 206)]),
        ("cvc300", [str(n) for n in range(149, 209)]),
        (
            "colondb",
            [str(n) for n in (*range(77, 98), 108, 139, *range(149, 209), *range(242, 264), 276, 289, 296)],
        ),
        ("ph2", [f"IMD{n:03d}" for n in (2, 3, 4, 6, 8, 9, 10, 13, 14, 15)]),
    ],
)
def test_ids_at_hand(data_root: Path, name: str, ids: list[str]) -> None:
    found = [item.id for item in list_dataset(name, data_root)]
    assert [i for i in ids if i not in found] == []
    if name == "cvc300":
        assert found == ids


@pytest.mark.parametrize("name", ["clinicdb", "colondb", "cvc300", "ph2"])
def test_every_file_decodes(data_root: Path, name: str) -> None:
    report = check_dataset(name, data_root)
    assert [fault for fault in report.faults if "expected; get the rest" not in fault] == []
    assert sum(report.sizes.values()) == report.num_images
    assert report.num_empty_masks == 0


@pytest.mark.slow
@pytest.mark.exhaustive
def test_every_kvasir_file_decodes(data_root: Path) -> None:
    report = check_dataset("kvasir", data_root)
    assert report.ok, report.faults
    assert report.num_images == 1000
    assert report.image_kinds == report.mask_kinds == {"JPEG RGB": 1000}
    widths = [int(size.split("x")[0]) for size in report.sizes]
    assert (min(widths), max(widths)) == (332, 1920)


def test_clinicdb_colours_are_right(data_root: Path) -> None:
    for item in list_dataset("clinicdb", data_root)[::20]:
        assert describe(item.image_path) == "TIFF 3x8 BlackIsZero"
        image = decode_image(item.image_path)
        assert image.shape == (288, 384, 3)
        np.testing.assert_array_equal(image, tifffile.imread(item.image_path))
        red, green, blue = np.moveaxis(image.astype(int), 2, 0)
        assert np.abs(red - green).mean() > 3  # OpenCV's colour read gives the red channel three times
        assert np.abs(green - blue).mean() > 3


def test_clinicdb_masks_are_thresholded_at_127(data_root: Path) -> None:
    items = list_dataset("clinicdb", data_root)
    greys = [decode_mask_grey(item.mask_path) for item in items]
    assert sum(len(np.unique(grey)) > 2 for grey in greys) == 48
    lost = [np.mean((grey > 0) ^ (grey > 127)) for grey in greys]
    assert max(lost) == pytest.approx(0.082, abs=5e-4)
    np.testing.assert_array_equal(
        decode_mask_grey(items[int(np.argmax(lost))].mask_path) > 127, greys[int(np.argmax(lost))] > 127
    )


def test_kvasir_as_pillow_reads_it(data_root: Path) -> None:
    for item in list_dataset("kvasir", data_root)[::100]:
        np.testing.assert_array_equal(decode_image(item.image_path), np.asarray(Image.open(item.image_path)))
        levels = np.unique(decode_mask_grey(item.mask_path))
        assert len(levels) > 2
        assert levels[(levels > 30) & (levels < 225)].size == 0


def test_compressed_colondb_as_pillow_and_tifffile_read_it(data_root: Path) -> None:
    for item in list_dataset("colondb", data_root)[::15]:
        image = decode_image(item.image_path)
        np.testing.assert_array_equal(image, np.asarray(Image.open(item.image_path)))
        assert image.shape == (500, 574, 3)
        assert decode_mask_grey(item.mask_path).shape == (500, 574)


def test_ph2_one_bit_and_colour_masks(data_root: Path) -> None:
    masks = {item.id: item for item in list_dataset("ph2", data_root)}
    assert describe(masks["IMD002"].mask_path) == "BMP RGB"
    assert describe(masks["IMD003"].mask_path) == "BMP 1"
    for item in masks.values():
        expected = np.asarray(Image.open(item.mask_path).convert("L")) > 127
        np.testing.assert_array_equal(decode_mask_grey(item.mask_path) > 127, expected)
        assert 0.01 < expected.mean() < 0.99


def test_colondb_clusters_are_those_of_the_pixels(data_root: Path) -> None:
    by_pixels = defaultdict(set)
    by_group = defaultdict(set)
    for item in list_dataset("colondb", data_root):
        by_pixels[pixel_hash(item.image_path)].add(int(item.id))
        by_group[item.group].add(int(item.id))
    found = {frozenset(ids) for ids in by_pixels.values() if len(ids) > 1}
    assert found >= {frozenset(cluster) for cluster in COLONDB_CLUSTERS}
    assert all(any(cluster <= scene for scene in by_group.values()) for cluster in found)


def test_kvasir_is_in_pranets_lists(data_root: Path) -> None:
    listed = {*published_ids("kvasir", "train"), *published_ids("kvasir", "test")}
    assert {item.id for item in list_dataset("kvasir", data_root)} == listed
    assert len(listed) == 1000


def test_paper_split_leaks_cvc300_through_colondb(data_root: Path, tmp_path: Path) -> None:
    names = ["colondb", "endoscene"]
    split = make_split("paper", names, root=data_root, allow_missing=True)
    leaks = {
        name: [leak for leak in found if leak.kind == "exact"]
        for name, found in find_leaks(split, cache_dir=tmp_path).items()
    }
    assert leaks["endoscene"]
    assert leaks["colondb"]
    for leak in leaks["colondb"]:
        assert leak.twin.startswith(("endoscene/cvc300-", "colondb/")), leak
    grouped = make_split("grouped", names, root=data_root, allow_missing=True)
    assert find_leaks(grouped, cache_dir=tmp_path) == {"colondb": [], "endoscene": []}


def test_kvasirs_scenes_are_those_of_the_pixels(data_root: Path) -> None:
    """Features of both images agree under one similarity transform, or their thumbnails do; not so of strangers."""
    paths = {item.id: item.image_path for item in list_dataset("kvasir", data_root)}
    likeness = [_likeness(paths[one], paths[two]) for one, two in KVASIR_SCENES]
    assert all(inliers >= 8 or alike > 0.96 for inliers, alike in likeness), likeness
    strangers = [_likeness(paths[a[0]], paths[b[1]]) for a, b in pairwise(KVASIR_SCENES)]
    assert all(inliers < 8 and alike < 0.96 for inliers, alike in strangers), strangers
    groups = {item.id: item.group for item in list_dataset("kvasir", data_root)}
    for cluster in (*KVASIR_CLUSTERS, *KVASIR_SCENES):
        assert {groups[name] for name in cluster} == {f"kvasir-{cluster[0]}"}
    assert len(set(groups.values())) == 1000 - sum(len(c) - 1 for c in (*KVASIR_CLUSTERS, *KVASIR_SCENES))


def _likeness(one: Path, two: Path) -> tuple[int, float]:
    """SIFT matches that one similarity transform explains, and the correlation of 48 px thumbnails."""
    greys = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in (one, two)]
    small = [cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA).astype(float).ravel() for grey in greys]
    (points, first), (others, second) = map(_features, greys)
    pairs = cv2.BFMatcher().knnMatch(first, second, k=2)
    good = [near for near, far in pairs if near.distance < 0.8 * far.distance]
    inliers = 0
    if len(good) >= 4:
        _, found = cv2.estimateAffinePartial2D(
            np.float32([points[m.queryIdx].pt for m in good]),
            np.float32([others[m.trainIdx].pt for m in good]),
            ransacReprojThreshold=4,
        )
        inliers = int(found.sum())
    return inliers, float(np.corrcoef(*small)[0, 1])


def _features(grey: np.ndarray) -> tuple:
    """SIFT at 320 px, away from the frame, the overlay at the left and highlights."""
    scale = 320 / max(grey.shape)
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tissue = cv2.erode((grey > 25).astype(np.uint8) * 255, np.ones((9, 9), np.uint8))
    tissue[:, : int(0.3 * grey.shape[1])] = 0
    tissue[cv2.dilate((grey > 240).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0] = 0
    return cv2.SIFT_create(300).detectAndCompute(grey, tissue)
