"""Statistics against scipy and statsmodels, coverage on simulated data with known truth, and speed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as sps

from benchmark.errors import BenchError
from benchmark.report.records.blocks import Block, make_blocks
from benchmark.report.statistics.ranks import average_ranks
from benchmark.report.statistics.resampling import holm, mean_intervals, paired_comparisons, resample
from benchmark.report.statistics.variance import variance_split


def _block(scores: np.ndarray, groups: np.ndarray | None = None, dataset: str = "kvasir") -> Block:
    num_models, num_seeds, n = scores.shape
    codes = np.arange(n) if groups is None else groups
    names = ("unet", "pranet", "sanet", "ldnet", "mynet", "bsanet")[:num_models]
    return Block(dataset, names, tuple(range(num_seeds)), scores, codes, tuple(map(str, range(n))))


def _simulate(
    rng: np.random.Generator,
    *,
    num_seeds: int,
    sizes: np.ndarray,
    group: float,
    seed: float,
    skewed: bool,
    num_models: int = 1,
) -> Block:
    """Independent models whose true mean is 0: group, image, seed and remainder effects of known size."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    m, n = num_models, len(groups)
    draw = (lambda *size: 1 - rng.exponential(1, size)) if skewed else (lambda *size: rng.normal(size=size))
    images = group * draw(m, 1, len(sizes))[:, :, groups] + 0.7 * draw(m, 1, n)
    scores = images + seed * rng.normal(size=(m, num_seeds, 1)) + 0.4 * rng.normal(size=(m, num_seeds, n))
    names = tuple(f"model {i}" for i in range(m))
    return Block("kvasir", names, tuple(range(num_seeds)), scores, groups, tuple(map(str, range(n))))


def _coverage(trials: int, *, ignore_groups: bool = False, **options: Any) -> float:
    rng = np.random.default_rng(7)
    hits = 0
    for trial in range(trials // 50):
        block = _simulate(rng, num_models=50, **options)
        if ignore_groups:
            block = replace(block, groups=np.arange(block.scores.shape[2]))
        table = mean_intervals([block], num_resamples=1000, seed=trial)
        hits += int(((table["low"] <= 0) & (table["high"] >= 0)).sum())
    return hits / trials


SCENARIOS: dict[str, dict[str, Any]] = {
    "one image per group": {"num_seeds": 1, "sizes": np.ones(100, int), "group": 0, "seed": 0, "skewed": False},
    "skewed as Dice": {"num_seeds": 1, "sizes": np.ones(100, int), "group": 0, "seed": 0, "skewed": True},
    "groups of unequal size": {
        "num_seeds": 1,
        "sizes": np.tile([1, 2, 5, 8], 12),
        "group": 1,
        "seed": 0,
        "skewed": False,
    },
    "three seeds that matter": {"num_seeds": 3, "sizes": np.ones(80, int), "group": 0, "seed": 0.1, "skewed": False},
    "groups and five seeds": {"num_seeds": 5, "sizes": np.tile([1, 3], 25), "group": 0.5, "seed": 0.2, "skewed": True},
}


@pytest.mark.parametrize("name", ["groups of unequal size", "groups and five seeds"])
def test_intervals_hold_the_truth_95_times_in_100(name: str) -> None:
    assert 0.93 <= _coverage(1000, **SCENARIOS[name]) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SCENARIOS))
def test_coverage_over_more_trials(name: str) -> None:
    assert 0.93 <= _coverage(6000, **SCENARIOS[name]) <= 0.97


def test_ignoring_groups_would_fail_the_coverage_test() -> None:
    assert _coverage(500, ignore_groups=True, **SCENARIOS["groups of unequal size"]) < 0.8


def test_the_seeds_part_of_the_variance_is_free_of_the_remainders() -> None:
    rng = np.random.default_rng(5)
    found = []
    for _ in range(1500):
        noise = 0.3 * rng.normal(size=(1, 3, 1)) + rng.normal(size=(1, 3, 50))
        found.append(resample(_block(rng.normal(size=50) + noise), num_resamples=1).seed_var[0])
    assert np.mean(found) == pytest.approx(0.3**2 / 3, rel=0.1)


