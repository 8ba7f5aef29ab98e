"""Folds for cross-validation: stratified by organ, with no donor in two of them.

Paper, section on training: "5 folds stratified by organ". The authors' code shuffles
without regard to the organ. Deviation from both: where the age
and the sex of donors are known, images of one donor stay together, since sections of
one donor look alike and would leak from training into validation.

Age and sex are all that the competition tells about a donor. They cannot split a donor
in two, whatever the organ, but they can merge two donors of the same age and sex: that
costs balance, never honesty. scikit-learn's ``StratifiedGroupKFold`` does a similar
job; its result depends on the order of the rows, and it is not otherwise needed here.
"""

import numpy as np
import pandas as pd

RESTARTS = 32  # orders tried; a better one is rarely found beyond a dozen


def assign_folds(frame: pd.DataFrame, folds: int = 5, seed: int = 0) -> pd.Series:
    """Assign every image to a fold.

    The result depends on the ids, organs and groups, and on the seed, but not on the
    order of the rows.

    Args:
        frame: One row an image, with the columns ``id`` and ``organ``. Rows with the
            same ``group`` stay together (blank: a group of its own); without that
            column ``donor_groups`` makes it of ``age`` and ``sex``.
        folds: Number of folds, >= 2.
        seed: Seed of the shuffling.

    Returns:
        0-based folds with the index of the frame.

    Raises:
        ValueError: If columns are missing, ids repeat, or there are fewer groups than
            folds.
    """
    if seed < 0:
        raise ValueError(f'seed of the folds is {seed}: give 0 or more')
    missing = [name for name in ('id', 'organ') if name not in frame]
    if missing:
        raise ValueError(f'frame lacks the columns {missing}')
    ids = frame['id'].astype(str)
    if ids.duplicated().any():
        raise ValueError(f'id {ids[ids.duplicated()].iloc[0]!r} occurs more than once')
    group = _own_group_if_blank(frame['group'], ids) if 'group' in frame else None
    group = donor_groups(frame) if group is None else group
    if folds < 2 or group.nunique() < folds:
        raise ValueError(
            f'{len(frame)} images in {group.nunique()} groups cannot make {folds} '
            f'folds: ask for at least 2 folds and at most one a group ({_kept(frame)} '
            'stay together)'
        )
    counts = pd.crosstab(group, frame['organ'])  # groups and organs in sorted order
    fold_of_group = _best_assignment(counts.to_numpy(), folds, seed)
    fold = group.map(dict(zip(counts.index, fold_of_group.tolist(), strict=True)))
    return fold.astype(int).rename('fold')


def _kept(frame: pd.DataFrame) -> str:
    """Say which images are kept together, for messages."""
    kept = 'images of one patient or other group'
    has_ages = 'age' in frame and (_text(frame['age']) != '').any()
    return kept + ', or of the same age and sex,' * bool(has_ages)


def donor_groups(frame: pd.DataFrame) -> pd.Series:
    """Name the donor of each image as far as age and sex tell.

    Args:
        frame: Has the column ``id``, and ``age`` (years) and ``sex`` where known.

    Returns:
        ``'donor-61-male'``; ``'image-<id>'`` where age or sex is blank.
    """
    ids = frame['id'].astype(str)
    if 'age' not in frame or 'sex' not in frame:
        return ('image-' + ids).rename('group')
    age = pd.to_numeric(frame['age'], errors='coerce')
    sex = _text(frame['sex']).str.lower()
    known = age.notna() & (sex != '')
    donor = 'donor-' + age.map('{:g}'.format) + '-' + sex
    return donor.where(known, 'image-' + ids).rename('group')


def _own_group_if_blank(group: pd.Series, ids: pd.Series) -> pd.Series:
    """Give rows with a blank group one of their own."""
    named = _text(group)
    return named.where(named != '', 'image-' + ids)


def _text(column: pd.Series) -> pd.Series:
    """Return a column as stripped text, with blanks for missing values."""
    return column.astype(object).where(column.notna(), '').astype(str).str.strip()


def _best_assignment(counts: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Assign groups in several random orders and keep the best result.

    Args:
        counts: ``(groups, organs)`` images of each organ in each group.
        folds: Number of folds.
        seed: Seed of the orders.

    Returns:
        ``(groups,)`` 0-based folds.
    """
    generator = np.random.default_rng(seed)
    tries = (_greedy_assignment(counts, folds, generator) for _ in range(RESTARTS))
    return min(tries, key=lambda fold: _unevenness(counts, folds, fold))


def _unevenness(counts: np.ndarray, folds: int, fold: np.ndarray) -> tuple[int, float]:
    """Return how many folds lack an organ, and how far the folds are from equal."""
    table = np.zeros((folds, counts.shape[1]), int)
    np.add.at(table, fold, counts)
    spread = (table**2 / table.sum(0)).sum() + np.ptp(table.sum(1)) / table.sum()
    return int((table == 0).sum()), float(spread)


def _greedy_assignment(
    counts: np.ndarray, folds: int, generator: np.random.Generator
) -> np.ndarray:
    """Put group after group, large ones first, where its organs are rarest.

    "Rarest" is the smallest growth of the sum of squared counts, each organ weighted
    by one over its images: squares are least when the folds are equal.
    """
    order = generator.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind='stable')]
    weight = 1 / counts.sum(0)
    table = np.zeros((folds, counts.shape[1]), int)
    result = np.empty(len(counts), int)
    for group in order:
        growth = ((2 * table + counts[group]) * counts[group] * weight).sum(1)
        # Equal growth: the emptier fold; equal again: by lot, else fold 0 is fullest.
        lot = generator.permutation(folds)
        fold = lot[np.lexsort((table.sum(1)[lot], growth[lot].round(9)))[0]]
        table[fold] += counts[group]
        result[group] = fold
    return result
