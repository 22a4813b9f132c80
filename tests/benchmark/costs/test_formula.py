"""The formula against small computations of its own: work, seconds, makespan, memory, growth."""

from __future__ import annotations

import itertools

import pytest

from benchmark.config import Recipe
from benchmark.costs.formula import (
    Host,
    Speed,
    Work,
    assumed_speed,
    cell_seconds,
    cell_work,
    in_training_images,
    makespan,
    memory_mb,
)
from benchmark.costs.growth import Size, grown_hours, parse_growth
from benchmark.errors import BenchError

HOST = Host(load_s=0.001, validate_s=0.01, predict_s=0.1, score_s=0.2)


def test_a_forward_pass_is_a_third_of_a_step() -> None:
    assert in_training_images(Work(train=90, val=20, test=10)) == 100


def test_the_images_of_a_cell_are_those_that_its_recipe_takes() -> None:
    plain = Recipe(epochs=10, max_test_images=30)
    assert cell_work(plain, train=100, val=20, tests={"a": 50, "b": 8}) == Work(1000, 200, 38)
    both = Recipe(epochs=2, select="last_all", batch_size=16, drop_last=True, max_val_images=5)
    assert cell_work(both, train=100, val=20, tests={"a": 1}) == Work(2 * 112, 10, 1)  # 120 images, the last 8 dropped
    picked = both.model_copy(update={"select": "test:a+b"})
    assert cell_work(picked, train=100, val=20, tests={"a": 50, "b": 3, "c": 9}) == Work(2 * 112, 2 * (5 + 3), 62)
    scaled = Recipe(epochs=1, image_size=352, multi_scale="each", scales=(0.75, 1.0, 1.25))
    sides = (256, 352, 448)  # 264 and 440 rounded to multiples of 32, as PraNet's training does
    assert cell_work(scaled, train=7, val=0, tests={}).train == pytest.approx(7 * sum(s * s for s in sides) / 352**2)
    drawn = Recipe(epochs=1, image_size=128, multi_scale="draw", scales=(0.5, 1.0), scale_weights=(3.0, 1.0))
    assert cell_work(drawn, train=8, val=0, tests={}).train == pytest.approx(8 * (3 * 0.25 + 1) / 4)


def test_seconds_of_a_cell_by_hand() -> None:
    # 2e9 multiply-adds are 4e9 operations: 0.4 s on a tenth of 0.1 TFLOPS
    speed = assumed_speed(step_gmacs=2.0, forward_gmacs=0.5, peak_tflops=0.1, utilisation=0.1)
    assert speed.step_s == pytest.approx(0.4) and speed.forward_s == pytest.approx(0.1)
    seconds = cell_seconds(Work(train=1000, val=100, test=10), Speed(0.4, 0.1), HOST)
    assert seconds == pytest.approx(1000 * 0.401 + 100 * 0.11 + 10 * 0.4)


def test_the_makespan_is_that_of_list_scheduling_longest_first() -> None:
    assert makespan([3, 5, 4, 7], 2) == 10  # 7 + 3 and 5 + 4
    assert makespan([2, 3, 2, 3, 2], 2) == 7  # an optimal plan would need 6; division says 6 too
    assert makespan([5, 1, 1], 32) == 5 and makespan([4, 4, 4], 1) == 12


def test_the_makespan_is_within_its_proven_bound_of_the_best() -> None:
    cells = [9.0, 7.0, 6.5, 5.0, 4.0, 4.0, 1.0]
    best = min(
        max(sum(c for c, d in zip(cells, where, strict=True) if d == k) for k in range(3))
        for where in itertools.product(range(3), repeat=len(cells))
    )
    assert best <= makespan(cells, 3) <= best * (4 / 3 - 1 / 9)


def test_memory_is_weights_four_times_over_and_the_batch() -> None:
    assert memory_mb(num_params=2**20, kept_mb=10, batch=16) == 16 + 160


def test_growth_multiplies_models_seeds_and_sets_and_squares_pairs() -> None:
    size = Size(models=2, sets=2, cells=6, images=100, tests=20, num_params=1e6, map_px=1e5, test_sets=2)
    grown = size.grown(*parse_growth("10x4x5"))
    assert (grown.models, grown.cells, grown.images, grown.tests) == (10, 50, 200, 40)
    assert grown.map_bytes == pytest.approx(size.map_bytes * (50 / 6) * 2)
    assert grown.weight_bytes == 50 * 1e6 * 4
    assert (size.image_pairs, grown.image_pairs) == (4950, 19900)
    assert (size.model_pairs, grown.model_pairs) == (1 * 2, 45 * 4)
    hours = grown_hours((1800.0, 3600.0), size, grown, [1, 8])
    assert hours[1] == (50 * 2 * 0.5, 50 * 2 * 1.0) and hours[8] == (7 * 2 * 0.5, 7 * 2 * 1.0)  # 50 cells: 7 rounds


@pytest.mark.parametrize("text", ["100x5", "ax5x3", "0x5x3", "100,5,3"])
def test_a_growth_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="MODELSxSETSxSEEDS"):
        parse_growth(text)