def test_the_false_alarm_rate_of_a_comparison_is_its_level() -> None:
    rng = np.random.default_rng(3)
    options: dict[str, Any] = {"num_seeds": 3, "group": 0.3, "seed": 0.2, "skewed": False, "num_models": 2}
    pairs = [replace(_simulate(rng, sizes=np.tile([1, 3], 20), **options), dataset=str(i)) for i in range(800)]
    table = paired_comparisons(pairs, reference="model 0", num_resamples=2)
    alarms = int((table["p"] < 0.05).sum())
    assert 0.03 <= alarms / 800 <= 0.07


def test_one_seed_without_groups_is_students_paired_test() -> None:
    scores = np.random.default_rng(0).beta(5, 1, size=(3, 1, 40))
    table = paired_comparisons([_block(scores)], reference="sanet").set_index("model")
    for m, model in enumerate(("unet", "pranet")):
        expected = sps.ttest_rel(scores[m, 0], scores[2, 0])
        assert table.loc[model, "t"] == pytest.approx(expected.statistic)
        assert table.loc[model, "p"] == pytest.approx(expected.pvalue)
        interval = expected.confidence_interval(0.95)
        width = interval.high - interval.low
        assert table.loc[model, "low"] == pytest.approx(interval.low, abs=0.05 * width)
        assert table.loc[model, "high"] == pytest.approx(interval.high, abs=0.05 * width)


def test_groups_give_the_cluster_robust_test_of_statsmodels() -> None:
    sm = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(15), rng.integers(1, 6, 15))
    scores = rng.beta(5, 1, size=(2, 1, len(groups))) + 0.1 * rng.normal(size=15)[groups]
    fit = sm.OLS(scores[0, 0] - scores[1, 0], np.ones(len(groups))).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True, "df_correction": True}, use_t=True
    )
    row = paired_comparisons([_block(scores, groups)], reference="pranet").iloc[0]
    assert (row["t"], row["p"]) == (pytest.approx(fit.tvalues[0]), pytest.approx(fit.pvalues[0]))
    assert row["df"] == 14


def test_interval_agrees_with_scipys_bootstrap_for_many_images() -> None:
    scores = np.random.default_rng(2).beta(5, 1, size=(1, 1, 400))
    ours = mean_intervals([_block(scores)]).iloc[0]
    theirs = sps.bootstrap((scores[0, 0],), np.mean, method="percentile", n_resamples=10_000, rng=0).confidence_interval
    width = theirs.high - theirs.low
    assert ours["low"] == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours["high"] == pytest.approx(theirs.high, abs=0.05 * width)
    assert ours["mean"] == pytest.approx(scores.mean())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_by_its_definition(p: list[float]) -> None:
    adjusted = holm(p)
    for level in (0.01, 0.05, 0.2):
        rejected: set[int] = set()
        for step, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
            if p[i] * (len(p) - step) > level:
                break
            rejected.add(i)
        assert {i for i in range(len(p)) if adjusted[i] <= level} == rejected


def test_holm_agrees_with_statsmodels_and_leaves_out_nan() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is not installed")
    p = np.random.default_rng(0).uniform(0, 0.2, 20)
    np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1])
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])


def test_holm_runs_over_all_sets_and_models() -> None:
    rng = np.random.default_rng(0)
    blocks = [_block(rng.beta(5, 1, size=(4, 1, 50)), dataset=name) for name in ("kvasir", "etis")]
    table = paired_comparisons(blocks, reference="unet")
    assert len(table) == 6
    assert table["p_holm"].min() == pytest.approx(min(1.0, 6 * table["p"].min()))


