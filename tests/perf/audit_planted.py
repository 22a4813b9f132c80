"""Precision, recall, time and growth of `bench audit data`, on real images and on phantom.

    python tests/perf/audit_planted.py [--data-root DIR] [--per-set 100] [--hashes 100000]

Planted: copies of images, re-encoded, resized, lit anew, mirrored, cropped by 5 % of each side's length, or several of
these at once, written as files among the originals. Recall is the share of copies that were found as a pair with
their source. A pair that was found is right where both come from one source, from images with equal pixels, or from
one known sequence or cluster; wrong where they come from different datasets, from different sequences of ClinicDB, or
from different images of Kvasir. ColonDB's sequences are not published: pairs of two of its frames prove nothing
and are counted apart.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from benchmark.data.files.decode import decode_image
from benchmark.data.listing.datasets import list_dataset
from benchmark.data.listing.items import Item
from benchmark.data.twins.candidates import FLIPS, NUM_BITS, NUM_KEYS, RADIUS, WINDOWS, Index
from benchmark.data.twins.find import Twins, find_twins

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def _resize(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    share = rng.uniform(0.4, 0.8)
    return image.resize((round(share * image.width), round(share * image.height)), Image.Resampling.BICUBIC)


def _brightness(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(rng.choice([rng.uniform(0.7, 0.85), rng.uniform(1.15, 1.3)]))


def _flip(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return (ImageOps.mirror, ImageOps.flip)[int(rng.integers(2))](image)


def _crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    dx, dy = round(0.05 * image.width), round(0.05 * image.height)
    left, top = int(rng.integers(dx + 1)), int(rng.integers(dy + 1))
    return image.crop((left, top, left + image.width - dx, top + image.height - dy))


def _all(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _flip(_crop(_brightness(_resize(image, rng), rng), rng), rng)


CHANGES: dict[str, tuple[Change, dict[str, int]]] = {
    "jpeg (quality 50)": (lambda image, _: image, {"quality": 50}),
    "resize (0.4-0.8)": (_resize, {}),
    "brightness (0.7-1.3)": (_brightness, {}),
    "flip": (_flip, {}),
    "crop (5 %)": (_crop, {}),
    "all of these": (_all, {"quality": 60}),
}


def plant(items: list[Item], folder: Path) -> list[Item]:
    """Write one copy of every item under every change; a copy's group names its source."""
    rng = np.random.default_rng(0)
    copies = []
    for item in items:
        image = Image.fromarray(decode_image(item.image_path))
        for number, (name, (change, settings)) in enumerate(CHANGES.items()):
            path = folder / f"{item.dataset}-{item.id}-{number}{'.jpg' if settings else '.png'}"
            change(image, rng).save(path, **(settings or {"compress_level": 1}))
            copies.append(Item(item.dataset, f"{item.id}#{name}", path, path, item.group))
    return copies


def judge(twins: Twins, cluster: dict[str, str]) -> tuple[Counter[str], set[str]]:
    """Count pairs by verdict, and name the copies that were found with their source."""
    verdicts: Counter[str] = Counter()
    found: set[str] = set()
    pairs = [(a, b) for members in twins.exact for a in members for b in members if a is not b]
    pairs += [(a, b) for firsts, seconds in twins.near_clusters() for a in firsts for b in seconds]
    for a, b in pairs:
        sources = [f"{one.dataset}/{one.id.partition('#')[0]}" for one in (a, b)]
        same = cluster[sources[0]] == cluster[sources[1]]
        if same and "#" in a.id:
            found.add(f"{a.dataset}/{a.id}")
        if same or a.group == b.group:
            verdicts["right"] += 1
        elif a.dataset == b.dataset == "colondb":
            verdicts["unknown"] += 1
        else:
            verdicts["wrong"] += 1
            if verdicts["wrong"] <= 10:
                print(f"  wrong: {a.dataset}/{a.id} and {b.dataset}/{b.id}")
    return verdicts, found


