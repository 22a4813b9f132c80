"""Statistics against scipy and statsmodels, error rates on simulated data with known truth, and what is declined."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats as sps

from benchmark.errors import BenchError
from benchmark.report.records.blocks import Block, make_blocks
from benchmark.report.statistics.comparisons import holm, mean_intervals, paired_comparisons, wilcoxon
from benchmark.report.statistics.fit import fit_block, fit_scores
from benchmark.report.statistics.groups import robust_df, robust_variance, sum_by_group
from benchmark.report.statistics.limits import not_estimable
from benchmark.report.statistics.model import differences, means
from benchmark.report.statistics.power import detectable, with_seeds
from benchmark.report.statistics.ranks import average_ranks
from benchmark.report.statistics.seeds import spread_test
from benchmark.report.statistics.variance import variance_split

sys.path.insert(0, str(Path(__file__).parents[2] / "perf"))
import simulate_statistics as simulation


def _block(scores: np.ndarray, groups: np.ndarray | None = None, dataset: str = "kvasir") -> Block:
    num_models, num_seeds, n = scores.shape
    codes = np.arange(n) if groups is None else groups
    names = ("unet", "pranet", "sanet", "ldnet", "mynet", "bsanet")[:num_models]
    return Block(dataset, names, tuple(range(num_seeds)), scores, codes, tuple(map(str, range(n))))


def _simulated(num_models: int, num_seeds: int, n: int, *, seed_sd: float = 0.1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(1, 1, n)) + 0.3 * rng.normal(size=(num_models, 1, n))
    return (
        images
        + seed_sd * rng.normal(size=(num_models, num_seeds, 1))
        + 0.2 * rng.normal(size=(num_models, num_seeds, n))
    )


CELLS = dict(simulation.cells())
FAST = ("3 seeds, 200 images, equal", "3 seeds, 20 groups of 10, equal", "3 seeds, 20 groups of 10, unequal")
FAST += ("3 seeds, 5 unequal groups, equal", "5 seeds, 20 groups of 10, unequal", "5 seeds, 5 unequal groups, equal")


def _faults(found: simulation.Found, slack: float = 0.0) -> list[str]:
    """Which of the promised bounds an answer breaks."""
    bounds = {
        "type1_05": (0.035 - 5 * slack, 0.065 + 5 * slack),
        "type1_001": (0, 0.003),
        "family": (0, 0.07 + 10 * slack),
        "means": (0.93 - 5 * slack, 0.97 + 5 * slack),
        "differences": (0.93 - 5 * slack, 0.97 + 5 * slack),
    }
    return [name for name, (low, high) in bounds.items() if not low <= getattr(found, name) <= high]


@pytest.mark.parametrize("name", FAST)
def test_error_rates_and_coverage_are_those_promised(name: str) -> None:
    found = simulation.measure(CELLS[name], trials=800 if "200 images" in name else 1500)
    assert not _faults(found, slack=0.001), found


def test_what_stood_here_before_would_have_failed() -> None:
    design = CELLS["3 seeds, 200 images, equal"]
    found = simulation.measure(design, simulation.before, trials=800)
    assert {"type1_001", "family"} <= set(_faults(found, slack=0.001)), found


def test_ignoring_groups_or_seeds_would_fail() -> None:
    design = replace(CELLS["3 seeds, 20 groups of 10, equal"], group=0.1)
    rng = np.random.default_rng(0)
    sums = simulation.draw(rng, design, 300) / 10
    apart = sums[..., None] + rng.normal(0, 0.05, (*sums.shape, 10))
    single = apart.reshape(*sums.shape[:3], -1)
    for groups, least, most in ((np.repeat(np.arange(20), 10), 0.93, 0.97), (np.arange(200), 0, 0.8)):
        found = means(fit_scores(single, groups))
        assert least <= np.mean((found.low <= 0) & (found.high >= 0)) <= most


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [name for name in CELLS if not name.startswith("2 seeds")])
def test_error_rates_over_more_trials(name: str) -> None:
    found = simulation.measure(CELLS[name], trials=4000)
    assert not _faults(found), found


def test_two_seeds_that_agree_by_chance_prove_nothing() -> None:
    """Two models whose seeds lie closer than those of the others: their own variance alone would look certain."""
    rng = np.random.default_rng(0)
    images = rng.normal(0, 0.2, (1, 1, 200)) + rng.normal(0, 0.02, (6, 1, 200))
    offsets = np.array([[0.0, 0.0005], [0.03, 0.0305], [-0.04, 0.04], [-0.03, 0.03], [-0.02, 0.02], [0.05, -0.01]])
    scores = 0.5 + images + offsets[:, :, None] + rng.normal(0, 0.002, (6, 2, 200))
    fit = fit_block(_block(scores))
    p = differences(fit, 0).p[1]
    assert simulation.before(fit_scores(scores[None], np.arange(200)), 0).p[0, 1] < 1e-6 < 0.05 < p
    table = paired_comparisons([_block(scores)], reference="unet")
    assert table["p"].isna().all() and table["p_holm"].isna().all() and table["low"].notna().all()


def test_unequal_spreads_are_noticed() -> None:
    rng = np.random.default_rng(0)
    equal = rng.normal(size=(2000, 6, 3))
    p = spread_test(equal, paired=False)
    assert (p < 0.1).mean() == pytest.approx(0.1, abs=0.03)
    assert (spread_test(equal + 5 * rng.normal(size=(2000, 1, 3)), paired=True) < 0.1).mean() == pytest.approx(
        0.1, abs=0.03
    )
    wide = equal * np.array([10, 1, 1, 1, 1, 1])[:, None]
    assert (spread_test(wide, paired=False) < 0.1).mean() > 0.7
    assert spread_test(np.zeros((6, 3)), paired=False) == 1 == spread_test(equal[0, :2], paired=True)
    assert np.array_equal(spread_test(equal[..., :1], paired=False), np.ones(2000)), "one seed: nothing to test"


def test_one_seed_without_groups_is_students_paired_test() -> None:
    scores = np.random.default_rng(0).beta(5, 1, size=(3, 1, 40))
    found = differences(fit_block(_block(scores)), 2)
    for m in (0, 1):
        expected = sps.ttest_rel(scores[m, 0], scores[2, 0])
        interval = expected.confidence_interval(0.95)
        assert found.p[m] == pytest.approx(expected.pvalue)
        assert (found.low[m], found.high[m]) == (pytest.approx(interval.low), pytest.approx(interval.high))
        assert found.df[m] == pytest.approx(39)


def test_groups_of_equal_size_give_the_cluster_robust_test_of_statsmodels() -> None:
    sm = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(15), 4)
    scores = rng.beta(5, 1, size=(2, 1, 60)) + 0.1 * rng.normal(size=15)[groups]
    fit = sm.OLS(scores[0, 0] - scores[1, 0], np.ones(60)).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False, "df_correction": True}, use_t=True
    )
    found = differences(fit_block(_block(scores, groups)), 1)
    assert found.error[0] == pytest.approx(fit.bse[0] * np.sqrt(15 / 14))  # statsmodels' correction counts images too
    assert found.df[0] == pytest.approx(14)


def test_groups_of_unequal_size_by_the_definition_of_cr2() -> None:
    """Bell and McCaffrey's formulas with all their matrices."""
    rng = np.random.default_rng(2)
    sizes = np.array([1, 2, 3, 5, 9])
    groups = np.repeat(np.arange(5), sizes)
    n = len(groups)
    y = rng.normal(size=n)
    hat = np.full((n, n), 1 / n)
    residual = (np.eye(n) - hat) @ y
    columns = []
    variance = 0.0
    for g in range(5):
        mine = groups == g
        values, vectors = np.linalg.eigh(np.eye(mine.sum()) - hat[np.ix_(mine, mine)])
        adjust = vectors @ np.diag(values**-0.5) @ vectors.T
        weights = adjust @ np.ones(mine.sum()) / n
        variance += float(weights @ residual[mine]) ** 2
        columns.append((np.eye(n) - hat)[:, mine] @ weights)
    lever = np.stack(columns, axis=1)
    dfs = []
    for cov in (np.eye(n), (groups[:, None] == groups).astype(float)):
        values = np.linalg.eigvalsh(lever.T @ cov @ lever)
        dfs.append(values.sum() ** 2 / (values**2).sum())
    deviations = sum_by_group(y - y.mean(), groups)
    assert robust_variance(deviations, sizes.astype(float)) == pytest.approx(variance)
    assert robust_df(sizes.astype(float)) == pytest.approx(min(dfs))
    assert robust_df(np.full(8, 3.0)) == pytest.approx(7)
    assert np.isnan(robust_df(np.array([4.0])))


