"""Each formula against an independent reference, and the methods on simulated data."""

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, stats

from mmseg_ftu.study.statistics import (
    Interval,
    Paired,
    bootstrap_means,
    holm,
    mean_difference,
    minimum_detectable,
    permutation_p,
    probability_of_false_claim,
    sign_flip_p,
)

# Images of each patient, as unequal as those of GlaS, and the patients' folds.
UNEQUAL = [16, 23, 16, 1, 3, 2, 20, 8, 20, 1, 16]
FOLDS = [3, 0, 4, 1, 0, 2, 1, 0, 2, 3, 0]
EVEN = [8] * 11
# Standard deviation of differences by patient, image, run, and image in run.
CHANCE = {
    'all alike': (0.02, 0.05, 0.015, 0.08),
    'runs only': (0.0, 0.0, 0.03, 0.05),
    'patients only': (0.05, 0.02, 0.0, 0.02),
}


def rng(seed=0):
    return np.random.default_rng(seed)


def simulate(
    generator, counts=UNEQUAL, chance=(0.02, 0.05, 0.015, 0.08), mean=0.0, s=3
):
    """Draw differences of a study with five folds and ``s`` seeds."""
    of_patient, of_image, of_run, rest = chance
    patient = np.repeat(np.arange(len(counts)), counts)
    fold = np.array(FOLDS)[patient]
    n = len(patient)
    values = (
        mean
        + generator.normal(0, of_patient, len(counts))[patient, None]
        + generator.normal(0, of_image, (n, 1))
        + generator.normal(0, of_run, (5, s))[fold]
        + generator.normal(0, rest, (n, s))
    )
    return Paired(values, patient, fold)


def test_interval_of_one_seed_is_that_of_full_matrices():
    """Bell and McCaffrey by the book: matrices of all images, none of it shortened.

    With one seed the clusters are the folds; with one fold, too, they are the patients.
    """
    paired = simulate(rng(), s=1)
    check_interval(paired, paired.fold)
    paired = Paired(paired.values, paired.patient, np.zeros(len(paired.fold)))
    check_interval(paired, paired.patient)


def check_interval(paired, cluster):
    n = len(paired.patient)
    ones, hat = np.ones((n, 1)), np.full((n, n), 1 / n)
    residual = (np.eye(n) - hat) @ paired.values
    variance, rows = 0.0, []
    for number in np.unique(cluster):
        mine = cluster == number
        block = np.eye(mine.sum()) - hat[np.ix_(mine, mine)]
        root = linalg.fractional_matrix_power(block, -0.5).real
        vector = root @ ones[mine] / n
        variance += (residual[mine].T @ vector).item() ** 2
        rows.append((np.eye(n) - hat)[:, mine] @ vector)
    spread = np.hstack(rows).T @ np.hstack(rows)
    values = linalg.eigvalsh(spread)
    interval = mean_difference(paired)
    assert interval.error**2 == pytest.approx(variance, rel=1e-9)
    freedom = values.sum() ** 2 / (values**2).sum()
    assert interval.freedom == pytest.approx(freedom, rel=1e-9)
    expected = stats.t.interval(0.95, freedom, paired.values.mean(), variance**0.5)
    assert (interval.low, interval.high) == pytest.approx(expected)


def test_the_part_of_runs_is_that_of_the_analysis_of_variance():
    """In each fold: mean square of seeds less that of patients x seeds."""
    paired = simulate(rng(12), EVEN, (0.01, 0.02, 0.05, 0.05))
    means = pd.DataFrame(paired.values).groupby(paired.patient).mean().to_numpy()
    total = 0.0
    for fold in range(5):
        y = means[np.array(FOLDS) == fold]
        patients, seeds = y.shape
        of_seed, rest = y.mean(0).var(ddof=1) * patients, 0.0
        if patients > 1:
            mixed = y - y.mean(0) - y.mean(1)[:, None] + y.mean()
            rest = (mixed**2).sum() / ((patients - 1) * (seeds - 1))
        total += (patients / 11) ** 2 * (of_seed - rest) / (patients * seeds)
    one = Paired(paired.by_image[:, None], paired.patient, 0 * paired.fold)
    found = mean_difference(paired).error ** 2 - mean_difference(one).error ** 2
    assert total > 0
    assert found == pytest.approx(total, rel=1e-9)


