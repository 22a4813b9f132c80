"""The audit: every planted copy is found, strangers are not; masks, containment, leaks, text, JSON and page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from benchmark.data.audit.leaks import Leak, find_leaks, leak_facts, leaks_of
from benchmark.data.audit.page import to_html
from benchmark.data.audit.report import to_json, to_text
from benchmark.data.audit.search import audit_items, audit_split
from benchmark.data.listing.datasets import list_dataset
from benchmark.data.listing.groups import CLINICDB_STARTS, COLONDB_CLUSTERS, KVASIR_CLUSTERS, clinicdb_group
from benchmark.data.listing.items import Item
from benchmark.data.listing.published import published_ids
from benchmark.data.splits.choose import make_split
from benchmark.data.splits.partition import Split
from benchmark.data.twins.candidates import (
    FLIPS,
    NUM_BITS,
    NUM_KEYS,
    Index,
    coefficients,
    distance,
    find_candidates,
    hashes,
)
from benchmark.data.twins.find import Twins, find_twins, merge_groups
from benchmark.data.twins.signatures import read_signatures


@pytest.fixture(scope="module")
def originals(shared_cache: Path) -> list[Item]:
    """One frame of each of 24 phantom sequences."""
    items = [i for n in ("phantom-kvasir", "phantom-endoscene") for i in list_dataset(n, cache_dir=shared_cache)]
    return list({item.group: item for item in items}.values())[:24]


def _copy(item: Item, folder: Path, image: Image.Image, suffix: str = ".png") -> Item:
    path = folder / f"{item.group}{suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    image.save(path, **({"quality": 60} if suffix == ".jpg" else {}))
    return Item("copies", item.group, path, item.mask_path, f"copies-{item.group}")


def _open(item: Item) -> Image.Image:
    return Image.open(item.image_path).convert("RGB")


CHANGES = {
    "re-encoded": lambda image: image,
    "resized": lambda image: image.resize((image.width // 2, image.height // 2)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.75),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "cropped": lambda image: image.crop((round(0.05 * image.width), 0, image.width, round(0.95 * image.height))),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_copy_is_found_and_no_stranger(name: str, originals: list[Item], tmp_path: Path) -> None:
    suffix = ".jpg" if name == "re-encoded" else ".png"
    copies = [_copy(item, tmp_path / "x", CHANGES[name](_open(item)), suffix) for item in originals]
    twins = find_twins([*originals, *copies], cache_dir=tmp_path)
    assert [pair for pair in twins.near if f"copies-{pair.first.group}" != pair.second.group] == []
    own = {pair.first for pair in twins.near}
    assert len(own) >= 0.95 * len(originals)
    turned = {pair.mirrored for pair in twins.near}
    assert turned == {{"mirrored": "left to right", "upside down": "top to bottom"}.get(name, "")}


def test_a_crop_is_located(originals: list[Item], tmp_path: Path) -> None:
    item = originals[0]
    image = _open(item)
    box = (round(0.05 * image.width), 0, image.width, round(0.95 * image.height))
    (pair,) = find_twins([item, _copy(item, tmp_path / "x", image.crop(box))], cache_dir=tmp_path).near
    first_is_whole = pair.first is item
    expected = (0, 0.95, 0.05, 1) if first_is_whole else (0, 1 / 0.95, -0.05 / 0.95, 1)
    np.testing.assert_allclose(pair.window, expected, atol=0.015)


def test_the_hash_knows_mirrors_and_ignores_light(originals: list[Item]) -> None:
    thumbs = read_signatures([item.image_path for item in originals]).thumbs
    own = hashes(thumbs)
    assert own.shape == (24, NUM_KEYS) and own.dtype == np.uint16
    for flip, turned in zip(FLIPS[1:3], (thumbs[:, :, ::-1], thumbs[:, ::-1]), strict=True):
        signs = np.ones((9, 9), np.float32)
        signs[(slice(None), slice(1, None, 2)) if flip[0] else (slice(1, None, 2), slice(None))] = -1
        np.testing.assert_allclose(
            coefficients(turned, (0, 1, 0, 1)), coefficients(thumbs, (0, 1, 0, 1)) * signs, atol=1e-3
        )
    half = (thumbs // 2 + 40).astype(np.uint8)
    assert distance(own, hashes(half)).max() <= 6 < 20 < distance(own[:1], own[1:]).min()


def test_the_index_finds_all_within_nine_bits() -> None:
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 1 << 16, (3000, NUM_KEYS), dtype=np.uint16)
    queries = keys[:200].copy()
    for row in range(200):
        for bit in rng.choice(NUM_BITS, 9, replace=False):
            queries[row, bit // 16] ^= np.uint16(1 << (bit % 16))
    met = {
        (int(query), int(entry)): int(bits)
        for columns in Index(keys).search(queries, 12)
        for query, entry, bits in zip(*columns, strict=True)
    }
    brute = {(q, e) for q in range(200) for e in np.flatnonzero(distance(queries[q], keys) <= 9).tolist()}
    assert {(row, row) for row in range(200)} <= brute <= met.keys()
    assert all(bits == distance(queries[q], keys[e]) <= 12 for (q, e), bits in met.items())


def test_flat_pictures_and_few_pictures_are_no_candidates() -> None:
    assert find_candidates(np.full((5, 64, 64), 9, np.uint8)) == []
    assert find_candidates(np.zeros((0, 64, 64), np.uint8)) == []


def test_conflicting_masks_containment_and_unreadable(originals: list[Item], tmp_path: Path) -> None:
    first, second, third, *_ = originals
    mask = np.asarray(Image.open(first.mask_path)) > 127
    moved = np.roll(mask, 5, axis=1)
    Image.fromarray(moved).save(tmp_path / "moved.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    twin = Item("other", "a", first.image_path, tmp_path / "moved.png", "a")
    equal = Item("other", "b", second.image_path, second.mask_path, "b")
    broken = Item("other", "c", tmp_path / "broken.png", third.mask_path, "c")
    sets = {"phantom-kvasir": [first, second, third], "other": [twin, equal, broken]}
    found = audit_items(sets, cache_dir=tmp_path)
    assert [set(cluster) for cluster in found.exact] == [{first, twin}, {second, equal}]
    (conflict,) = found.conflicts
    dice = 2 * (mask & moved).sum() / (mask.sum() + moved.sum())
    assert conflict.items == (first, twin) and conflict.dice == {(0, 1): pytest.approx(dice, abs=1e-4)}
    assert [tuple(one) for one in found.containment] == [
        ("phantom-kvasir", "other", 2, 2, 3),
        ("other", "phantom-kvasir", 2, 2, 3),
    ]
    assert len(found.unreadable) == 1 and "broken.png" in found.unreadable[0]
    text = to_text(found)
    assert "2 of 3 images of other are also in phantom-kvasir" in text and f"{dice:.3f}" in text
    assert json.loads(json.dumps(to_json(found)))["conflicts"][0]["dice"][0]["dice"] == pytest.approx(dice, abs=1e-4)
    page = to_html(found)
    assert page.count("<img") == 6 and "http" not in page


def test_a_mask_that_cannot_be_read_is_reported_beside_those_that_can(originals: list[Item], tmp_path: Path) -> None:
    first = originals[0]
    (tmp_path / "broken.png").write_bytes(b"no mask")
    twins = [Item("other", str(i), first.image_path, path, str(i)) for i, path in enumerate(
        (first.mask_path, tmp_path / "broken.png"))]  # fmt: skip
    (conflict,) = audit_items({"phantom-kvasir": [first], "other": twins}, cache_dir=tmp_path).conflicts
    assert len(conflict.unreadable) == 1 and "broken.png" in conflict.unreadable[0] and not conflict.dice
    found = audit_items({"other": twins}, cache_dir=tmp_path)
    assert "broken.png" in to_text(found) and "broken.png" in json.dumps(to_json(found)["conflicts"])


def test_leaks_name_the_training_image_and_the_strongest_kind(originals: list[Item], tmp_path: Path) -> None:
    a, b, c, d, *_ = originals
    same = Item("copies", "same", a.image_path, a.mask_path, "x1")
    near = _copy(b, tmp_path / "x", CHANGES["mirrored"](_open(b)))
    kin = Item("copies", "kin", c.image_path, c.mask_path, d.group)
    fine = originals[5]
    split = Split("own", 0, (a, b), (d,), {"copies": (same, near, kin, fine)})
    assert find_leaks(split, cache_dir=tmp_path) == {
        "copies": [
            Leak("same", f"{a.dataset}/{a.id}", "exact", "copies"),
            Leak(near.id, f"{b.dataset}/{b.id}", "near", near.dataset),
            Leak("kin", f"{d.dataset}/{d.id}", "sequence", "copies"),
        ]
    }
    found = audit_split(split, cache_dir=tmp_path)
    assert "copies: 3 leaked images: 1 identical to a training image, 1 nearly identical to a training image, 1 of" in (
        to_text(found)
    )
    assert to_html(found).count("Leaked test images of copies") == 2


def test_groups_that_share_a_picture_become_one(originals: list[Item], tmp_path: Path) -> None:
    a, b, *_ = originals
    copy = _copy(a, tmp_path / "x", CHANGES["cropped"](_open(a)))
    merged = merge_groups([a, b, copy], cache_dir=tmp_path)
    assert {merged.get(item, item).group for item in (a, copy)} == {min(a.group, copy.group)}
    assert b not in merged


def test_signatures_survive_a_broken_store_and_moved_files(originals: list[Item], tmp_path: Path) -> None:
    paths = [item.image_path for item in originals[:3]]
    first = read_signatures(paths, cache_dir=tmp_path)
    moved = [Path(shutil.copy(path, tmp_path / f"{i}.png")) for i, path in enumerate(paths)]
    calls: list[int] = []
    again = read_signatures(moved, cache_dir=tmp_path, progress=lambda done, of: calls.append(done))
    assert again.pixels == first.pixels and calls == []  # known by content
    (tmp_path / "signatures.sqlite").write_bytes(b"broken")
    third = read_signatures(moved, cache_dir=tmp_path)
    np.testing.assert_array_equal(third.thumbs, first.thumbs)


def test_phantom_repeats_nothing_but_neighbouring_frames(shared_cache: Path) -> None:
    names = ("phantom-kvasir", "phantom-etis", "phantom-colondb", "phantom-endoscene")
    found = audit_items({n: list_dataset(n, cache_dir=shared_cache) for n in names}, cache_dir=shared_cache)
    assert found.exact == () and found.near and all(pair.same_group for pair in found.near)


def test_grouped_leaks_nothing_where_paper_does(shared_cache: Path) -> None:
    paper = audit_split(make_split("paper", ["phantom"], cache_dir=shared_cache), cache_dir=shared_cache)
    assert {leak.kind for leak in paper.leaks["phantom-kvasir"]} >= {"sequence"}
    grouped = make_split("grouped", ["phantom"], cache_dir=shared_cache)
    assert not any(find_leaks(grouped, cache_dir=shared_cache).values())


def test_every_published_test_frame_of_clinicdb_has_its_sequence_in_training() -> None:
    """All 62, by the lists and the table of sequences alone; each has an adjacent frame there, too."""
    train, test = (
        [
            Item("clinicdb", name, Path(name), Path(name), clinicdb_group(name))
            for name in published_ids("clinicdb", part)
        ]
        for part in ("train", "test")
    )
    split = Split("pranet", 0, tuple(train), (), {"clinicdb": tuple(test)})
    leaks = leaks_of(split, Twins((), ()))["clinicdb"]
    assert len(leaks) == len(test) == 62 and {leak.kind for leak in leaks} == {"sequence"}
    gaps = [abs(int(leak.id) - int(leak.twin.removeprefix("clinicdb/"))) for leak in leaks]
    assert gaps == [1] * 62
    assert len(CLINICDB_STARTS) == 29


@pytest.mark.real_data
@pytest.mark.slow
def test_real_images(data_root: Path, shared_cache: Path) -> None:
    """ColonDB's groups and conflicting masks, CVC-300 in ColonDB, Kvasir's near-duplicates; no false alarm."""
    names = ("kvasir", "clinicdb", "colondb", "cvc300")
    sets = {name: list_dataset(name, data_root) for name in names}
    found = audit_items(sets, cache_dir=shared_cache)
    at_hand = {int(item.id) for item in sets["colondb"]}
    clusters = {frozenset(int(i.id) for i in cluster if i.dataset == "colondb") for cluster in found.exact}
    assert {frozenset(cluster) for cluster in COLONDB_CLUSTERS if set(cluster) <= at_hand} == {
        cluster for cluster in clusters if len(cluster) > 1
    }
    conflicts = {frozenset(int(item.id) for item in one.items) for one in found.conflicts}
    assert conflicts == {frozenset(c) for c in ((108, 139), (183, 198), (190, 203), (276, 289, 296))}
    contained = {(one.inner, one.outer): (one.num_exact, one.of) for one in found.containment}
    assert contained[("cvc300", "colondb")] == (60, 60)
    assert set(contained) == {("cvc300", "colondb"), ("colondb", "cvc300")}
    pairs = {frozenset((pair.first.id, pair.second.id)) for pair in found.near if pair.first.dataset == "kvasir"}
    known = [frozenset(cluster) for cluster in KVASIR_CLUSTERS]
    assert all(any(pair <= cluster for cluster in known) for pair in pairs) and len(pairs) >= len(known)
    for pair in found.near:
        if pair.first.dataset == "clinicdb":
            assert pair.same_group, pair


@pytest.mark.real_data
@pytest.mark.slow
def test_real_splits(data_root: Path, shared_cache: Path) -> None:
    """`pranet` leaks every ClinicDB test frame by its sequence at least; `grouped` leaks none at all."""
    split = make_split("pranet", ["polyp"], root=data_root, allow_missing=True)
    leaks = find_leaks(split, cache_dir=shared_cache)
    assert [leak.id for leak in leaks["clinicdb"]] == [item.id for item in split.tests["clinicdb"]]
    assert {clinicdb_group(leak.id) for leak in leaks["clinicdb"]} == {
        clinicdb_group(leak.twin.removeprefix("clinicdb/")) for leak in leaks["clinicdb"]
    }
    assert len(leaks["clinicdb"]) == sum(int(name) <= 205 for name in published_ids("clinicdb", "test"))
    grouped = make_split("grouped", ["polyp"], root=data_root, allow_missing=True)
    assert not any(find_leaks(grouped, cache_dir=shared_cache).values())


def test_a_record_counts_the_leaks_of_the_images_that_were_scored() -> None:
    items = [Item("kvasir", name, Path(name), Path(name), name) for name in ("a", "b", "c", "d")]
    leaks = [
        Leak(name, "kvasir/t", kind, "kvasir") for name, kind in (("a", "exact"), ("b", "near"), ("d", "sequence"))
    ]
    facts = leak_facts([*leaks, Leak("c", "kvasir/t", "exact", "etis")], items[:3])
    assert facts == {
        "num_leaked": 2,
        "num_leaked_exact": 1,
        "num_leaked_near": 1,
        "num_leaked_sequence": 0,
        "leaked": {"exact": ["a"], "near": ["b"], "sequence": []},
    }