def test_a_pair_of_models_agrees_with_a_mixed_model_of_statsmodels() -> None:
    """Balanced data with every component above zero: REML and the method of moments are one."""
    formula = pytest.importorskip("statsmodels.formula.api")
    scores = _simulated(2, 4, 25, seed_sd=0.3, seed=3)
    apart = scores[1] - scores[0]
    seed, image = np.meshgrid(range(4), range(25), indexing="ij")
    rows = pd.DataFrame({"y": apart.ravel(), "seed": seed.ravel(), "image": image.ravel(), "all": 1})
    parts = {"image": "0 + C(image)", "seed": "0 + C(seed)"}
    fitted = formula.mixedlm("y ~ 1", rows, groups="all", vc_formula=parts, re_formula="0").fit(reml=True)
    ours = differences(fit_block(replace(_block(scores), paired=True)), 0)
    assert ours.value[1] == pytest.approx(fitted.fe_params["Intercept"], abs=1e-6)
    assert ours.error[1] == pytest.approx(fitted.bse_fe["Intercept"], rel=0.01)


def test_the_pooled_seed_variance_agrees_with_a_mixed_model_of_statsmodels() -> None:
    """Score = model + image + model x image + model x seed + rest, as README states it."""
    formula = pytest.importorskip("statsmodels.formula.api")
    scores = _simulated(3, 5, 12, seed_sd=0.4, seed=5)
    model, seed, image = np.meshgrid(range(3), range(5), range(12), indexing="ij")
    rows = pd.DataFrame({"y": scores.ravel(), "model": model.ravel(), "all": 1})
    rows["run"] = model.ravel() * 10 + seed.ravel()
    rows["image"], rows["view"] = image.ravel(), model.ravel() * 100 + image.ravel()
    parts = {"image": "0 + C(image)", "view": "0 + C(view)", "run": "0 + C(run)"}
    fitted = formula.mixedlm("y ~ C(model)", rows, groups="all", vc_formula=parts, re_formula="0").fit(reml=True)
    components = dict(zip(sorted(parts), fitted.vcomp, strict=True))
    found = differences(fit_block(_block(scores)), 0)
    fit = fit_block(_block(scores))
    ours = fit.by_seed.var(axis=-1, ddof=1).mean() - fitted.scale / 12
    assert ours == pytest.approx(components["run"], rel=0.02)
    assert found.value[1] == pytest.approx(fitted.fe_params["C(model)[T.1]"], abs=1e-6)
    theirs = np.sqrt(2 * (components["view"] / 12 + components["run"] / 5 + fitted.scale / 60))
    assert fitted.bse_fe["C(model)[T.1]"] == pytest.approx(theirs, rel=0.01)
    pairs = np.array([differences(fit, r).error[m] ** 2 for r in range(3) for m in range(3) if m != r])
    assert np.sqrt(pairs.mean()) == pytest.approx(theirs, rel=0.01)  # moderated pairs average to the pooled one


