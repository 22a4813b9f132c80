"""Cost of `bench robust` beside the bare sum of prediction and scoring.

Run: python tests/perf/bench_robust.py RESULTS [CORRUPTIONS] [SEVERITIES] [DATASETS]
RESULTS holds finished cells (bench run). For each corrupted test set the bare sum predicts the same pixels, already
corrupted and resized, with every network and scores the maps; `bench robust` also corrupts, resizes and writes. The
target is a ratio of 1.15. Results are measured in a copy, so RESULTS stays as it is.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmark.data.files.read_item import read_image, read_mask_grey
from benchmark.data.pixels.resize import resize_image
from benchmark.prediction.maps import predict_at
from benchmark.robustness.cells import Asked, find_sources
from benchmark.robustness.corruptions import corrupt
from benchmark.robustness.evaluate import Bench, plan_units
from benchmark.scoring.score_maps import score_maps

TARGET = 1.15


def main() -> int:
    """Print both times and their ratio; return 1 above the target."""
    results = Path(sys.argv[1])
    corruptions = tuple((sys.argv[2] if len(sys.argv) > 2 else "core").split(","))
    severities = tuple(map(int, (sys.argv[3] if len(sys.argv) > 3 else "1,3,5").split(",")))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "results"
        shutil.copytree(results, copy)
        datasets = tuple(sys.argv[4].split(",")) if len(sys.argv) > 4 else ()
        asked = Asked(copy, corruptions=corruptions, severities=severities, datasets=datasets)
        sources = find_sources(asked)
        units = plan_units(asked, sources)
        bench, cells = Bench(asked, sources), [source.record.cell for source in sources]
        bench.run(units[0], cells)  # weights, imports, plans of masks
        whole = bare = 0.0
        for unit in units:  # one after the other, so that a busy machine slows both alike
            begun = time.process_time()
            bench.run(unit, cells)
            whole += time.process_time() - begun
            bare += _bare(bench, unit)
    images = len(sources[0].items[units[0].dataset])
    print(f"{len(sources)} cells x {len(units)} corrupted test sets of {images} images")
    print(f"bench robust {whole:.1f} s, prediction and scoring alone {bare:.1f} s (CPU time): ratio {whole / bare:.3f}")
    print(f"target {TARGET}")
    return 0 if whole / bare <= TARGET else 1


def _bare(bench: Bench, unit) -> float:  # type: ignore[no-untyped-def]
    items = bench.sources[0].items[unit.dataset]
    images = [corrupt(read_image(i), unit.corruption, severity=unit.severity, image_id=i.id) for i in items]
    masks = {item.id: read_mask_grey(item) for item in items}
    sizes = [image.shape[:2] for image in images]
    spent = 0.0
    for source in bench.sources:
        network = bench.networks[source.record.cell]
        small = [resize_image(image, network.recipe.image_size, network.recipe.resize) for image in images]
        begun = time.process_time()
        maps = {}
        for start in range(0, len(items), 8):
            part = slice(start, start + 8)
            batch = torch.from_numpy(np.stack(small[part]))
            made = predict_at(network.model, network.recipe, batch, sizes[part], network.fabric)
            maps |= {item.id: prob for item, prob in zip(items[part], made, strict=True)}
        score_maps(
            items,
            lambda item: Path(item.id),
            dataset=unit.dataset,
            protocols=list(bench.asked.protocols.values()),
            read=lambda path, found=maps: found[str(path)],
            read_mask=lambda item: masks[item.id],
        )
        spent += time.process_time() - begun
    return spent


if __name__ == "__main__":
    raise SystemExit(main())
