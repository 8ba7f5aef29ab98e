"""The analysis of a study: the formulas of ``statistics`` on its records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmseg_ftu.study.statistics import (
    Interval,
    Paired,
    bootstrap_means,
    holm,
    mean_difference,
    minimum_detectable,
    permutation_p,
    probability_of_false_claim,
)
from mmseg_ftu.study.study_design import Contrast, Study
from mmseg_ftu.study.variance_parts import variance_parts

ENDS = [0.025, 0.975]  # quantiles of the bootstrap interval
LEVEL = 0.05  # p must be smaller
FEWEST = 6  # with fewer signs to flip no p can be so small


@dataclass(frozen=True)
class Difference:
    """What a study says about two arms of a model.

    Attributes:
        model: The model.
        endpoint: The score, such as ``dice``.
        contrast: The arms; the difference is the first minus the second.
        planned: Whether it was planned beforehand.
        images: Number of images.
        patients: Number of patients.
        runs: Number of pairs of runs.
        interval: Mean difference with its interval.
        bootstrap: Ends of the plain two-level bootstrap interval, for comparison.
        p_patients: p-value of sign flips over patients.
        p_runs: p-value of sign flips over runs.
        p_holm: The larger of both, adjusted for the planned contrasts of the model,
            also those that wait for runs; NaN where the contrast was not planned.
        false_claim: Probability of a false claim, as arXiv 2505.04720 has it.
        detectable: The least true difference whose interval would lie beside 0 with 80
            % power; NaN where patients or runs are too few for any verdict.
        margin: The least difference that matters.
    """

    model: str
    endpoint: str
    contrast: Contrast
    planned: bool
    images: int
    patients: int
    runs: int
    interval: Interval
    bootstrap: tuple[float, float]
    p_patients: float
    p_runs: float
    p_holm: float
    false_claim: float
    detectable: float
    margin: float

    @property
    def p(self) -> float:
        """The p-value: the difference must be beyond chance of patients and of runs."""
        return max(self.p_patients, self.p_runs)

    @property
    def verdict(self) -> str:
        """What interval and p-value say together, in words.

        A difference counts if both find it, p adjusted where the contrast was planned.
        Few patients or runs cannot tell, however narrow their interval happens to be.
        """
        low, high, margin = self.interval.low, self.interval.high, self.margin
        for what, number in (('patients', self.patients), ('runs', self.runs)):
            if number < FEWEST:
                return f'too few {what}'
        if -margin < low and high < margin:
            return f'the same within {margin:g}'
        p = self.p_holm if self.planned else self.p
        if p >= LEVEL or low <= 0 <= high:
            return 'open'
        word = 'better' if low > 0 else 'worse'
        size = max(low, -high)  # the end next to 0
        return f'{word} by more than {margin:g}' if size > margin else word


@dataclass(frozen=True)
class ArmMean:
    """The scores of an arm.

    Attributes:
        model: The model.
        arm: The arm.
        endpoint: The score.
        runs: Number of its runs.
        images: Number of images.
        interval: Mean over the images with its interval; NaN for one patient.
        parts: Standard deviation of the scores by patient, image, fold, run and rest.
    """

    model: str
    arm: str
    endpoint: str
    runs: int
    images: int
    interval: Interval
    parts: dict[str, float]


def analyse(
    frame: pd.DataFrame, study: Study
) -> tuple[list[Difference], list[ArmMean]]:
    """Compare the arms of each model.

    Args:
        frame: Records of all runs, columns as in ``run_records``.
        study: The study, which says the contrasts.

    Returns:
        Differences and means of the arms, by endpoint and model: first the planned
        contrasts, then every other arm against the reference.
    """
    differences: list[Difference] = []
    means: list[ArmMean] = []
    for endpoint in study.endpoints:
        for model in study.models:
            mine = frame[frame['model'] == model]
            there = [arm for arm in study.arms_of(model) if (mine['arm'] == arm).any()]
            tables = {arm: score_table(mine, arm, endpoint) for arm in there}
            differences += _compare(tables, mine, study, model, endpoint)
            means += [
                _arm_mean(tables[arm], mine, model, arm, endpoint) for arm in there
            ]
    return differences, means


def score_table(frame: pd.DataFrame, arm: str, endpoint: str) -> pd.DataFrame:
    """Return the scores of an arm, a row an image, a column a seed."""
    mine = frame[frame['arm'] == arm]
    return mine.pivot(index='image', columns='seed', values=endpoint)


def pair(a: pd.DataFrame, b: pd.DataFrame, frame: pd.DataFrame) -> Paired:
    """Return the differences where both arms have a score of an image and a seed."""
    values = (a - b).dropna(how='all').dropna(axis=1, how='all')
    of_image = frame.drop_duplicates('image').set_index('image').loc[values.index]
    return Paired(
        values.to_numpy(float),
        of_image['patient'].to_numpy(str),
        of_image['fold'].to_numpy(int),
    )


def contrasts_of(study: Study, arms: Sequence[str]) -> Iterator[tuple[Contrast, bool]]:
    """Yield the contrasts between some arms, and whether they were planned."""
    planned = study.analysis.contrasts
    for contrast in planned:
        if contrast.a in arms and contrast.b in arms:
            yield contrast, True
    reference = study.analysis.reference
    for arm in arms:
        contrast = Contrast(arm, reference)
        new = contrast not in planned and Contrast(reference, arm) not in planned
        if arm != reference and reference in arms and new:
            yield contrast, False


def _compare(
    tables: dict[str, pd.DataFrame],
    frame: pd.DataFrame,
    study: Study,
    model: str,
    endpoint: str,
) -> list[Difference]:
    found = []
    for contrast, planned in contrasts_of(study, list(tables)):
        a, b = tables[contrast.a], tables[contrast.b]
        paired = pair(a, b, frame)
        if len(np.unique(paired.patient)) < 2:
            continue
        generator = np.random.default_rng(study.analysis.seed)
        p_patients, p_runs = permutation_p(paired, generator)
        drawn = bootstrap_means(paired, study.analysis.resamples, generator)
        low, high = np.quantile(drawn, ENDS)
        both = a.where(b.notna()), b.where(a.notna())
        means = [table.mean(axis=1).dropna().to_numpy() for table in both]
        interval = mean_difference(paired)
        patients, runs = len(np.unique(paired.patient)), _count_runs(paired)
        enough = min(patients, runs) >= FEWEST
        found.append(
            Difference(
                *(model, endpoint, contrast, planned),
                images=len(paired.values),
                patients=patients,
                runs=runs,
                interval=interval,
                bootstrap=(float(low), float(high)),
                p_patients=p_patients,
                p_runs=p_runs,
                p_holm=np.nan,
                false_claim=probability_of_false_claim(*means),
                detectable=minimum_detectable(interval) if enough else np.nan,
                margin=study.analysis.margin,
            )
        )
    arms = study.arms_of(model)
    return _adjust(found, sum(planned for _, planned in contrasts_of(study, arms)))


def _adjust(found: list[Difference], number: int) -> list[Difference]:
    """Adjust p-values for the number of contrasts that the model was planned with.

    Those that wait for runs count as found by chance, so that an early look is not
    easier to pass than the end.
    """
    known = [d.p for d in found if d.planned]
    adjusted = iter(holm([*known, *[1.0] * (number - len(known))]))
    return [
        Difference(**{**vars(d), 'p_holm': next(adjusted)}) if d.planned else d
        for d in found
    ]


def _count_runs(paired: Paired) -> int:
    there = ~np.isnan(paired.values)
    return sum(int(there[paired.fold == f].any(axis=0).sum()) for f in set(paired.fold))


def _arm_mean(
    table: pd.DataFrame, frame: pd.DataFrame, model: str, arm: str, endpoint: str
) -> ArmMean:
    """Return the mean of an arm; it is the difference to an arm that scores 0."""
    paired = pair(table, table * 0, frame)
    one_patient = len(np.unique(paired.patient)) < 2
    return ArmMean(
        *(model, arm, endpoint),
        runs=_count_runs(paired),
        images=len(paired.values),
        interval=Interval(paired.estimate, np.nan, 1)
        if one_patient
        else mean_difference(paired),
        parts=deviations(paired),
    )


def deviations(paired: Paired) -> dict[str, float]:
    """Return the standard deviation of scores by patient, image, fold, run and rest.

    Seeds that are not finished are left out if others are: the method of moments finds
    nonsense where seeds hold very different numbers of images.
    """
    values = paired.values
    complete = ~np.isnan(values).any(axis=0)
    if complete.any():
        values = values[:, complete]
    images, seeds = values.shape
    number = np.repeat(np.arange(images), seeds)
    seed = np.tile(np.arange(seeds), images)
    there = ~np.isnan(values.ravel())
    fold = paired.fold[number]
    groups = dict(
        patient=paired.patient[number],
        image=number,
        fold=fold,
        run=fold * seeds + seed,
    )
    kept = {name: group[there] for name, group in groups.items()}
    if len(np.unique(paired.patient)) == images:
        del kept['patient']  # nothing tells it from the image
    if seeds < 2:  # nor the image from the rest, nor the run from the fold
        del kept['image'], kept['run']
    parts = variance_parts(values.ravel()[there], kept)
    return {name: variance**0.5 for name, variance in parts.items()}