def test_seeds_are_paired_where_runs_share_initial_values() -> None:
    """An ablation whose seeds move full model and variant alike: the difference is known far better."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.03, (1, 3, 1))
    scores = 0.5 + rng.normal(0, 0.1, (1, 1, 80)) + shared + rng.normal(0, 0.002, (4, 3, 1))
    scores = scores + rng.normal(0, 0.01, (4, 3, 80))
    scores[1] += 0.01
    free = differences(fit_block(_block(scores)), 0)
    paired = differences(fit_block(replace(_block(scores), paired=True)), 0)
    assert paired.error[1] < free.error[1] / 3
    assert paired.p[1] < 0.01 < free.p[1]
    np.testing.assert_array_equal(paired.value, free.value)


def test_fixed_maps_have_no_seeds() -> None:
    """Maps by others stand once for all seeds: only our seeds count, and others' rows do not dilute the pool."""
    scores = _simulated(3, 3, 60, seed_sd=0.2)
    scores[2] = scores[2].mean(axis=0)
    block = replace(_block(scores), trained=(True, True, False))
    fit = fit_block(block)
    found = differences(fit, 2)
    assert found.seed_var[0] > 0 and means(fit).seed_var[2] == 0
    alone = fit_block(replace(_block(scores[:2]), trained=(True, True)))
    np.testing.assert_allclose(means(fit).error[:2], means(alone).error)
    two = paired_comparisons([replace(_block(scores[:, :2]), trained=(False, False, False))], reference="unet")
    assert two["p"].notna().all(), "two sets of fixed maps differ over images alone, and that is tested"


