"""Datasets as people have them: what is read all the same, and what is refused with a line that helps."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness import Bench
from made_datasets import CASES
from PIL import Image

NAMES = tuple(f"f{number:02d}" for number in range(12))


def photograph(number: int, size: int = 32) -> Image.Image:
    """Noise on a reddish ground: many colours, as a camera's image has."""
    noise = np.random.default_rng(number).normal((170, 90, 70), 12, (size, size, 3))
    noise[8:20, 6 + number : 16 + number] += (40, 10, 10)
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


def outline(number: int, size: int = 32) -> Image.Image:
    mask = np.zeros((size, size), np.uint8)
    mask[8:20, 6 + number : 16 + number] = 255
    return Image.fromarray(mask)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A sound dataset called ``mine`` below ``data``; tests spoil it."""
    folder = tmp_path / "data" / "mine"
    for inside, draw in (("images", photograph), ("masks", outline)):
        (folder / inside).mkdir(parents=True)
        for number, name in enumerate(NAMES):
            draw(number).save(folder / inside / f"{name}.png")
    return folder


def rename(folder: Path, new_name: Callable[[str], str]) -> None:
    for path in sorted(folder.iterdir()):
        path.rename(folder / new_name(path.stem))


def _macosx(home: Path) -> None:
    """What a Mac's zip leaves: a shadow of the tree, with hidden files only."""
    for inside in ("images", "masks"):
        shadow = home.parent / "__MACOSX" / "mine" / inside
        shadow.mkdir(parents=True)
        (shadow / "._f00.png").write_bytes(b"resource fork")
    shutil.copytree(home.parent / "__MACOSX", home / "__MACOSX")


def _singular(home: Path) -> None:
    (home / "images").rename(home / "image")
    (home / "masks").rename(home / "Mask")


def _other_unicode(home: Path) -> None:
    rename(home / "images", lambda stem: unicodedata.normalize("NFC", f"caf\u00e9-{stem}.png"))
    rename(home / "masks", lambda stem: unicodedata.normalize("NFD", f"caf\u00e9-{stem}.png"))


@pytest.mark.parametrize(
    "change",
    [
        _macosx,
        _singular,
        _other_unicode,
        lambda home: rename(home / "masks", lambda stem: f"{stem}_mask.png"),
        lambda home: rename(home / "masks", lambda stem: f"{stem}_Segmentation.png"),
    ],
    ids=["macosx", "image and mask", "unicode", "_mask", "_segmentation"],
)
def test_folders_as_people_have_them_are_read(bench: Bench, home: Path, change: Callable[[Path], None]) -> None:
    change(home)
    done = bench("data", "check", "mine", "--data-root", "data")
    assert "mine (mine): ok" in done.stdout and "images       12" in done.stdout


def _lose_masks(home: Path) -> None:
    shutil.rmtree(home / "masks")
    (home / "notes.txt").write_text("masks to follow")


def _no_suffix_we_know(home: Path) -> None:
    for inside in ("images", "masks"):
        rename(home / inside, lambda stem: f"{stem}.webp")


def _other_names(home: Path) -> None:
    rename(home / "masks", lambda stem: f"lesion{stem[1:]}.png")


def _swap(home: Path) -> None:
    (home / "images").rename(home / "aside")
    (home / "masks").rename(home / "images")
    (home / "aside").rename(home / "masks")


def _sideways(home: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    (home / "images" / "f03.png").unlink()
    photograph(3).resize((40, 24)).save(home / "images" / "f03.jpg", exif=exif)
    outline(3).resize((24, 40)).save(home / "masks" / "f03.png")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_lose_masks, ["mine is not a dataset", "images/ and masks/", "images/, 1 .txt"]),
        (_no_suffix_we_know, ["holds no image", ".tiff", "12 .webp"]),
        (_other_names, ["images without mask", "f00.png", "masks without image are called lesion00.png", "image_id"]),
        (_swap, ["looks like a mask", "like a photograph", "exchange the two folders"]),
        (_sideways, ["f03.png is 24x40", "f03.jpg 40x24", "EXIF orientation 6", "save it upright"]),
    ],
)
def test_run_and_check_say_what_lies_there(
    bench: Bench, home: Path, spoil: Callable[[Path], None], words: list[str]
) -> None:
    spoil(home)
    shape = ("--recipe", "smoke", "--set", "image_size=64", "--no-time-first", "--no-track")
    run = bench(
        "run", "--models", "./tiny_net.py:build", "--datasets", "mine", "--data-root", "data", *shape, code=None
    )
    check = bench("data", "check", "mine", "--data-root", "data", code=None)
    assert run.returncode != 0 and check.returncode != 0
    for text in (run.stderr, check.stdout + check.stderr):
        assert "Traceback" not in text and "--allow-missing" not in text
    for word in words:
        assert word in run.stderr or (word.startswith("looks") and "looks like" in run.stderr), (word, run.stderr)
    if spoil is _swap:
        assert "save it as grey" not in run.stderr and "12 pairs look swapped" in check.stdout