def test_even_patients_of_one_image_give_the_t_interval():
    values = rng().normal(0.02, 0.1, (11, 1))
    interval = mean_difference(Paired(values, np.arange(11), np.zeros(11)))
    expected = stats.ttest_1samp(values[:, 0], 0).confidence_interval()
    assert (interval.low, interval.high) == pytest.approx(tuple(expected))
    assert interval.freedom == pytest.approx(10)
    p = stats.ttest_1samp(values[:, 0], 0.01, alternative='greater').pvalue
    assert interval.above(0.01) == pytest.approx(1 - p)
    assert interval.within(0.01) == pytest.approx(
        interval.above(-0.01) - interval.above(0.01)
    )


@pytest.mark.parametrize('counts', [UNEQUAL, EVEN])
@pytest.mark.parametrize('chance', CHANCE)
def test_intervals_and_tests_keep_their_word(counts, chance):
    """Coverage of 95 % intervals is at least nominal, type-I error of p is nominal."""
    generator, studies = rng(1), 400
    true, within, found = 0.01, 0, 0
    for _ in range(studies):
        paired = simulate(generator, counts, CHANCE[chance], true)
        interval = mean_difference(paired)
        within += interval.low <= true <= interval.high
        null = Paired(paired.values - true, paired.patient, paired.fold)
        found += max(permutation_p(null, generator)) <= 0.05
    assert within / studies >= 0.925  # nominal less two standard errors
    assert 0.015 <= found / studies <= 0.075


@pytest.mark.parametrize('chance', CHANCE)
@pytest.mark.parametrize('seeds', [[1] * 5, [3, 1, 1, 1, 1], [2, 2, 2, 1, 1]])
def test_intervals_of_unfinished_studies_keep_their_word(seeds, chance):
    """One seed, a second one of the first fold, three folds: coverage is nominal."""
    generator, studies, within = rng(1), 400, 0
    for _ in range(studies):
        paired = simulate(generator, UNEQUAL, CHANCE[chance], 0.01)
        for fold, number in enumerate(seeds):
            paired.values[paired.fold == fold, number:] = np.nan
        interval = mean_difference(paired)
        within += interval.low <= 0.01 <= interval.high
    assert within / studies >= 0.925


def test_a_fold_with_one_run_has_the_chance_of_the_others():
    """Five folds of one image: the variance of a run is .02, and of 1/5 of two .01."""
    values = np.tile([0.1, 0.3], (5, 1))
    values[4, 1] = np.nan
    values[4, 0] = 0.2
    paired = Paired(values, np.arange(5), np.arange(5))
    assert mean_difference(paired).error ** 2 == pytest.approx(
        (4 * 0.02 / 2 + 0.02) / 25
    )


def test_a_test_over_patients_alone_takes_the_luck_of_runs_for_an_effect():
    generator = rng(2)
    draws = [simulate(generator, EVEN, CHANCE['runs only']) for _ in range(300)]
    alone, both = np.array([permutation_p(d, generator) for d in draws]).T
    assert (alone <= 0.05).mean() > 0.1
    assert (np.maximum(alone, both) <= 0.05).mean() < 0.08


def test_a_missing_run_is_left_out():
    paired = simulate(rng())
    paired.values[paired.fold == 2, 1] = np.nan
    assert paired.estimate == pytest.approx(np.nanmean(paired.values, axis=1).mean())
    assert 0 < mean_difference(paired).error < 0.05


def test_one_patient_has_no_interval():
    with pytest.raises(ValueError, match='at least two patients'):
        mean_difference(Paired(np.zeros((3, 2)), np.zeros(3), np.zeros(3)))


def test_bootstrap_is_that_of_a_plain_loop():
    paired, generator = simulate(rng()), rng(3)
    sums, counts, fold = paired.sums()
    means = []
    for _ in range(4000):
        total = images = 0
        drawn = {f: generator.integers(0, 3, 3) for f in range(5)}
        for p in generator.integers(0, len(counts), len(counts)):
            total += sums[p, drawn[fold[p]]].mean()
            images += counts[p]
        means.append(total / images)
    found = bootstrap_means(paired, 20000, rng(4))
    assert found.mean() == pytest.approx(np.mean(means), abs=0.0005)
    assert found.std() == pytest.approx(np.std(means), rel=0.05)


