"""Do the intervals and tests of a study keep their word? Simulated studies.

    python benchmarks/study_simulation.py --studies 2000

Differences between two arms are drawn with a known mean: chance of patients, of images,
of runs (fold and seed), and of an image in a run. There are five folds, three seeds and
eleven patients, with as many images each as in GlaS or with eleven each. For each way
of making an interval the table says how often it covers the truth (nominal: 95 %) and
how wide it is; for each test, how often p is at most .05 without an effect (nominal:
5 %) and with one of .03.

A second table is of studies that are not finished, in which folds have fewer seeds.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from scipy import stats

from mmseg_ftu.study.statistics import (
    Paired,
    bootstrap_means,
    mean_difference,
    permutation_p,
)

PATIENTS = {
    'as GlaS': [16, 23, 16, 1, 3, 2, 20, 8, 20, 1, 16],
    'equal': [11] * 11,
}
FOLD = np.array([3, 0, 4, 1, 0, 2, 1, 0, 2, 3, 0])  # of each patient
SEEDS, EFFECT, RESAMPLES = 3, 0.03, 600
CHANCE = [  # standard deviation by patient, image, run, image in run
    (0.02, 0.05, 0.015, 0.08),
    (0.0, 0.05, 0.03, 0.08),
    (0.03, 0.05, 0.0, 0.08),
    (0.04, 0.04, 0.01, 0.02),
    (0.05, 0.02, 0.0, 0.02),
    (0.0, 0.0, 0.04, 0.02),
]
UNFINISHED = [  # seeds of each fold
    [1, 1, 1, 1, 1],
    [2, 1, 1, 1, 1],
    [3, 1, 1, 1, 1],
    [2, 2, 2, 1, 1],
    [3, 3, 2, 2, 2],
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--studies', type=int, default=2000)
    studies = parser.parse_args().studies
    columns = ['patients', 'sd: patient, image, run, rest', *INTERVALS, *TESTS]
    print('| ' + ' | '.join(columns) + ' |')
    print('|---' * len(columns) + '|')
    for name, counts in PATIENTS.items():
        for chance in CHANCE:
            cells = [name, ', '.join(f'{sd:g}' for sd in chance)]
            print('| ' + ' | '.join([*cells, *judge(counts, chance, studies)]) + ' |')

    print()
    columns = ['seeds of the folds', *(', '.join(f'{x:g}' for x in c) for c in CHANCE)]
    print('| ' + ' | '.join(columns) + ' |')
    print('|---' * len(columns) + '|')
    for seeds in UNFINISHED:
        cells = [coverage(seeds, chance, studies) for chance in CHANCE]
        print('| ' + ' | '.join([', '.join(map(str, seeds)), *cells]) + ' |')


def coverage(seeds: list[int], chance: tuple, studies: int) -> str:
    """Return how often our interval covers the truth, patients as in GlaS."""
    rng, within = np.random.default_rng(0), 0
    for _ in range(studies):
        paired = simulate(PATIENTS['as GlaS'], chance, rng)
        for fold, number in enumerate(seeds):
            paired.values[paired.fold == fold, number:] = np.nan
        interval = mean_difference(paired)
        within += interval.low <= 0 <= interval.high
    return f'{100 * within / studies:.1f} %'


def judge(counts: list[int], chance: tuple, studies: int) -> Iterator[str]:
    """Yield coverage and width of each interval, then errors and power of each test."""
    rng = np.random.default_rng(0)
    half, p_null, p_effect = [], [], []
    means = []
    for _ in range(studies):
        paired = simulate(counts, chance, rng)
        means.append(paired.estimate)
        half.append([make(paired, rng) for make in INTERVALS.values()])
        p_null.append(p_values(paired, rng))
        shifted = Paired(paired.values + EFFECT, paired.patient, paired.fold)
        p_effect.append(p_values(shifted, rng))
    ends = np.array(half)  # (studies, methods, low and high, relative to the mean)
    error = -np.array(means)[:, None]  # from the mean to the truth, 0
    covers = (ends[..., 0] <= error) & (error <= ends[..., 1])
    widths = (ends[..., 1] - ends[..., 0]).mean(axis=0)
    for share, width in zip(covers.mean(axis=0), widths, strict=True):
        yield f'{100 * share:.1f} % ({width:.3f})'
    for null, effect in zip(np.transpose(p_null), np.transpose(p_effect), strict=True):
        error, power = (null <= 0.05).mean(), (effect <= 0.05).mean()
        yield f'{100 * error:.1f} %, {100 * power:.0f} %'


def simulate(counts: list[int], chance: tuple, rng: np.random.Generator) -> Paired:
    of_patient, of_image, of_run, rest = chance
    patient = np.repeat(np.arange(len(counts)), counts)
    n, fold = len(patient), FOLD[patient]
    values = (
        rng.normal(0, of_patient, len(counts))[patient, None]
        + rng.normal(0, of_image, (n, 1))
        + rng.normal(0, of_run, (5, SEEDS))[fold]
        + rng.normal(0, rest, (n, SEEDS))
    )
    return Paired(values, patient, fold)


def p_values(paired: Paired, rng: np.random.Generator) -> tuple[float, float, float]:
    patients, runs = permutation_p(paired, rng)
    return patients, runs, max(patients, runs)


def robust_error(paired: Paired) -> tuple[float, int]:
    """Return the usual cluster-robust standard error, and the number of patients."""
    sums, counts, _ = paired.sums()
    residual = sums.mean(axis=1) - counts * paired.estimate
    n = len(counts)
    return float((n / (n - 1) * (residual**2).sum()) ** 0.5 / counts.sum()), n


def by_normal(paired: Paired, rng: np.random.Generator) -> tuple[float, float]:
    error, _ = robust_error(paired)
    return -1.96 * error, 1.96 * error


def by_t(paired: Paired, rng: np.random.Generator) -> tuple[float, float]:
    error, n = robust_error(paired)
    bound = stats.t.ppf(0.975, n - 1) * error
    return -bound, bound


def by_bootstrap(paired: Paired, rng: np.random.Generator) -> tuple[float, float]:
    drawn = bootstrap_means(paired, RESAMPLES, rng)
    low, high = np.quantile(drawn, [0.025, 0.975]) - paired.estimate
    return low, high


def by_wider_bootstrap(paired: Paired, rng: np.random.Generator) -> tuple:
    """Widen it for few patients (Hesterberg's expanded percentile interval)."""
    n = len(np.unique(paired.patient))
    factor = (n / (n - 1)) ** 0.5 * stats.t.ppf(0.975, n - 1) / 1.96
    low, high = by_bootstrap(paired, rng)
    return factor * low, factor * high


def by_bootstrap_t(paired: Paired, rng: np.random.Generator) -> tuple[float, float]:
    """Resample patients and runs, and studentise by the robust error of each sample."""
    sums, counts, fold = paired.sums()
    n = len(counts)
    who = rng.integers(0, n, (RESAMPLES, n))
    seeds = rng.integers(0, SEEDS, (RESAMPLES, 5, SEEDS))
    runs = seeds[np.arange(RESAMPLES)[:, None], fold[who]]
    drawn = sums[who[..., None], runs].mean(axis=2)
    size = counts[who]
    means = drawn.sum(1) / size.sum(1)
    residual = drawn - size * means[:, None]
    errors = (n / (n - 1) * (residual**2).sum(1)) ** 0.5 / size.sum(1)
    kept = errors > 1e-9
    t = (means[kept] - paired.estimate) / errors[kept]
    low, high = np.quantile(t, [0.025, 0.975])
    error, _ = robust_error(paired)
    return -high * error, -low * error


def by_ours(paired: Paired, rng: np.random.Generator) -> tuple[float, float]:
    half = mean_difference(paired).half_width
    return -half, half


INTERVALS = {
    'normal, patients alone': by_normal,
    't, patients alone': by_t,
    'two-level bootstrap': by_bootstrap,
    'the same, widened': by_wider_bootstrap,
    'bootstrap-t': by_bootstrap_t,
    'taken: t, patients and runs': by_ours,
}
TESTS = ['flips of patients', 'flips of runs', 'taken: the larger p']

if __name__ == '__main__':
    main()
