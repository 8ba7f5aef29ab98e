"""The statistics of a study: differences between ways of training, and how sure.

The unit is the image, the cluster is the patient, since images of one patient resemble
each other. Each image is scored by the runs that held it out, one a seed. All images of
a fold share the luck of its runs, so runs are a second source of chance beside the
patients. Everything here takes both into account; what ignores the second, such as a
test over patients alone, finds up to 29 % of differences "significant" where there are
none. ``benchmarks/README.md`` has the simulations that chose these methods.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

EXACT = 2**16  # up to so many sign flips all of them are counted
FLIPS = 20000  # else so many are drawn
CHUNK = 2000  # resamples that are computed at once
Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Paired:
    """Differences between two arms, one row an image, one column a seed.

    Attributes:
        values: Differences ``(images, seeds)``; NaN where a run is missing.
        patient: Patient of each image, ``(images,)``.
        fold: Fold of each image, ``(images,)``; a patient lies in one fold.
    """

    values: Array
    patient: Array
    fold: Array

    @property
    def by_image(self) -> Array:
        """Means over the seeds, ``(images,)``."""
        means: Array = np.nanmean(self.values, axis=1)
        return means

    @property
    def estimate(self) -> float:
        """Mean over the images of the means over seeds."""
        return float(self.by_image.mean())

    def sums(self) -> tuple[Array, Array, Array]:
        """Return the differences added up over the images of each patient.

        Returns:
            Sums ``(patients, seeds)``, number of images and fold of each patient, both
            ``(patients,)``. Where an image lacks a run, the mean of its others stands
            in.
        """
        filled = np.where(np.isnan(self.values), self.by_image[:, None], self.values)
        _, first, codes = np.unique(
            self.patient, return_index=True, return_inverse=True
        )
        member = np.eye(len(first))[codes].T  # (patients, images)
        fold = np.unique(self.fold, return_inverse=True)[1]
        return member @ filled, member.sum(axis=1), fold[first]

    def exists(self) -> Array:
        """Return which runs there are, ``(folds, seeds)`` of bool."""
        known = ~np.isnan(self.values)
        found: Array = np.stack(
            [known[self.fold == number].any(axis=0) for number in np.unique(self.fold)]
        )
        return found


@dataclass(frozen=True)
class Interval:
    """A mean, its standard error and its interval.

    Attributes:
        estimate: The mean.
        error: Its standard error.
        freedom: Degrees of freedom of its t distribution.
        level: Level of the interval, 0..1.
    """

    estimate: float
    error: float
    freedom: float
    level: float = 0.95

    @property
    def half_width(self) -> float:
        """Distance of the ends of the interval from the mean."""
        return float(self.error * stats.t.ppf((1 + self.level) / 2, self.freedom))

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.estimate - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.estimate + self.half_width

    def above(self, value: float) -> float:
        """Return the confidence that the mean is above a value, 0..1.

        That is the level of the one-sided interval that begins at the value. It is not
        the probability of a hypothesis: it is one only for those who knew nothing
        before.
        """
        if self.error == 0:
            return float(self.estimate > value)
        return float(stats.t.cdf((self.estimate - value) / self.error, self.freedom))

    def within(self, margin: float) -> float:
        """Return the confidence that the mean is nearer to 0 than a margin, 0..1."""
        return self.above(-margin) - self.above(margin)


def mean_difference(paired: Paired, level: float = 0.95) -> Interval:
    """Return the mean difference with an interval for new patients and new runs.

    The variance has two parts. That of patients is cluster-robust with the correction
    for few and unequal clusters by Bell and McCaffrey (2002, Survey Methodology 28),
    which also gives the degrees of freedom. That of runs comes from the spread of seeds
    within each fold. What both count, the noise of single images in single runs, is
    taken off once. Where no fold has a second seed, the clusters are the folds: what
    differs between them is the luck of a run as well as patients. (With a single fold,
    too, nothing tells of the luck of runs, and it is left out.)

    Args:
        paired: The differences.
        level: Level of the interval, 0..1.

    Raises:
        ValueError: If there are fewer than two patients.
    """
    sums, counts, fold = paired.sums()
    if len(counts) < 2:
        raise ValueError(
            'an interval needs images of at least two patients; the records hold '
            f'{len(counts)}'
        )
    exists = paired.exists()
    variance = _variance_of_runs(sums, counts, fold, exists)
    member = np.eye(len(exists))[fold].T  # (folds, patients)
    if (member.sum(axis=1) > 0).sum() > 1 and (exists.sum(axis=1) < 2).all():
        member = member[member.sum(axis=1) > 0]
        sums, counts = member @ sums, member @ counts
    share = counts / counts.sum()
    residual = sums.mean(axis=1) / counts.sum() - share * paired.estimate
    variance += float((residual**2 / (1 - share)).sum())
    return Interval(paired.estimate, variance**0.5, _freedom(counts), level)


def _variance_of_runs(sums: Array, counts: Array, fold: Array, exists: Array) -> float:
    """Return the variance of the mean by runs, less the part that patients count too.

    A fold with a single run has that of the others, as a mean over images.
    """
    total = counts.sum()
    variance, known, single = 0.0, [], 0.0
    for number, there in enumerate(exists):
        seeds = there.sum()
        if seeds < 2:
            single += counts[fold == number].sum() ** 2
            continue
        mine, size = sums[fold == number][:, there], counts[fold == number]
        of_run = mine.sum(axis=0)
        one = of_run.var(ddof=1)  # of the sum of one run
        share = size / size.sum()
        if len(size) > 1:
            rest = (mine - share[:, None] * of_run).var(axis=1, ddof=1)
            one -= (rest / (1 - share)).sum()
        variance += one / seeds
        known.append((one / size.sum() ** 2, seeds - 1))
    if known:
        ones, freedom = np.transpose(known)
        variance += single * max(0.0, float(np.average(ones, weights=freedom)))
    return max(0.0, float(variance / total**2))


def _freedom(counts: Array) -> float:
    """Return Bell and McCaffrey's degrees of freedom for a mean of unequal clusters."""
    share = counts / counts.sum()
    rows = (np.eye(len(share)) - share[:, None]) / np.sqrt(1 - share)[:, None]
    spread = (rows * counts) @ rows.T
    return float(np.trace(spread) ** 2 / (spread**2).sum())


