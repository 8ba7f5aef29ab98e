"""Bring predictions and truth together: which images, which sizes, which details."""

import numpy as np
import pandas as pd

from mmseg_ftu.evaluation.mask_sources import MaskSource
from mmseg_ftu.io.listing import some_of


def ids_of_fold(truths: MaskSource, fold: int | None) -> list[str]:
    """Return the ids of a fold."""
    if fold is None:
        return truths.ids
    if 'fold' not in truths.table:
        raise ValueError(f'--fold {fold}: {truths.path} has no folds; leave it out')
    chosen = truths.table.index[truths.table.fold == fold]
    if chosen.empty:
        there = sorted(truths.table.fold.dropna().unique().tolist())
        raise ValueError(f'{truths.path}: no image of fold {fold}; choose from {there}')
    return list(chosen)


def choose_present(
    names: list[str], predictions: MaskSource, truths: MaskSource, missing: str
) -> tuple[list[str], set[str]]:
    """Return the ids to score, and those that have no prediction."""
    there = set(predictions.ids)
    absent = [name for name in names if name not in there]
    if there.union(predictions.absent).isdisjoint(names):
        raise ValueError(
            f'{predictions.path} and {truths.path} have no image in common: '
            f'{_first(predictions.ids)} against {_first(names)}'
        )
    if absent and missing == 'error':
        why = [predictions.absent.get(name, '') for name in absent]
        texts = [f'{n} ({w})' if w else n for n, w in zip(absent, why, strict=True)]
        raise ValueError(
            f'{predictions.path}: {len(absent)} of {len(names)} images have no '
            f'prediction: {some_of(texts)}; predict them, or say --missing empty '
            '(they count as predicted empty) or --missing skip'
        )
    if missing == 'skip':
        names = [name for name in names if name in there]
    if not names:
        raise ValueError(f'{predictions.path}: every prediction failed; predict again')
    return names, set(absent)


def _first(names: list[str]) -> str:
    """Return some names, for a message."""
    return f'{", ".join(names[:3])} ...' if names else 'none'


def refuse_other_sizes(
    names: list[str], predictions: MaskSource, truths: MaskSource
) -> None:
    """Raise where the tables know that sizes differ, before anything is read."""
    sizes = [
        source.table[['height', 'width']].reindex(names).astype('Float64')
        for source in (predictions, truths)
    ]
    differ = ((sizes[0] - sizes[1]).abs() > 0).fillna(False).any(axis=1)
    faults = [
        _size_fault(name, tuple(sizes[0].loc[name]), tuple(sizes[1].loc[name]))
        for name in differ.index[differ]
    ]
    if faults:
        raise ValueError(f'{len(faults)} images differ in size: {some_of(faults)}')


def _size_fault(
    name: str, found: tuple[float, ...], expected: tuple[float, ...]
) -> str:
    """Say that sizes differ."""
    a, b = (f'{int(h)} x {int(w)}' for h, w in (found, expected))
    return (
        f'{name}: the prediction has {a} px, the truth {b} px (height x width); '
        'predict at the original size'
    )


def read_pair(
    name: str, predictions: MaskSource, truths: MaskSource, empty: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Read prediction and mask of an image.

    Args:
        name: Id.
        predictions: Source that holds the prediction.
        truths: Source that holds the mask.
        empty: Do not read the prediction but make an empty one.

    Raises:
        ValueError: If they differ in size, or a file is faulty.
    """
    if empty:
        mask = truths.mask(name)
        return np.zeros_like(mask), mask
    mask = truths.mask(name, predictions.size(name))
    prediction = predictions.mask(name, mask.shape)
    if prediction.shape != mask.shape:
        raise ValueError(_size_fault(name, prediction.shape, mask.shape))
    return prediction, mask


def image_details(
    truths: MaskSource, predictions: MaskSource, pixel_size: float | None = None
) -> pd.DataFrame:
    """Return organ, data_source and pixel_size of the truth's images.

    What the truth does not say is taken from the predictions.
    """
    columns = ['organ', 'data_source', 'pixel_size']
    details = truths.table[columns].copy()
    other = predictions.table[columns].reindex(details.index)
    for name in ('organ', 'data_source'):
        blank = details[name] == ''
        details[name] = details[name].where(~blank, other[name].fillna(''))
    details['pixel_size'] = details.pixel_size.fillna(other.pixel_size)
    if pixel_size is not None:
        details['pixel_size'] = pixel_size
    return details