def test_variance_split_agrees_with_the_anova_of_statsmodels() -> None:
    formula = pytest.importorskip("statsmodels.formula.api", reason="statsmodels is not installed")
    anova = pytest.importorskip("statsmodels.stats.anova", reason="statsmodels is not installed")
    rng = np.random.default_rng(4)
    scores = 0.3 * rng.normal(size=30) + 0.1 * rng.normal(size=(4, 1)) + 0.2 * rng.normal(size=(4, 30))
    seed, image = np.meshgrid(range(4), range(30), indexing="ij")
    rows = pd.DataFrame({"y": scores.ravel(), "seed": seed.ravel(), "image": image.ravel()})
    mean_sq = anova.anova_lm(formula.ols("y ~ C(seed) + C(image)", rows).fit())
    mean_sq = mean_sq["sum_sq"] / mean_sq["df"]
    ours = variance_split([_block(scores[None])]).iloc[0]
    assert ours["var_residual"] == pytest.approx(mean_sq["Residual"])
    assert ours["var_image"] == pytest.approx((mean_sq["C(image)"] - mean_sq["Residual"]) / 4)
    assert ours["var_seed"] == pytest.approx((mean_sq["C(seed)"] - mean_sq["Residual"]) / 30)
    assert ours["share_image"] + ours["share_seed"] + ours["share_residual"] == pytest.approx(1)


def test_one_seed_leaves_no_split() -> None:
    assert variance_split([_block(np.ones((1, 1, 5)))])["var_seed"].isna().all()


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (6, 2.850), (10, 3.164)])
def test_critical_difference_by_demsars_table_5a(k: int, q: float) -> None:
    scores = pd.DataFrame(np.random.default_rng(0).uniform(size=(30, k)))
    assert average_ranks(scores).critical_difference == pytest.approx(q * np.sqrt(k * (k + 1) / 180), rel=1e-3)


def test_ranks_share_places_and_take_mae_the_other_way() -> None:
    scores = pd.DataFrame({"a": [0.9, 0.8], "b": [0.9, 0.7], "c": [0.1, 0.9]}, index=["kvasir", "etis"])
    assert average_ranks(scores).average == {"a": 1.75, "c": 2.0, "b": 2.25}
    assert average_ranks(scores, higher_is_better=False).average == {"b": 1.75, "c": 2.0, "a": 2.25}
    assert average_ranks(scores).friedman_p == pytest.approx(
        sps.friedmanchisquare(*scores.to_numpy().T).pvalue, nan_ok=True
    )


def test_ranks_warn_plainly_when_there_is_too_little() -> None:
    rng = np.random.default_rng(0)
    assert "say nothing" in average_ranks(pd.DataFrame(rng.uniform(size=(2, 6)))).warning
    assert "too few" in average_ranks(pd.DataFrame(rng.uniform(size=(4, 6)))).warning
    assert average_ranks(pd.DataFrame(rng.uniform(size=(12, 6)))).warning == ""
    with pytest.raises(BenchError, match="b has none on etis"):
        average_ranks(pd.DataFrame({"a": [1, 1], "b": [1, None]}, index=["kvasir", "etis"]))
    with pytest.raises(BenchError, match="two models"):
        average_ranks(pd.DataFrame({"a": [1, 1]}))


def test_same_seed_same_answer_and_no_model_or_set_disturbs_another() -> None:
    rng = np.random.default_rng(0)
    scores = rng.beta(5, 1, size=(4, 3, 60))
    blocks = [_block(scores, dataset=name) for name in ("kvasir", "etis")]
    first = mean_intervals(blocks, num_resamples=500)
    pd.testing.assert_frame_equal(first, mean_intervals(blocks, num_resamples=500))
    alone = mean_intervals([_block(scores[:2], dataset="etis")], num_resamples=500)
    both = first[first["dataset"] == "etis"].iloc[:2].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, both)
    assert not np.allclose(first["low"], mean_intervals(blocks, num_resamples=500, seed=1)["low"])


