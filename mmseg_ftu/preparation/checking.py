"""Check every record: decode image and mask in full and compare their sizes."""

from math import prod
from typing import Any

import pandas as pd

from mmseg_ftu.io.images import read_image
from mmseg_ftu.io.pixel_budget import PixelBudget, pixels_of
from mmseg_ftu.io.resizing import is_resized_copy
from mmseg_ftu.io.threads import unordered_map
from mmseg_ftu.preparation.folds import assign_folds
from mmseg_ftu.preparation.given_split import checked_folds
from mmseg_ftu.preparation.records import (
    Fault,
    FileMask,
    Mask,
    Record,
    records_table,
)

EMPTY_MASK = 'the mask is empty; mend it, remove the image, or say --empty keep or skip'


def check_pixels(
    records: list[Record], settings: dict[str, Any], workers: int, budget: PixelBudget
) -> tuple[list[Fault], set[str]]:
    """Decode all images and masks.

    Args:
        records: Images and masks to check.
        settings: Settings of the run: ``resized`` accepts images smaller or larger than
            their masks, and ``empty`` says what to do with empty masks.
        workers: Threads; 0 works in the calling one.
        budget: Bounds what they decode at once.

    Returns:
        The faults, and the ids to leave out since their masks are empty.
    """
    faults, skipped = [], set()
    check = budget.limit(
        lambda record: _check(record, settings['resized']), decoded_pixels
    )
    for record, texts in unordered_map(check, records, workers, 'checking'):
        if EMPTY_MASK in texts and settings['empty'] != 'refuse':
            texts.remove(EMPTY_MASK)
            if settings['empty'] == 'skip':
                skipped.add(record.id)
        faults += [Fault(record.row, f'{record.place}: {text}') for text in texts]
    return faults, skipped


def add_folds(records: list[Record], settings: dict[str, Any]) -> pd.DataFrame:
    """Return the rows of ``folds.csv``.

    Raises:
        ValueError: If there are too few records or groups, or the split that was given
            cannot be used.
    """
    if not records:
        raise ValueError('no image is left to prepare')
    table = records_table(records)
    if settings['folds'] is None:  # they were given
        named = pd.DataFrame([_split_of(record) for record in records])
        return table.assign(fold=checked_folds(named))
    fold = assign_folds(table, settings['folds'], settings['seed'])
    return table.assign(fold=fold)


def _split_of(record: Record) -> dict[str, str]:
    """Return fold and group as the data set names them."""
    return {name: record.details.get(name, '') for name in ('fold', 'group')}


def decoded_pixels(record: Record) -> int:
    """Return the pixels of the image or the mask of a record, whichever is larger."""
    mask = record.mask
    of_mask = pixels_of(mask.path) if isinstance(mask, FileMask) else prod(record.shape)
    return max(pixels_of(record.image), of_mask)


def mask_faults(mask: Mask, shape: tuple[int, int]) -> list[str]:
    """Decode a mask and say what is wrong with it; ``EMPTY_MASK`` if it is empty."""
    said = getattr(mask, 'shape', shape)
    if said != shape:  # not drawn, as it may be huge
        return [_other_size(said, shape)]
    try:
        labels = mask.read()
    except (ValueError, OSError) as error:
        return [str(error)]
    faults = [] if (labels == 1).any() else [EMPTY_MASK]
    if labels.shape != shape:
        faults.append(_other_size(labels.shape, shape))
    return faults


def _other_size(of_mask: tuple[int, ...], of_image: tuple[int, int]) -> str:
    return (
        f'the mask has {_text(of_mask)} px, the image {_text(of_image)} px; export '
        'both at the same size'
    )


def _check(record: Record, resized: bool) -> list[str]:
    """Decode the image and the mask of a record and say what is wrong with them."""
    try:
        fault = _size_fault(read_image(record.image).shape[:2], record, resized)
    except (ValueError, OSError) as error:
        fault = str(error)
    of_size = [fault] if fault else []
    return of_size + mask_faults(record.mask, record.shape)


def _size_fault(shape: tuple[int, int], record: Record, resized: bool) -> str | None:
    """Compare the size of an image with that of its record."""
    if shape == record.shape:
        return None
    said = f'{record.image.name} has {_text(shape)} px'
    if not is_resized_copy(shape, record.shape):
        return (
            f'{said}, which is not a resized copy of {_text(record.shape)} px, the '
            'size on record; replace the image or mend the size'
        )
    if resized:
        return None
    return (
        f'{said} instead of {_text(record.shape)} px; pass --resized if it is a '
        'resized copy of the original'
    )


def _text(shape: tuple[int, ...]) -> str:
    """Return ``'height x width'``."""
    return f'{shape[0]} x {shape[1]}'
