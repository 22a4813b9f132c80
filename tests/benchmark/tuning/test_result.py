"""What a tuned recipe says of its tuning."""

from __future__ import annotations

import pytest

from benchmark.tuning.result import used_of


@pytest.mark.parametrize(
    ("count", "limit", "words"), [(70, 16, "16 of 70"), (70, None, "70"), (16, 16, "16"), (16, 70, "16")]
)
def test_only_a_limit_that_leaves_images_out_is_stated(count: int, limit: int | None, words: str) -> None:
    assert used_of(count, limit) == words