@pytest.fixture
def little_garbage() -> Iterator[None]:
    """statsmodels' multipletests collects garbage each time; what the session holds need not be looked through."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("little_garbage")
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).uniform(0, 0.2, 20)
    np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1])
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])


def test_holm_runs_over_all_sets_and_models() -> None:
    rng = np.random.default_rng(0)
    blocks = [_block(rng.beta(5, 1, size=(4, 3, 50)), dataset=name) for name in ("kvasir", "etis")]
    table = paired_comparisons(blocks, reference="unet")
    assert len(table) == 6
    assert table["p_holm"].min() == pytest.approx(min(1.0, 6 * table["p"].min()))


def test_power_is_that_of_statsmodels() -> None:
    solve = pytest.importorskip("statsmodels.stats.power").TTestPower().solve_power
    for df, alpha in ((10, 0.05), (30, 0.05 / 15), (199, 0.01)):
        effect = solve(effect_size=None, nobs=df + 1, alpha=alpha, power=0.8)
        assert detectable(1.0, df, alpha=alpha) == pytest.approx(effect * np.sqrt(df + 1), rel=2e-3)
    assert np.isnan(detectable(float("nan"), 3, alpha=0.05)) and 10 < detectable(1, 1.7, alpha=0.01) < 50


def test_a_difference_of_the_detectable_size_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(0)
    error = 0.08 * np.sqrt(2 / 50)
    shift = detectable(error, 49, alpha=0.05)
    a = rng.normal(0, 0.08, (2000, 2, 1, 50))
    a[:, 1] += shift
    p = differences(fit_scores(a, np.arange(50)), 0).p[:, 1]
    assert (p < 0.05).mean() == pytest.approx(0.8, abs=0.03)


SCENES = np.repeat(range(7), (30, 8, 6, 5, 4, 4, 3))


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("groups", [np.arange(60), SCENES], ids=["single", "scenes"])
def test_power_with_the_seeds_there_are_is_that_of_the_tests_and_more_seeds_add_to_it(
    groups: np.ndarray, paired: bool
) -> None:
    for trial in range(12):
        scores = _simulated(4, 3, 60, seed_sd=0.02 * (trial % 4), seed=trial)
        fit = fit_scores(scores, groups, paired=paired)
        found = differences(fit, 0)
        for row in (1, 2, 3):
            error, df = with_seeds(found, fit, row, 0, 3)
            assert (error, df) == pytest.approx((found.error[row], found.df[row]), rel=1e-12)
            at = [with_seeds(found, fit, row, 0, seeds) for seeds in (2, 3, 4, 5, 10, 30)]
            assert all(more[0] < fewer[0] for fewer, more in pairwise(at))
            if groups is not SCENES:  # where one scene holds half, degrees of freedom fall with the seeds' variance
                shifts = [detectable(*one, alpha=0.01) for one in at]
                assert all(more < fewer for fewer, more in pairwise(shifts)), (trial, row, shifts)


@pytest.mark.parametrize("groups", [np.arange(60), SCENES], ids=["single", "scenes"])
@pytest.mark.parametrize("seed_sd", [0.0, 0.1])
def test_power_with_ten_seeds_is_foretold_by_three(seed_sd: float, groups: np.ndarray) -> None:
    foretold, true = [], []
    for trial in range(200):
        few = fit_scores(_simulated(4, 3, 60, seed_sd=seed_sd, seed=trial), groups)
        many = fit_scores(_simulated(4, 10, 60, seed_sd=seed_sd, seed=1000 + trial), groups)
        foretold.append(with_seeds(differences(few, 0), few, 1, 0, 10))
        found = differences(many, 0)
        true.append((found.error[1], found.df[1]))
    errors, dfs = np.array(foretold).T
    assert (errors**2).mean() == pytest.approx((np.array(true)[:, 0] ** 2).mean(), rel=0.12)
    assert np.median(dfs) == pytest.approx(np.median(np.array(true)[:, 1]), rel=0.25)


def test_wilcoxon_takes_one_difference_per_group() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 3)
    apart = rng.normal(0.1, 0.2, 36)
    expected = sps.wilcoxon([apart[groups == g].mean() for g in range(12)]).pvalue
    assert wilcoxon(apart, groups) == pytest.approx(expected)
    assert wilcoxon(np.zeros(36), groups) == 1


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


def test_two_seeds_are_enough_for_a_split() -> None:
    scores = np.array([[0.1, 0.5, 0.6], [0.2, 0.8, 0.5]])
    halves = (scores[0] - scores[1]) / 2
    ours = variance_split([_block(scores[None])]).iloc[0]
    assert ours["var_residual"] == pytest.approx(2 * ((halves - halves.mean()) ** 2).sum() / 2)


def test_of_two_images_the_variance_of_the_mean_is_half_of_theirs() -> None:
    y = np.array([0.2, 0.6])
    assert robust_variance(y - y.mean(), np.ones(2)) == pytest.approx(y.var(ddof=1) / 2)
    assert np.isnan(robust_variance(np.zeros(1), np.ones(1)))


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


def test_no_other_set_disturbs_a_set_and_nothing_is_drawn() -> None:
    scores = _simulated(4, 3, 60)
    blocks = [_block(scores, dataset=name) for name in ("kvasir", "etis")]
    first = mean_intervals(blocks)
    pd.testing.assert_frame_equal(first, mean_intervals(blocks))
    alone = mean_intervals([_block(scores, dataset="etis")])
    pd.testing.assert_frame_equal(alone, first[first["dataset"] == "etis"].reset_index(drop=True))


def test_no_interval_holds_a_mean_that_no_scores_could_have() -> None:
    groups = np.repeat(np.arange(6), 10)
    scores = np.clip(np.random.default_rng(0).normal(0, 0.9, (2, 3, 6)), 0, 1)[:, :, groups]
    ends = mean_intervals([_block(scores, groups)])
    assert (ends["low"] >= 0).all() and (ends["high"] <= 1).all() and (ends["low"] == 0).any()
    apart = np.stack([scores[0], 1 - scores[0]])
    widest = paired_comparisons([_block(apart, groups)], reference="unet").iloc[0]
    assert -1 <= widest["low"] <= widest["difference"] <= widest["high"] <= 1
    wider = mean_intervals([_block(10 * scores, groups)])
    assert (wider["low"] < 0).any(), "no shares: nothing is cut"


@pytest.mark.parametrize(
    ("sizes", "word", "said"),
    [
        ([24, 24], "sequences", "2 sequences"),
        ([9], "sequences", "1 sequence"),
        ([9], "groups of images", "1 group of images"),
        ([1, 1, 1, 1], "sequences", "4 images"),
        ([90, 1, 1, 1, 1, 1], "scenes", "90 of 95 images in one of 6 scenes"),
        ([20, 30, 40, 50, 60], "scenes", ""),
        ([1] * 5, "scenes", ""),
    ],
)
def test_few_groups_are_not_estimable(sizes: list[int], word: str, said: str) -> None:
    assert not_estimable(np.array(sizes, float), word) == said
    groups = np.repeat(np.arange(len(sizes)), sizes)
    scores = np.random.default_rng(0).uniform(0.2, 0.6, (3, 3, len(groups)))
    block = replace(_block(scores, groups), word=word)
    for table in (mean_intervals([block]), paired_comparisons([block], reference="unet")):
        assert (table["reason"] == said).all()
        assert table["low"].isna().all() == table["high"].isna().all() == bool(said)
    assert paired_comparisons([block], reference="unet")["p"].isna().all() == bool(said)


def test_degenerate_data_give_no_false_precision() -> None:
    constant = paired_comparisons([_block(np.full((2, 3, 6), 0.5))], reference="unet").iloc[0]
    assert (constant["difference"], constant["p"], constant["low"]) == (0, 1, 0)
    assert "one seed" in mean_intervals([_block(np.full((1, 1, 6), 0.5))]).iloc[0]["note"]
    assert "two seeds" in mean_intervals([_block(np.full((1, 2, 6), 0.5))]).iloc[0]["note"]
    assert paired_comparisons([_block(np.ones((1, 1, 5)))], reference="unet").empty
    single = mean_intervals([_block(np.array([[[0.4]]]))]).iloc[0]
    assert np.isnan(single["high"]) and single["reason"] == "1 image"


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
