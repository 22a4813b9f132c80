"""Inputs: found, named apart, and turned as Pillow itself turns them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from benchmark.errors import BenchError
from benchmark.prediction.outputs import cut, figures, overlay
from benchmark.prediction.sources import find_sources, read_upright
from benchmark.prediction.video import count_frames


@pytest.mark.parametrize("tag", range(1, 9))
def test_every_exif_orientation_is_turned_as_pillow_does(tmp_path: Path, tag: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(read_upright(tmp_path / "a.png"), np.asarray(ImageOps.exif_transpose(image)))


def test_no_two_sources_share_a_name(tmp_path: Path) -> None:
    for name in ("x/a.png", "x/a.jpg", "x/A.bmp", "y/x/a.png", "x/.hidden/b.png", "x/notes.txt", "x/deep/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_sources(
        [tmp_path / "x", tmp_path / "x" / "a.png", tmp_path / "y" / "x" / "a.png", tmp_path / "y" / "x"]
    )
    names = [source.name for source in found]
    assert len({name.lower() for name in names}) == len(names) == 5
    assert {"x/deep/a", "a"} <= set(names)


def test_figures_of_a_mask_by_hand() -> None:
    prob = np.zeros((4, 6), np.uint8)
    prob[0, 0], prob[1, 1], prob[3, 5], prob[3, 0] = 255, 204, 153, 127
    found = figures(prob, cut(prob, 0.5))
    assert (found["area_px"], found["num_components"], found["width_px"], found["height_px"]) == (3, 2, 6, 4)
    assert found["confidence"] == pytest.approx(0.8) and found["area_share"] == pytest.approx(3 / 24)
    assert cut(prob, 0.7)[3, 5] == 0 and figures(prob, cut(prob, 1.0))["confidence"] is None


def test_a_file_of_sound_alone_is_told_as_a_video_without_frames(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "sound.mkv"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with pytest.raises(BenchError, match=r"video .*sound\.mkv: contains no frames"):
        count_frames(tmp_path / "sound.mkv")


def test_overlay_and_mask_are_their_formulas_whatever_the_values() -> None:
    rng = np.random.default_rng(0)
    image, prob = rng.integers(0, 256, (64, 48, 3), np.uint8), rng.integers(0, 256, (64, 48), np.uint8)
    for threshold in (0.0, 0.1, 0.5, 128 / 255, 1.0):
        assert (cut(prob, threshold) == 255 * (prob / 255 > threshold)).all()
    mask = np.zeros((64, 48), np.uint8)
    mask[10:50, 5:40] = 255
    painted = overlay(image, mask)
    inner = image[11:49, 6:39].astype(np.float32)
    assert (painted[11:49, 6:39] == np.round(inner + (np.array([240, 228, 66]) - inner) / 4)).all()
    assert (painted[10, 5:40] == (240, 228, 66)).all() and (painted[:10] == image[:10]).all()


def test_pictures_of_a_large_image_take_few_bytes_a_pixel() -> None:
    image, prob = np.full((1500, 1500, 3), 90, np.uint8), np.full((1500, 1500), 200, np.uint8)
    tracemalloc.start()
    mask = cut(prob, 0.5)
    figures(prob, mask)
    overlay(image, mask)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * prob.size, f"{peak / prob.size:.1f} bytes a pixel"
