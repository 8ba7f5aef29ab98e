"""Prepare any folder of images and masks, matched by name, in the same layout.

For people's own tissue: ``images/a.png`` belongs to ``masks/a.png`` (or to
``masks/a_mask.png`` with ``mask_suffix='_mask'``). An index table may say which patient
an image is of, so that no patient is in two folds.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_ftu.io.images import read_instances, read_size
from mmseg_ftu.io.tables import id_fault, repeated_ids
from mmseg_ftu.preparation.given_split import GivenSplit
from mmseg_ftu.preparation.index_table import detail_faults
from mmseg_ftu.preparation.number_limits import require_between
from mmseg_ftu.preparation.pair_files import (
    PairFolders,
    common_details,
    find_pairs,
    read_index,
)
from mmseg_ftu.preparation.prepare_folder import prepare_folder
from mmseg_ftu.preparation.records import Fault, FileMask, Record
from mmseg_ftu.recipe import StainStep

LOOKED_AT = 20  # masks
MOST_CLASSES = 4  # labels; of instances there are more


def prepare_pairs(
    folders: PairFolders,
    target: Path,
    size: int | None = None,
    folds: int = 5,
    seed: int = 0,
    empty: str = 'refuse',
    workers: int = 2,
    stain: StainStep | None = None,
    overwrite: bool = False,
    val_ids: Sequence[str] = (),
) -> str:
    """Prepare a folder of pairs.

    Args:
        folders: Folders of images and masks, and what the labels mean.
        target: Folder to write; not inside the source.
        size: Longer side of the images to train on, px; None keeps each as it is.
        folds: Number of folds.
        seed: Seed of the folds.
        empty: ``'refuse'``, ``'keep'`` or ``'skip'`` images without foreground.
        workers: Threads; 0 works in the calling one.
        stain: Stain normalisation; None for none.
        overwrite: Accept a target begun with other settings.
        val_ids: Names of the images of the validation set, or a file of them, instead
            of ``folds``; see ``GivenSplit``.

    Returns:
        A summary for people.

    Raises:
        PreparationError: With all faults of the source, before anything is written.
    """
    require_between('--seed', seed, 0)
    split = GivenSplit.of(folders.fold_column, val_ids)
    records, faults = list_pairs(folders)
    records, of_split = split.apply(records)
    foreground = folders.foreground
    settings: dict[str, Any] = {
        'tool': 'prepare_pairs',
        'source': folders.source.resolve().name,
        'size': size,
        **split.settings(folds),
        'seed': seed,
        'resized': False,
        'empty': empty,
        'foreground': foreground if isinstance(foreground, str) else list(foreground),
        'ignore': folders.ignore,
    }
    if stain:
        settings['stain'] = stain.to_dict()
    faults += of_split
    summary = prepare_folder(
        folders.source, target, records, faults, settings, workers, overwrite
    )
    return '\n'.join(filter(None, [summary, merged_labels(folders, records)]))


def merged_labels(folders: PairFolders, records: list[Record]) -> str:
    """Say that masks seem to hold several classes which all became foreground.

    A few labels that occur in mask after mask are classes; instances have many. Up to
    `LOOKED_AT` masks are read.

    Returns:
        A note for people; ``''`` where there is nothing to say.
    """
    if folders.foreground not in ('auto', 'nonzero'):
        return ''
    files = [r.mask.path for r in records if isinstance(r.mask, FileMask)]
    found: set[int] = set()
    for path in files[:: -(-len(files) // LOOKED_AT) or 1]:
        found.update(np.unique(read_instances(path, 'nonzero', folders.ignore)[0]))
    labels = sorted(int(label) for label in found - {0})
    if not 2 <= len(labels) <= MOST_CLASSES:
        return ''
    return (
        f'note: masks hold the labels {", ".join(map(str, labels))}, and all of them '
        'count as foreground; --foreground chooses'
    )


def prepare_pairs_of(source: Path, target: Path, **options: Any) -> str:
    """Call ``prepare_pairs`` with the options of both kinds in one mapping."""
    names = [field.name for field in fields(PairFolders) if field.name != 'source']
    meaning = {name: options.pop(name) for name in names if name in options}
    return prepare_pairs(PairFolders(source, **meaning), target, **options)


def list_pairs(folders: PairFolders) -> tuple[list[Record], list[Fault]]:
    """List the pairs with the faults seen from names and headers.

    Raises:
        PreparationError: If a folder or the index cannot be used at all.
    """
    images, masks = find_pairs(folders)
    index = read_index(folders)
    names = sorted({*images, *masks, *index})
    repeated = repeated_ids(names)
    records, faults = [], []
    for row, name in enumerate(names, start=1):
        place = f'image {name!r}'
        texts = [id_fault(name)]
        if name in repeated:
            texts.append('its name differs from another by case only; rename it')
        texts += _match_faults(folders, name, images, masks, index)
        details = index.get(name, common_details(folders))
        texts += detail_faults(details)
        if len(images.get(name, [])) == len(masks.get(name, [])) == 1:
            mask = masks[name][0]
            try:
                path = images[name][0]
                shape = read_size(path)
                records.append(Record(row, place, name, path, mask, shape, details))
            except (ValueError, OSError) as error:
                texts.append(str(error))
        faults += [Fault(row, f'{place}: {text}') for text in texts if text]
    return records, faults


def _match_faults(
    folders: PairFolders,
    name: str,
    images: dict[str, Any],
    masks: dict[str, Any],
    index: dict[str, Any],
) -> list[str]:
    """Say what an image, a mask or a row of the index lacks."""
    texts = []
    paths = {key: [mask.path for mask in found] for key, found in masks.items()}
    for kind, found in (('image', images), ('mask', paths)):
        files = found.get(name, [])
        if len(files) > 1:
            twice = ', '.join(path.name for path in files)
            texts.append(f'several {kind}s: {twice}; keep one')
        elif not files:
            folder = folders.source / getattr(folders, f'{kind}s')
            texts.append(f'no {kind} in {folder}; add it, or remove what belongs to it')
    if folders.index and name not in index:
        texts.append(f'no row in {folders.index}; add it')
    return texts
