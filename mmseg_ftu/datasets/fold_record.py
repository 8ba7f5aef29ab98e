"""Which images a model was trained on: what checkpoints tell about their fold.

The number of a fold says nothing by itself: fold 0 of another folder, or of the same
folder prepared again with other folds, holds other images. So a checkpoint also names
the split, and each image, by the names of ``mmseg_ftu.prepared_table``.
"""

from collections.abc import Iterator, Mapping
from typing import Any


def fold_record(dataset: Any) -> dict[str, Any]:
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
    record: dict[str, Any] = dict(train_images=sorted(image_ids(dataset)))
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


def trained_on(meta: Mapping[str, Any], ids: Mapping[str, str]) -> list[str] | None:
    """Return the ids of those images that a checkpoint was trained on.

    Args:
        meta: ``dataset_meta`` of the checkpoint.
        ids: Id of each image at hand by `image_key`.

    Returns:
        Ids in sorted order; None if the checkpoint does not tell.

    Raises:
        ValueError: If what it tells cannot be understood.
    """
    if 'train_images' not in meta:
        return None
    names = meta['train_images']
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise ValueError(
            f'the checkpoint: train_images={str(names)[:40]!r} is not a list of names: '
            'fetch the file again'
        )
    return sorted(ids[key] for key in ids.keys() & {*names})


def training_in_words(record: Mapping[str, Any]) -> str:
    """Say in words what a record of `fold_record` holds."""
    text = f'{len(record.get("train_images", ()))} images'
    if 'fold' not in record:
        return text
    split = f'of the split {record.get("folds_id")}'
    if record['fold'] is None:
        return f'all {text} {split}'
    return f'the {text} outside fold {record["fold"]} {split}'


def _held_out(dataset: Any) -> int | None:
    return None if dataset.split == 'all' else dataset.fold
