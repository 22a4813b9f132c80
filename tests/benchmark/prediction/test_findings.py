"""Connected parts of a map against skimage, the field of view, and what disagreement means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label, regionprops

from benchmark.prediction.findings import field_of_view, find_parts
from benchmark.prediction.loaded import disagreement

MAPS = arrays(
    np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.sampled_from([0, 60, 127, 128, 255])
)


@settings(max_examples=60, deadline=None)
@given(MAPS, st.sampled_from([0.0, 0.25, 0.5, 127 / 255, 1.0]))
def test_parts_are_those_of_skimage(prob: np.ndarray, threshold: float) -> None:
    theirs = regionprops(label(prob / 255 > threshold, connectivity=2), intensity_image=prob)
    theirs.sort(key=lambda part: (-part.area, part.label))
    ours = find_parts(prob, threshold)
    assert [one.number for one in ours] == list(range(1, len(theirs) + 1))
    for one, other in zip(ours, theirs, strict=True):
        top, left, bottom, right = other.bbox
        assert one.area_px == other.area and one.box_px == (left, top, right - left, bottom - top)
        assert one.centre_px == pytest.approx((other.centroid[1], other.centroid[0]), abs=0.051)
        assert one.mean_prob == pytest.approx(other.intensity_mean / 255, abs=6e-5)
        assert one.max_prob == pytest.approx(other.intensity_max / 255, abs=6e-5)
        assert one.area_share == pytest.approx(other.area / prob.size, abs=1e-6)


@pytest.mark.parametrize(
    ("row", "column", "position"),
    [
        (0, 0, "upper left"),
        (0, 29, "upper right"),
        (15, 15, "centre"),
        (29, 15, "lower"),
        (15, 0, "left"),
        (9, 10, "upper"),
    ],
)
def test_a_position_is_a_third_each_way(row: int, column: int, position: str) -> None:
    prob = np.zeros((30, 30), dtype=np.uint8)
    prob[row, column] = 255
    assert find_parts(prob, 0.5)[0].position == position


def test_the_field_is_the_lit_part_with_its_dark_holes() -> None:
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[5:35, 10:50, 0] = 90
    image[18:22, 25:35] = 3  # a lumen
    image[0:2, 0:3] = 200  # a letter of the frame
    field = field_of_view(image)
    assert field.sum() == 30 * 40 and field[20, 30] and not field[0, 0]
    prob = np.zeros((40, 60), dtype=np.uint8)
    prob[:, :30] = 255  # half of it outside
    assert find_parts(prob, 0.5, field=field)[0].area_share == pytest.approx(0.5)
    assert field_of_view(np.zeros((4, 4, 3), dtype=np.uint8)).all()


def test_disagreement_is_twice_the_standard_deviation() -> None:
    maps = [np.full((2, 2), value, dtype=np.uint8) for value in (0, 255)]
    assert disagreement(maps).tolist() == [[255, 255], [255, 255]]
    assert not disagreement([maps[0], maps[0]]).any()
    drawn = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    assert np.abs(disagreement(list(drawn)) - 2 * np.std(drawn.astype(float), axis=0)).max() <= 0.5001
    with pytest.raises(ValueError, match="two maps"):
        disagreement(maps[:1])
