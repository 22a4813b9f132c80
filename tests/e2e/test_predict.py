"""`bench predict`: the maps that the run itself stored, on images, folders and real video files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from harness import NET, TINY
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.splits.choose import obtain_split

av = pytest.importorskip("av")
RunBench = Callable[..., "subprocess.CompletedProcess[str]"]
Predict = Callable[..., "subprocess.CompletedProcess[str]"]
CELL = ("--run", "tiny_net", "--model", "./tiny_net.py:build")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, run_bench: RunBench) -> Path:
    """A folder with one finished cell of phantom."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny_net.py").write_text(NET)
    study = ("--models", "./tiny_net.py:build", "--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY)
    call(run_bench, folder, shared_cache, "run", *study, "--no-track", "--no-time-first", code=0)
    return folder


def call(
    run_bench: RunBench, folder: Path, cache: Path, *arguments: str, code: int, **variables: str
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "MLFLOW_TRACKING"))}
    environment = {**kept, "BENCH_CACHE_DIR": str(cache), "COLUMNS": "200", **variables}
    done = run_bench(list(arguments), cwd=folder, env=environment)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def predict(home: Path, shared_cache: Path, run_bench: RunBench) -> Predict:
    def run(*arguments: object, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        return call(run_bench, home, shared_cache, "predict", *map(str, arguments), code=code, **variables)

    return run


def picture(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def cell(home: Path) -> Path:
    (record,) = (home / "results" / "runs").rglob("run.json")
    return record.parent


def test_it_gives_the_maps_that_the_run_stored(
    predict: Predict, home: Path, tmp_path: Path, shared_cache: Path
) -> None:
    items = obtain_split("paper", ["phantom-kvasir"], cache_dir=shared_cache).tests["phantom-kvasir"]
    stored = cell(home) / "maps" / "phantom-kvasir"
    chosen = [item for item in items if (stored / f"{item.id}.png").exists()]
    assert len(chosen) == 4
    paths = [item.image_path for item in chosen]
    said = predict(*paths, *CELL, "--out", tmp_path / "a").stderr
    assert "synthetic" in said
    best = ("--model", "./tiny_net.py:build", "--checkpoint", cell(home) / "best.pt", "--recipe", "smoke")
    weights = {f"teacher.{key}": value for key, value in torch.load(cell(home) / "best.pt").items()}
    torch.save({"ema": weights | {"student.bias": torch.ones(1)}}, tmp_path / "pair.pt")
    pair = (*best[:2], "--checkpoint", tmp_path / "pair.pt", "--key", "ema", "--strip-prefix", "teacher.", *best[4:])
    for kind in (best, pair):
        predict(*paths, *kind, "--set", "image_size=64", "--out", tmp_path / "b", "--save", "probs")
    assert not (tmp_path / "b" / "masks").exists()
    rows = pd.read_csv(tmp_path / "a" / "predictions.csv").set_index("name")
    for item in chosen:
        mine = (tmp_path / "a" / "probs" / f"{item.image_path.stem}.png").read_bytes()
        prob = picture(stored / f"{item.id}.png")
        assert np.array_equal(picture(tmp_path / "a" / "probs" / f"{item.image_path.stem}.png"), prob)
        assert mine == (tmp_path / "b" / "probs" / f"{item.image_path.stem}.png").read_bytes()
        mask = picture(tmp_path / "a" / "masks" / f"{item.image_path.stem}.png")
        assert np.array_equal(mask, np.where(prob > 127, 255, 0)) and mask.dtype == np.uint8
        row = rows.loc[item.image_path.stem]
        assert row["area_px"] == (mask > 0).sum() and row["area_share"] == pytest.approx((mask > 0).mean(), abs=1e-6)
        if row["area_px"]:
            assert row["confidence"] == pytest.approx(prob[mask > 0].mean() / 255, abs=1e-4)
        seen, image = picture(tmp_path / "a" / "overlays" / f"{item.image_path.stem}.png"), picture(item.image_path)
        assert seen.shape == image.shape and np.array_equal(seen[mask == 0], image[mask == 0])
        assert (mask == 0).all() or (seen != image).any()


def frames_of(path: Path) -> tuple[list[NDArray[np.uint8]], Fraction, list[float]]:
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = list(file.decode(stream))
        kind = "gray" if frames[0].format.name == "gray" else "rgb24"
        return [f.to_ndarray(format=kind) for f in frames], stream.average_rate, [f.time for f in frames]


def make_video(path: Path, shots: list[NDArray[np.uint8]], rate: Fraction) -> None:
    """A real, lossless video (FFV1)."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=rate)
        stream.height, stream.width = shots[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for shot in shots:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(shot, format="rgb24").reformat(format="bgr0")))
        file.mux(stream.encode())


def shots(count: int, height: int = 51, width: int = 65) -> list[NDArray[np.uint8]]:
    found = []
    for i in range(count):
        shot = np.full((height, width, 3), (120, 60, 50), np.uint8)
        shot[10:35, i : i + 25] = (230, 120, 110)
        found.append(shot)
    return found


def test_a_video_keeps_rate_count_and_pixels(predict: Predict, tmp_path: Path) -> None:
    made, rate = shots(19), Fraction(30000, 1001)
    make_video(tmp_path / "clip.mkv", made, rate)
    (tmp_path / "stills").mkdir()
    for i, shot in enumerate(made):
        Image.fromarray(shot).save(tmp_path / "stills" / f"{i:02d}.png")
    predict(tmp_path / "clip.mkv", tmp_path / "stills", *CELL, "--out", tmp_path / "out", "--batch", "4")
    _, stated, times = frames_of(tmp_path / "clip.mkv")
    for kind, suffix in (("masks", "mkv"), ("probs", "mkv"), ("overlays", "mp4")):
        frames, found, stamps = frames_of(tmp_path / "out" / kind / f"clip.{suffix}")
        assert len(frames) == 19 and found == pytest.approx(stated, rel=1e-3)
        assert stamps == pytest.approx(times, abs=0.002)
        assert frames[0].shape[:2] == (51, 65)
        if kind != "overlays":
            for i, frame in enumerate(frames):
                assert np.array_equal(frame, picture(tmp_path / "out" / kind / "stills" / f"{i:02d}.png")), (kind, i)
    rows = pd.read_csv(tmp_path / "out" / "predictions.csv")
    clip, stills = rows[rows["name"] == "clip"], rows[rows["name"] != "clip"]
    assert clip["frame"].tolist() == list(range(19)) and clip["time_s"].to_numpy() == pytest.approx(times, abs=1e-3)
    assert clip["area_px"].tolist() == stills["area_px"].tolist() and stills["frame"].isna().all()
    assert not list((tmp_path / "out").rglob(".*"))


def test_turned_grey_and_transparent_images_and_names_that_meet(predict: Predict, tmp_path: Path) -> None:
    shot = shots(1)[0]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(shot)))  # a viewer turns it back, clockwise
    stored.save(tmp_path / "one" / "a.png", exif=exif)
    Image.fromarray(shot).convert("RGBA").save(tmp_path / "two" / "a.png")
    Image.fromarray(shot[..., 0]).save(tmp_path / "grey.png")
    files = (tmp_path / "one" / "a.png", tmp_path / "two" / "a.png", tmp_path / "grey.png")
    said = predict(*files, tmp_path / "one", *CELL, "--out", tmp_path / "out").stderr
    assert "rotated upright" in said
    probs = {path.stem: picture(path) for path in (tmp_path / "out" / "probs").iterdir()}
    assert set(probs) == {"a", "a-2", "grey"} and all(prob.shape == (51, 65) for prob in probs.values())
    assert np.array_equal(probs["a"], probs["a-2"])
    rows = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert rows["input"].tolist() == [str(file) for file in files] and rows["name"].tolist() == ["a", "a-2", "grey"]


def test_a_broken_input_is_named_and_stops_nothing(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"no image")
    (tmp_path / "in" / "b.mkv").write_bytes(b"no video")
    Image.fromarray(shots(1)[0]).save(tmp_path / "in" / "c.png")
    make_video(tmp_path / "whole.mkv", shots(30, 128, 128), Fraction(25))
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "in" / "d.mkv").write_bytes(content[: len(content) // 3])
    done = predict(tmp_path / "in", *CELL, "--out", tmp_path / "out", "--json", code=1)
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"] if row.get("frame") is None}
    assert "cannot read" in rows["in/a"]["error"] and "cannot read video" in rows["in/b"]["error"]
    assert (tmp_path / "out" / "masks" / "in" / "c.png").exists()
    left = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert not [name for name in left if name.startswith((".", "a", "b"))]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shots", *CELL, "--out", "shots"), "is among the inputs"),
        (("shots", *CELL, "--out", "shots/deeper"), "is among the inputs"),
        (("shots/a.png", *CELL, "--out", "shots"), "is among the inputs"),
        (("shots", *CELL, "--out", "."), "is among the inputs"),
        (("nothing", *CELL), "not found"),
        (("tiny_net.py", *CELL), "neither image nor video"),
        (("shots", "--run", "pranet"), "no such cell"),
        (("shots", "--run", "tiny_net"), "--model FILE.py:function"),
        (("shots",), "either --run"),
        (("shots", "--checkpoint", "x.pth"), "--model"),
        (("shots", *CELL, "--save", "mask"), "masks, overlays, probs"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    predict: Predict, home: Path, arguments: tuple[str, ...], words: str
) -> None:
    (home / "shots").mkdir(exist_ok=True)
    Image.fromarray(shots(1)[0]).save(home / "shots" / "a.png")
    before = sorted(home.rglob("*"))
    assert words in predict(*arguments, code=2).stderr.splitlines()[-1]
    assert sorted(home.rglob("*")) == before


def test_weights_that_are_not_the_records_are_refused(predict: Predict, home: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(cell(home), tmp_path / "cell")
    Image.fromarray(shots(1)[0]).save(tmp_path / "a.png")
    given = (tmp_path / "a.png", "--run", tmp_path / "cell", "--model", "./tiny_net.py:build", "--out", tmp_path / "o")
    predict(*given)
    content = bytearray((tmp_path / "cell" / "best.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "cell" / "best.pt").write_bytes(bytes(content))
    assert "not the file of its record" in predict(*given, code=2).stderr


def test_without_pyav_a_video_is_refused_in_one_line(predict: Predict, tmp_path: Path) -> None:
    make_video(tmp_path / "clip.mkv", shots(2), Fraction(25))
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / "av.py").write_text("raise ImportError('none')\n")
    path = os.pathsep.join([str(tmp_path / "stub"), os.environ.get("PYTHONPATH", "")])
    said = predict(tmp_path / "clip.mkv", *CELL, "--out", tmp_path / "o", code=2, PYTHONPATH=path).stderr
    assert "polyp-bench[video]" in said.splitlines()[-1]