def measure(title: str, names: list[str], root: str | None, per_set: int) -> None:
    items = [item for name in names for item in list_dataset(name, root)]
    print(f"\n{title}: {len(items)} images of {', '.join(names)}")
    with tempfile.TemporaryDirectory() as folder:
        clock, cpu = time.perf_counter(), time.process_time()
        alone = find_twins(items, cache_dir=Path(folder) / "cold")
        seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
        cluster = {f"{item.dataset}/{item.id}": f"{item.dataset}/{item.id}" for item in items}
        for members in alone.exact:
            for item in members:
                cluster[f"{item.dataset}/{item.id}"] = f"{members[0].dataset}/{members[0].id}"
        scale = 2000 / len(items)
        print(f"  time with an empty cache: {seconds:.1f} s, {cpu:.1f} s of CPU (2 threads, shared machine)")
        print(f"  at 2,000 images that makes {scale * seconds:.0f} s, {scale * cpu:.0f} s of CPU", flush=True)
        verdicts, _ = judge(alone, cluster)
        print(f"  originals alone: {_said(verdicts)}", flush=True)
        rng = np.random.default_rng(1)
        sample = [
            mine[i]
            for name in names
            if (mine := [item for item in items if item.dataset == name])
            for i in sorted(rng.choice(len(mine), min(per_set, len(mine)), replace=False))
        ]
        copies = plant(sample, Path(folder))
        verdicts, found = judge(find_twins([*items, *copies], cache_dir=Path(folder) / "cold"), cluster)
    total = len(copies)
    print(f"  planted: {total} copies of {len(sample)} images")
    for name in CHANGES:
        own = [f"{c.dataset}/{c.id}" for c in copies if c.id.endswith(f"#{name}")]
        print(f"    recall {name:22} {np.mean([one in found for one in own]):.3f}")
    right, wrong = verdicts["right"] // 2, verdicts["wrong"] // 2
    print(f"    recall in all {len(found) / total:.4f}; precision {right / (right + wrong):.4f} ({_said(verdicts)})")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of this process so far: {peak_mb:.0f} MB", flush=True)


def _said(verdicts: Counter[str]) -> str:
    right, wrong, unknown = (verdicts[key] // 2 for key in ("right", "wrong", "unknown"))
    return f"{right} pairs right, {wrong} wrong, {unknown} of ColonDB not judged"


def grow(largest: int) -> None:
    """Search random hashes, among which every hundredth has a twin at nine bits, in ever larger sets."""
    print(f"\nindex: {NUM_BITS} random bits, radius {RADIUS}; one of {len(WINDOWS) * len(FLIPS)} lookups per image")
    for number in (largest // 8, largest // 4, largest // 2, largest):
        rng = np.random.default_rng(number)
        keys = rng.integers(0, 1 << 16, (number, NUM_KEYS), dtype=np.uint16)
        planted = np.arange(0, number, 100)
        keys[planted + 1] = keys[planted]
        for row in planted + 1:
            for bit in rng.choice(NUM_BITS, 9, replace=False):
                keys[row, bit // 16] ^= np.uint16(1 << (bit % 16))
        clock = time.perf_counter()
        index = Index(keys)
        found = {
            (int(a), int(b)) for q, e, _ in index.search(keys, RADIUS) for a, b in zip(q, e, strict=True) if a != b
        }
        seconds = time.perf_counter() - clock
        hit = sum((int(p), int(p) + 1) in found for p in planted)
        chance = number * number / (1 << 16) * NUM_KEYS * 17
        compared = f"about {chance:,.0f} pairs compared of {number * number:,}"
        print(f"  {number:8,} hashes: {seconds:6.2f} s, {hit} of {len(planted)} twins found; {compared}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default=os.environ.get("BENCH_DATA_ROOT"))
    parser.add_argument("--per-set", type=int, default=100)
    parser.add_argument("--hashes", type=int, default=100_000)
    options = parser.parse_args()
    if options.data_root:
        measure("real images", ["kvasir", "clinicdb", "colondb"], options.data_root, options.per_set)
    else:
        print("real images: skipped, no --data-root and no BENCH_DATA_ROOT")
    phantoms = ["phantom-kvasir", "phantom-etis", "phantom-colondb", "phantom-endoscene"]
    measure("phantom (synthetic)", phantoms, None, options.per_set)
    grow(options.hashes)


if __name__ == "__main__":
    main()