def bootstrap_means(
    paired: Paired, resamples: int, generator: np.random.Generator
) -> Array:
    """Draw means by the two-level bootstrap: patients, then the runs of each fold.

    Patients are drawn with replacement, and so are the seeds, in each fold apart, since
    a run is one fold with one seed. What stands in for a missing run is not drawn.

    Returns:
        ``(resamples,)`` means over images.
    """
    sums, counts, fold = paired.sums()
    patients, exists = len(counts), paired.exists()
    means = []
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        weight = generator.multinomial(patients, np.full(patients, 1 / patients), size)
        runs = [
            generator.multinomial(n.sum(), n / n.sum(), size) / n.sum() for n in exists
        ]
        drawn = np.einsum('pbs,ps->bp', np.stack(runs)[fold], sums)
        means.append((weight * drawn).sum(1) / (weight * counts).sum(1))
    return np.concatenate(means)


def permutation_p(
    paired: Paired, generator: np.random.Generator
) -> tuple[float, float]:
    """Return two-sided p-values of sign flips over patients and over runs.

    The first asks whether the difference is more than chance among patients, the second
    whether it is more than chance among runs: if two arms are the same way of training,
    the two runs of a fold and a seed may change places. A difference has to pass both,
    so the larger one counts.
    """
    sums, _, fold = paired.sums()
    runs = np.stack([sums[fold == number].sum(axis=0) for number in np.unique(fold)])
    exists = paired.exists()  # what stands in for a missing run is no run
    shares = (runs / exists.sum(axis=1, keepdims=True))[exists]
    return (
        sign_flip_p(sums.mean(axis=1), generator),
        sign_flip_p(shares, generator),
    )


def sign_flip_p(values: Array, generator: np.random.Generator) -> float:
    """Return the two-sided p-value of a sum under independent flips of signs.

    Exact for up to 2**16 combinations, else estimated from random ones, of which the
    one that happened is counted as one.

    Args:
        values: The terms of the sum, ``(terms,)``.
        generator: Draws the flips where they are too many.
    """
    terms = len(values)
    bound = abs(values.sum()) * (1 - 1e-12)
    if 2**terms <= EXACT:
        return float((abs(_all_signs(terms) @ values) >= bound).mean())
    flips = 1.0 - 2 * generator.integers(0, 2, (FLIPS - 1, terms))
    return float((1 + (abs(flips @ values) >= bound).sum()) / FLIPS)


@lru_cache(maxsize=4)
def _all_signs(terms: int) -> Array:
    """Return all signs with the first one positive; the others are their mirror."""
    bits = np.arange(2 ** (terms - 1))[:, None] >> np.arange(terms)[::-1] & 1
    signs: Array = 1.0 - 2 * bits
    return signs


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979), in the same order."""
    order = np.argsort(p_values, kind='stable')
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.maximum.accumulate(np.asarray(p_values, float)[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted.tolist()


def probability_of_false_claim(a: Array, b: Array) -> float:
    """Return the probability that the better of two is not better (arXiv 2505.04720).

    It treats images as independent and the two networks as fixed, so it says less than
    the interval of `mean_difference`. It is here for comparison with other papers.

    Args:
        a: Dice of each image in one arm, ``(images,)``.
        b: Dice of the same images in the other.
    """
    n = len(a)
    sd_a, sd_b = a.std(ddof=1), b.std(ddof=1)
    shared = 2 * np.cov(a, b)[0, 1]  # 2 sd_a sd_b r
    spread = sd_a**2 + sd_b**2 - shared
    difference = abs(a.mean() - b.mean())
    if spread <= 1e-18:
        return 0.0 if difference > 1e-9 else 0.5
    return float(stats.t.cdf(-(n**0.5) * difference / spread**0.5, n - 1))


def minimum_detectable(interval: Interval, power: float = 0.8) -> float:
    """Return the least difference that such a study would find.

    By a two-sided t test at 1 - level with the same standard error and degrees of
    freedom.

    Args:
        interval: What the study found.
        power: Probability of finding it, 0..1.
    """
    if interval.error == 0:
        return 0.0
    bound = interval.half_width / interval.error

    def lack(size: float) -> float:
        found = stats.nct.sf(bound, interval.freedom, size)
        wrong = stats.nct.cdf(-bound, interval.freedom, size)  # NaN where it vanishes
        return float(found + np.nan_to_num(wrong) - power)

    size: float = optimize.brentq(lack, 0.01, 2 * bound + 5)
    return interval.error * size
