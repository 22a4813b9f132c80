"""The same seed gives the same split, whatever lies beside the images; and what a larger dataset moves is bounded."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data.listing.items import Item
from benchmark.data.splits.partition import cut, cut_groups, rank

NUMBERS = st.integers(0, 10_000)


def items(dataset: str, numbers: set[int], per_group: int = 1) -> list[Item]:
    return [Item(dataset, f"n{n}", Path("i"), Path("m"), f"{dataset}-g{n // per_group}") for n in sorted(numbers)]


def sides(seed: int, pool: list[Item]) -> dict[str, str]:
    return {
        item.id: side for side, part in zip(("train", "val", "test"), cut(seed, pool), strict=True) for item in part
    }


@given(st.sets(NUMBERS, min_size=3, max_size=80), st.integers(0, 5), st.randoms())
@settings(max_examples=100, deadline=None)
def test_the_order_of_files_means_nothing(numbers: set[int], seed: int, shuffler: random.Random) -> None:
    pool = items("a", numbers)
    mixed = pool[:]
    shuffler.shuffle(mixed)
    assert sides(seed, pool) == sides(seed, mixed)
    assert rank(seed, pool) == rank(seed, mixed)


@given(st.sets(NUMBERS, min_size=10, max_size=80), st.sets(NUMBERS, min_size=1, max_size=20), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_images_added_to_the_same_set_move_few(numbers: set[int], more: set[int], seed: int) -> None:
    """Counts stay 7:1:2, so the two borders shift: no more old images change side than twice the new ones, and two."""
    before, after = sides(seed, items("a", numbers)), sides(seed, items("a", numbers | more))
    moved = [name for name, side in before.items() if after[name] != side]
    assert len(moved) <= 2 * len(more - numbers) + 2
    if more <= numbers:
        assert not moved


@given(
    st.sets(NUMBERS, min_size=10, max_size=80),
    st.sets(NUMBERS, min_size=1, max_size=80),
    st.integers(0, 5),
    st.integers(1, 6),
)
@settings(max_examples=200, deadline=None)
def test_another_set_moves_no_group(numbers: set[int], others: set[int], seed: int, per_group: int) -> None:
    alone: dict[str, str] = {}
    cut_groups(seed, items("b", numbers, per_group), alone)
    beside: dict[str, str] = {}
    cut_groups(seed, items("a", others, per_group), beside)
    cut_groups(seed, items("b", numbers, per_group), beside)
    assert {group: side for group, side in beside.items() if group.startswith("b-")} == alone


@given(st.sets(NUMBERS, min_size=30, max_size=120), st.integers(0, 5), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_groups_are_whole_and_about_seven_one_two(numbers: set[int], seed: int, per_group: int) -> None:
    pool = items("a", numbers, per_group)
    of_group: dict[str, str] = {}
    cut_groups(seed, pool, of_group)
    assert set(of_group) == {item.group for item in pool}
    share = {side: sum(of_group[item.group] == side for item in pool) for side in ("train", "val", "test")}
    for side, wanted in (("test", 0.2), ("val", 0.1)):
        assert wanted * len(pool) - 1 <= share[side] <= wanted * len(pool) + 1 + per_group
