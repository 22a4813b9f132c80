"""Small generated files in the layouts of the newer datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (20, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([seed, *path.name.encode()]).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def mask(path: Path, size: tuple[int, int] = (20, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0]), np.uint8)
    pixels[4:9, 5:12] = 255
    Image.fromarray(pixels).save(path)


def coloured(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[8:24, 16:48] = colour
    Image.fromarray(pixels).save(path, quality=90)


def polypgen(root: Path) -> None:
    for centre in range(1, 7):
        home = root / "PolypGen2021_MultiCenterData_v3" / f"data_C{centre}"
        for number in range(4):
            picture(home / f"images_C{centre}" / f"{number}H.jpg", centre)
            mask(home / f"masks_C{centre}" / f"{number}H_mask.jpg")


def polypdb(root: Path) -> None:
    for modality in ("WLI", "NBI", "FICE", "BLI", "LCI"):
        for number in range(3):
            picture(root / "PolypDB_modality_wise" / modality / "images" / f"{number}.png", len(modality))
            mask(root / "PolypDB_modality_wise" / modality / "masks" / f"{number}.png")


def hyperkvasir(root: Path) -> None:
    home = root / "labeled-images" / "lower-gi-tract"
    for kind in ("anatomical-landmarks/cecum", "anatomical-landmarks/ileum", "quality-of-mucosal-views/bbps-2-3"):
        for number in range(2):
            picture(home / kind / f"{number}.jpg", size=(20 + 4 * number, 16))
    picture(home / "pathological-findings" / "polyps" / "p.jpg")


def sessile(root: Path) -> None:
    for name in ("cju7d8m3b2e210755l8fj1yph", "cju7dglf226g50987ohbthl19", "other"):  # two of one scene
        picture(root / "sessile-main-Kvasir-SEG" / "images" / f"{name}.jpg")
        mask(root / "sessile-main-Kvasir-SEG" / "masks" / f"{name}.jpg")


def piccolo(root: Path) -> None:
    for part, lesion in (("train", "001"), ("train", "002"), ("validation", "003"), ("test", "004")):
        for frame in range(3):
            stem = f"{lesion}_VP1_frame{frame:04d}"
            picture(root / "piccolodb" / part / "polyps" / f"{stem}.png")
            mask(root / "piccolodb" / part / "masks" / f"{stem}_Corrected.tif")


def neopolyp(root: Path) -> None:
    for number, colour in enumerate([(255, 0, 0), (0, 255, 0)]):
        picture(root / "bkai-igh-neopolyp" / "train" / "train" / f"{number}.jpeg", size=(64, 48))
        coloured(root / "bkai-igh-neopolyp" / "train_gt" / "train_gt" / f"{number}.jpeg", colour)


def sun_seg(root: Path) -> None:
    for subset, clip in (("TrainDataset", "case1_1"), ("TrainDataset", "case1_3"), ("TrainDataset", "case2_1"),
                         ("TestEasyDataset/Seen", "case1_2"), ("TestHardDataset/Unseen", "case9")):  # fmt: skip
        for frame in range(2):
            picture(root / "SUN-SEG" / subset / "Frame" / clip / f"frame{frame}.jpg")
            mask(root / "SUN-SEG" / subset / "GT" / clip / f"frame{frame}.png")


CASES = {
    "polypgen": (polypgen, {f"C{n}": 4 for n in range(1, 7)}, 24),
    "polypdb": (polypdb, dict.fromkeys(("WLI", "NBI", "FICE", "BLI", "LCI"), 3), 15),
    "hyperkvasir-normal": (hyperkvasir, {"cecum": 2, "ileum": 2, "bbps-2-3": 2}, 6),
    "kvasir-sessile": (sessile, {"": 3}, 2),
    "piccolo": (piccolo, {"train": 6, "validation": 3, "test": 3}, 4),
    "neopolyp": (neopolyp, {"": 2}, 2),
    "sun-seg": (sun_seg, {"train": 6, "easy-seen": 2, "hard-unseen": 2}, 3),
}