def test_check_names_images_that_are_no_photographs(bench: Bench, home: Path) -> None:
    colours = np.array([(200, 30, 30), (30, 200, 30), (30, 30, 200), (250, 250, 250), (90, 60, 40)], np.uint8)
    Image.fromarray(colours[np.arange(32 * 32).reshape(32, 32) // 64 % 5]).save(home / "images" / "f04.png")
    Image.new("RGB", (32, 32), (7, 7, 7)).save(home / "images" / "f05.png")
    outline(6).convert("RGB").save(home / "images" / "f06.png")
    done = bench("data", "check", "mine", "--data-root", "data", code=1)
    for kind, name in (("handful of colours", "f04"), ("are blank", "f05"), ("black and white: masks", "f06")):
        assert any(kind in line and f"{name}.png" in line for line in done.stdout.splitlines()), kind


def test_commands_without_the_option_do_not_advise_it(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for words in (("data", "check", "etis"), ("data", "show", "etis"), ("audit", "data", "etis")):
        done = bench(*words, "--data-root", "data", code=None)
        assert done.returncode and "'etis' is missing" in done.stdout + done.stderr
        assert "--allow-missing" not in done.stdout + done.stderr
    assert (
        "--allow-missing" in bench("data", "split", "paper", "--datasets", "etis", "--data-root", "data", code=2).stderr
    )


def test_real_ph2_holds_a_jpeg_beside_the_bitmap(bench: Bench, tmp_path: Path) -> None:
    for number in range(3):
        lesion = tmp_path / "data" / "PH2Dataset" / "PH2 Dataset images" / f"IMD00{number}"
        for step, draw in (("Dermoscopic_Image", photograph), ("lesion", outline)):
            (lesion / f"{lesion.name}_{step}").mkdir(parents=True)
            stem = lesion.name if step != "lesion" else f"{lesion.name}_lesion"
            draw(number).save(lesion / f"{lesion.name}_{step}" / f"{stem}.bmp")
        Image.new("RGB", (32, 32)).save(lesion / f"{lesion.name}_Dermoscopic_Image" / f"{lesion.name}.jpg")
    done = bench("data", "check", "ph2", "--data-root", "data", code=1)  # 3 of 200
    assert "image files  BMP RGB (3)" in done.stdout and "strays       IMD000.jpg, IMD001.jpg" in done.stdout
    assert done.stdout.count("fault") == 2 and "3 images found, 200 expected" in done.stdout


def test_an_image_that_trains_and_tests_is_an_exact_leak(bench: Bench, home: Path, tmp_path: Path) -> None:
    bench("data", "split", "paper", "--datasets", "mine", "--data-root", "data", "--export", "all.json")
    split = json.loads((tmp_path / "all.json").read_text())
    split["tests"]["mine"] = [*split["train"][:3], *split["val"], *split["tests"]["mine"]]
    (tmp_path / "all.json").write_text(json.dumps(split))
    num = 3 + len(split["val"])
    shape = ("--datasets", "mine", "--data-root", "data", "--recipe", "smoke", "--no-time-first", "--dry-run")
    done = bench("run", "--models", "./tiny_net.py:build", "--split", "all.json", *shape)
    assert f"{num} also in training" in done.stdout + done.stderr
    audit = bench("audit", "data", "--split", "all.json", "--data-root", "data", "--json", "a.json", "--html", "a.html")
    assert f"{num} leaked images: {num} identical to a training image" in audit.stdout
    leaks = json.loads((tmp_path / "a.json").read_text())["leaks"]["mine"]
    assert [leak["twin"] for leak in leaks] == [f"mine/{leak['id']}" for leak in leaks]
    split["tests"]["mine"].append(split["train"][0])
    (tmp_path / "all.json").write_text(json.dumps(split))
    refused = bench("data", "split", "all.json", "--data-root", "data", code=2).stderr
    assert "ids in a test set must differ" in refused.replace("\n", " ")


def test_audit_says_what_it_looks_for_and_names_equal_names(bench: Bench, home: Path) -> None:
    other = shutil.copytree(home, home.parent / "other")
    for number, path in enumerate(sorted((other / "images").iterdir())):
        photograph(100 + number).save(path)
    done = bench("audit", "data", "mine", "other", "--data-root", "data")
    assert "same names   12 file names occur in both mine and other" in done.stdout
    assert "cropped by about 5 %" in done.stdout and "Not found: larger crops" in done.stdout


def test_lists_of_names_are_a_split(bench: Bench, home: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text("\n".join(f"{name}.png" for name in NAMES[:8]))
    (tmp_path / "lists" / "val.txt").write_text("f08")
    done = bench("data", "split", "./lists", "--datasets", "mine", "--data-root", "data")
    assert done.stdout.splitlines()[1].split("\t")[:4] == ["mine", "8", "1", "3"]
    fold = bench("data", "split", "kfold:4:2", "--datasets", "mine", "--data-root", "data").stdout
    assert fold.splitlines()[1].split("\t")[3] == "3"


def test_negatives_and_label_maps(bench: Bench, home: Path, tmp_path: Path) -> None:
    """Black maps of frames without a polyp are predictions; maps of 0 and 2 are not read as two blacks."""
    for name in NAMES[8:]:
        Image.new("L", (32, 32)).save(home / "masks" / f"{name}.png")
    shutil.copytree(home / "masks", tmp_path / "maps")
    scored = ("--masks", "data/mine/masks", "--protocol", "half", "--results", "r")
    done = bench("evaluate", "--predictions", "maps", "--name", "n", *scored)
    assert "constant maps (4) are scored" in done.stderr
    table = bench("tables", "--protocol", "half", "--by", "size", "--results", "r").stdout
    rows = {
        line.split("|")[1].strip(): line.split("|")[-2].strip() for line in table.splitlines() if line.count("|") > 5
    }
    assert rows["empty"] == "" and rows["all"] == "0.000" and "4 of 12 have none" in table
    for path in (tmp_path / "maps").iterdir():
        Image.fromarray((np.asarray(Image.open(path)) > 0).astype(np.uint8) * np.uint8(2)).save(path)
    refused = bench("evaluate", "--predictions", "maps", "--name", "two", *scored, code=2).stderr
    assert "labels other than 0 and 1 or 0 and 255 (8): f00.png (0 and 2)" in refused


def test_input_that_takes_long_or_much_memory_is_refused_at_once(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text("a." * 100_000 + "a = 1\n")
    for words in (
        ("data", "check", "deep.toml"),
        ("run", "--models", "./tiny_net.py:build", "--datasets", "phantom", "--recipe", "deep.toml"),
        ("study", "deep.toml"),
    ):
        assert "nested too deep" in bench(*words, code=None).stderr


def test_newer_sets_in_their_layouts(bench: Bench, tmp_path: Path) -> None:
    for make, _, _ in CASES.values():
        make(tmp_path / "data")
    done = bench("data", "check", *CASES, "--data-root", "data", code=None).stdout
    assert done.count("strays       none") == len(CASES) and "Traceback" not in done
    assert done.count("fault        ") == done.count("expected; get the rest from") == 2  # polypdb, kvasir-sessile
    rows = bench("data", "split", "leave-out:C3", "--datasets", "polypgen", "--data-root", "data").stdout.splitlines()
    assert rows[1].split("\t")[0] == "polypgen" and rows[1].split("\t")[3] == "4"
    steps = bench("data", "fetch", "polypgen", "--data-root", "empty", code=1).stdout
    assert "register at https://www.synapse.org" in steps


def test_outlines_instead_of_masks(bench: Bench, home: Path, tmp_path: Path) -> None:
    corners = [[6.0, 8.0], [16.0, 8.0], [16.0, 20.0], [6.0, 20.0]]
    for name in NAMES:
        shape = {"label": "polyp", "shape_type": "polygon", "points": corners}
        labels = {"imagePath": f"{name}.png", "imageWidth": 32, "imageHeight": 32, "shapes": [shape]}
        (home / f"{name}.json").write_text(json.dumps(labels))
    (tmp_path / "mine.toml").write_text(
        'name = "drawn"\nroot = "data/mine"\nimages = "images/*"\nannotations = "*.json"'
    )
    done = bench("data", "check", "mine.toml", "--json")
    (report,) = json.loads(done.stdout)
    assert report["num_images"] == 12 and report["faults"] == [] and report["mask_kinds"] == {"BMP L": 12}
