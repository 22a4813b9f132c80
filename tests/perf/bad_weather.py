"""How listing and hashing grow with the number of files, and what a picture of 8000 px and a bomb cost.

    python tests/perf/bad_weather.py

1. Processor time to list a dataset of 1,000 and of 10,000 images, draw its split and hash its files, and their ratio:
   10 where the time is linear.
2. Greatest memory of a process that decodes 8000 x 8000 px, and of one that is given a file which claims 200,000 px
   square, both above that of the imports alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.data.files.hashing import fingerprint
from benchmark.data.listing.datasets import list_dataset
from benchmark.data.splits.choose import make_split

PEAK = """
import resource, sys
from pathlib import Path
from benchmark.data.files.decode import decode_image
from benchmark.errors import BenchError
import PIL.PngImagePlugin
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode_image(Path(sys.argv[1]))
except BenchError as error:
    print(f"refused ({error})", end=", ")
print(f"{(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f} MB")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        few, many = (seconds(Path(folder) / str(count), count) for count in (1_000, 10_000))
        print(
            f"listing, split and hashes: 1,000 images {few:.2f} s, 10,000 images {many:.2f} s, ratio {many / few:.1f}"
        )
        huge, bomb = Path(folder) / "huge.png", Path(folder) / "bomb.png"
        Image.new("RGB", (8000, 8000)).save(huge)
        content = bytearray(huge.read_bytes())
        content[16:24] = (200_000).to_bytes(4, "big") * 2
        content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
        bomb.write_bytes(content)
        for name, path in (("8000 x 8000 px", huge), ("claims 200,000 x 200,000 px", bomb)):
            done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
            print(f"{name}: {done.stdout.replace(str(path), path.name).strip()}")


def seconds(root: Path, count: int) -> float:
    """Processor time for a dataset of ``count`` images, links to ten small pictures."""
    images, masks = root / "own" / "images", root / "own" / "masks"
    for place in (images, masks):
        place.mkdir(parents=True)
    for i in range(count):
        for place, mode in ((images, "RGB"), (masks, "L")):
            path = place / f"k{i}.png"
            if i < 10:
                pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).convert(mode).save(path)
            else:
                os.link(place / f"k{i % 10}.png", path)
    begun = time.process_time()
    items = list_dataset("own", root)
    split = make_split("paper", ["own"], root=root)
    assert len(items) == count == len(split.train) + len(split.val) + sum(map(len, split.tests.values()))
    fingerprint(items)
    return time.process_time() - begun


if __name__ == "__main__":
    main()