def test_bootstrap_draws_no_run_that_is_missing():
    values = np.array([[0, 1, np.nan], [0, 1, np.nan]])  # two runs: means 0, .5, 1
    found = bootstrap_means(Paired(values, np.arange(2), np.zeros(2)), 4000, rng())
    means, times = np.unique(found, return_counts=True)
    assert means.tolist() == [0, 0.5, 1]
    assert times / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_sums_of_patients():
    paired = Paired(
        np.array([[1.0, 2], [3, np.nan], [5, 7]]),
        np.array(['b', 'a', 'b']),
        np.array([4, 1, 4]),
    )
    sums, counts, fold = paired.sums()
    assert sums.tolist() == [[3, 3], [6, 9]]
    assert counts.tolist() == [1, 2]
    assert fold.tolist() == [0, 1]


@pytest.mark.parametrize('terms', [2, 7, 11])
def test_exact_sign_flips_are_those_of_scipy(terms):
    values = rng(terms).normal(0.4, 1, terms)
    expected = stats.permutation_test(
        (values,),
        lambda x, axis: abs(x.sum(axis=axis)),
        permutation_type='samples',
        vectorized=True,
        alternative='greater',
        n_resamples=np.inf,
    ).pvalue
    assert sign_flip_p(values, rng()) == pytest.approx(expected)


def test_random_sign_flips_come_near_the_exact_ones():
    values = rng(5).normal(0.3, 1, 20)
    signs = 1 - 2 * (np.arange(2**20)[:, None] >> np.arange(20) & 1).astype(np.int8)
    exact = (abs(signs @ values) >= abs(values.sum()) - 1e-12).mean()
    assert sign_flip_p(values, rng()) == pytest.approx(exact, abs=0.01)


def test_no_difference_is_no_effect():
    paired = Paired(np.zeros((6, 2)), np.arange(6), np.arange(6) % 2)
    assert permutation_p(paired, rng()) == (1.0, 1.0)
    interval = mean_difference(paired)
    assert (interval.low, interval.high, minimum_detectable(interval)) == (0, 0, 0)
    assert interval.within(0.01) == 1


@pytest.mark.parametrize(
    'p_values', [[0.01, 0.04, 0.03, 0.005], [0.5], [0.2, 0.2, 0.9], [1e-6, 1, 0.02]]
)
def test_holm_is_that_of_statsmodels(p_values):
    multitest = pytest.importorskip('statsmodels.stats.multitest')
    expected = multitest.multipletests(p_values, method='holm')[1]
    assert holm(p_values) == pytest.approx(expected.tolist())


def test_probability_of_false_claim_is_the_formula_and_the_paired_test():
    generator = rng(6)
    b = generator.uniform(0.5, 1, 60)
    a = b + generator.normal(0.01, 0.05, 60)
    r = np.corrcoef(a, b)[0, 1]
    sd_a, sd_b = np.std(a, ddof=1), np.std(b, ddof=1)
    spread = (sd_a**2 + sd_b**2 - 2 * sd_a * sd_b * r) ** 0.5
    expected = stats.t.cdf(-(60**0.5) * abs(a.mean() - b.mean()) / spread, 59)
    assert probability_of_false_claim(a, b) == pytest.approx(expected)
    assert expected == pytest.approx(
        stats.ttest_rel(
            a, b, alternative='greater' if a.mean() > b.mean() else 'less'
        ).pvalue
    )
    assert probability_of_false_claim(b, b) == 0.5
    assert probability_of_false_claim(b + 0.1, b) == 0


@pytest.mark.parametrize(('n', 'power'), [(8, 0.8), (11, 0.8), (30, 0.9)])
def test_minimum_detectable_is_that_of_statsmodels(n, power):
    module = pytest.importorskip('statsmodels.stats.power')
    effect = module.TTestPower().solve_power(nobs=n, alpha=0.05, power=power)
    interval = Interval(0.0, 0.02 / n**0.5, n - 1)
    assert minimum_detectable(interval, power) == pytest.approx(0.02 * effect, rel=1e-4)


def test_a_missing_run_is_no_evidence():
    """Six runs, all of one sign: two of 2**6 flips are as far, whatever is missing."""
    values = np.full((10, 3), np.nan)
    values[:, 0] = 0.1
    values[:2, 1] = 0.12
    groups = np.repeat(np.arange(5), 2)
    paired = Paired(values, np.arange(10), groups)
    assert permutation_p(paired, np.random.default_rng(0))[1] == 2 / 2**6
    alone = Paired(values[:, :1], np.arange(10), groups)
    assert mean_difference(paired).error > mean_difference(alone).error