def test_no_interval_holds_a_mean_that_no_scores_could_have() -> None:
    """Two sequences leave one degree of freedom, and Student's t then leads far beyond 0 and 1."""
    groups = np.repeat([0, 1], 10)
    scores = np.random.default_rng(0).uniform(0, 0.2, (2, 2, 20)) + 0.5 * groups
    ends = mean_intervals([_block(scores, groups)])
    assert (ends["low"] == 0).all() and (ends["high"] == 1).all()
    difference = paired_comparisons([_block(scores, groups)], reference="unet").iloc[0]
    assert -1 <= difference["low"] <= difference["difference"] <= difference["high"] <= 1
    apart = np.stack([scores[0], 1 - scores[1]])  # the first is low where the second is high: differences of -1 to 1
    widest = paired_comparisons([_block(apart, groups)], reference="unet").iloc[0]
    assert (widest["low"], widest["high"]) == (-1, 1)
    assert paired_comparisons([_block(10 * apart, groups)], reference="unet").iloc[0]["high"] > 10
    wider = mean_intervals([_block(10 * scores, groups)])
    assert (wider["low"] < 0).all() and (wider["high"] > 10).all(), "no shares: nothing is cut"


def test_degenerate_data_give_no_false_precision() -> None:
    one_group = mean_intervals([_block(np.full((1, 2, 4), 0.5), np.zeros(4, int))]).iloc[0]
    assert np.isnan(one_group["low"])
    assert "no interval" in one_group["note"]
    single = mean_intervals([_block(np.array([[[0.4]]]))]).iloc[0]
    assert np.isnan(single["high"])
    constant = paired_comparisons([_block(np.full((2, 1, 5), 0.5))], reference="unet").iloc[0]
    assert (constant["difference"], constant["p"], constant["low"]) == (0, 1, 0)
    assert "one seed" in constant["note"]
    assert "two seeds only" in one_group["note"]
    assert paired_comparisons([_block(np.ones((1, 1, 5)))], reference="unet").empty


def _rows(models: tuple[str, ...] = ("unet", "bsanet"), seeds: tuple[int, ...] = (0, 1)) -> pd.DataFrame:
    parts = []
    for m, model in enumerate(models):
        for seed in seeds:
            frame = pd.DataFrame({"id": ["c", "a", "b"], "dice": [0.3, 0.1, 0.2], "group": ["y", "x", "x"]})
            frame["dice"] += m + 10 * seed
            parts.append(frame.assign(dataset="kvasir", protocol="pranet", model=model, seed=seed))
    return pd.concat(parts, ignore_index=True)


def test_blocks_hold_models_in_the_papers_order_seeds_and_images() -> None:
    (block,) = make_blocks(_rows(("bsanet", "unet")), protocol="pranet")
    assert block.models == ("unet", "bsanet")
    assert block.ids == ("a", "b", "c")
    np.testing.assert_allclose(block.scores[0], [[1.1, 1.2, 1.3], [11.1, 11.2, 11.3]])
    assert block.groups[0] == block.groups[1] != block.groups[2]


def test_blocks_refuse_what_cannot_be_compared() -> None:
    rows = _rows()
    with pytest.raises(BenchError, match="did you mean 'dice'"):
        make_blocks(rows, column="dise")
    with pytest.raises(BenchError, match="unknown protocol 'half'"):
        make_blocks(rows, protocol="half")
    with pytest.raises(BenchError, match="bsanet has no seed 1"):
        make_blocks(rows[(rows["model"] != "bsanet") | (rows["seed"] != 1)])
    with pytest.raises(BenchError, match="unet, seed 0: dice is missing or not a number for 1 of 3"):
        make_blocks(rows.drop(index=0))
    with pytest.raises(BenchError, match="scored an image twice"):
        make_blocks(pd.concat([rows, rows.iloc[:1]]))
    with pytest.raises(BenchError, match="did you mean 'unet'"):
        paired_comparisons(make_blocks(rows), reference="unett")
