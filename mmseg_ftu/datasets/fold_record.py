"""Which images a model was trained on: what checkpoints tell about their fold.

The number of a fold says nothing by itself: fold 0 of another folder, or of the same
folder prepared again with other folds, holds other images. So a checkpoint also names
the split, and each image.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def parse_fold(fold: int | str) -> int:
    """Return a fold as a number.

    Raises:
        ValueError: If it is no whole number or negative.
    """
    try:
        number = int(str(fold))
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(
            f'HuBMAPDataset: fold={fold!r} is not a whole number from 0 (configs take '
            'it from the environment variable FOLD)'
        )
    return number


def folds_id(folds: Mapping[str, int]) -> str:
    """Name a split of images into folds.

    Args:
        folds: Fold of each image (0-based) by id: ``folds.csv``, all rows.

    Returns:
        12 hexadecimal digits; the same for the same ids and folds, whatever their
        order.
    """
    return _digest(sorted((str(name), int(fold)) for name, fold in folds.items()))


def image_key(name: str, shape: Iterable[int], data_source: str) -> str:
    """Name an image across folders, whatever its size and stains there.

    Args:
        name: Its id.
        shape: Height and width of the original, px.
        data_source: E.g. ``HPA``; in any case.

    Returns:
        12 hexadecimal digits.
    """
    return _digest([name, [int(side) for side in shape], data_source.lower()])


def fold_record(dataset: Any) -> dict:
    """Return what a checkpoint keeps about the data that it is trained on.

    Args:
        dataset: A ``HuBMAPDataset``, also inside wrappers such as ``ConcatDataset``.

    Returns:
        ``fold`` (the fold held out, None if all images are trained on), ``folds_id``
        and ``train_images`` (`image_key` of each, sorted). Datasets of several folders
        have no common fold, and neither has training on a held-out fold: there the
        first two are left out. Empty for other datasets.
    """
    parts = list(fold_datasets(dataset))
    if not parts:
        return {}
    record: dict = dict(train_images=sorted(image_ids(dataset)))
    held_out = {(_held_out(part), part.folds_id) for part in parts}
    if len(held_out) == 1 and all(part.split != 'val' for part in parts):
        record['fold'], record['folds_id'] = held_out.pop()
    return record


def image_ids(dataset: Any) -> dict[str, str]:
    """Return the id of each image of a (wrapped) dataset by its `image_key`."""
    return {k: v for part in fold_datasets(dataset) for k, v in part.image_ids.items()}


def fold_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the datasets inside ``dataset`` that know their images."""
    if getattr(dataset, 'image_ids', None) is not None:
        yield dataset
        return
    for inner in getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)]):
        if inner is not None:
            yield from fold_datasets(inner)


def trained_on(meta: Mapping, ids: Mapping[str, str]) -> list[str] | None:
    """Return the ids of those images that a checkpoint was trained on.

    Args:
        meta: ``dataset_meta`` of the checkpoint.
        ids: Id of each image at hand by `image_key`.

    Returns:
        Ids in sorted order; None if the checkpoint doesn't tell.
    """
    if 'train_images' not in meta:
        return None
    return sorted(ids[key] for key in ids.keys() & set(meta['train_images']))


def describe(record: Mapping) -> str:
    """Say in words what a record of `fold_record` holds."""
    text = f'{len(record.get("train_images", ()))} images'
    if 'fold' not in record:
        return text
    split = f'of the split {record.get("folds_id")}'
    if record['fold'] is None:
        return f'all {text} {split}'
    return f'the {text} outside fold {record["fold"]} {split}'


def shown(ids: list[str], most: int = 5) -> str:
    """Return the first ids as a text."""
    more = f', and {len(ids) - most} more' if len(ids) > most else ''
    return ', '.join(ids[:most]) + more


def _held_out(dataset: Any) -> int | None:
    return None if dataset.split == 'all' else dataset.fold


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
