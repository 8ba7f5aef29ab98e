"""Notice when a model is to predict images that it was trained on."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mmseg_ftu.datasets.fold_record import trained_on, training_in_words
from mmseg_ftu.inference.jobs import Job
from mmseg_ftu.io.listing import some_of
from mmseg_ftu.prepared_table import image_key


def check_trained_images(
    jobs: Sequence[Job],
    metas: Sequence[Mapping[str, Any]],
    fold: int | None,
    allow_other: bool = False,
) -> None:
    """Refuse a fold of a prepared folder that a checkpoint was trained on.

    Without a fold, all images of the folder are wanted, and a note on standard error
    says how many the checkpoints know. Images from elsewhere cannot be recognised.

    Args:
        jobs: The images.
        metas: ``dataset_meta`` of each checkpoint.
        fold: The fold that was asked for, 0-based; None for all images.
        allow_other: Report instead of refusing.

    Raises:
        ValueError: If a fold was asked for and one of its images was trained on.
    """
    ids = {
        image_key(job.id, job.original_shape, job.data_source or ''): job.id
        for job in jobs
        if job.prepared is not None and job.original_shape is not None
    }
    for number, meta in enumerate(metas if ids else (), 1):
        name = 'the checkpoint' if len(metas) == 1 else f'checkpoint {number}'
        known = trained_on(meta, ids)
        if known is None:
            _note(f'{name} does not say which images it was trained on')
        elif known:
            text = (
                f'{name} was trained on {len(known)} of these {len(ids)} images '
                f'({some_of(known)}): on {training_in_words(meta)}'
            )
            if fold is not None and not allow_other:
                raise ValueError(f'{text}. {_advice(meta)}, or say --allow-other-fold')
            _note(text)


def _advice(meta: Mapping[str, Any]) -> str:
    if meta.get('fold') is None:
        return 'Predict images that it has not seen'
    return f'Predict the fold that it held out (--fold {meta["fold"]})'


def _note(text: str) -> None:
    print(f'note: {text}', file=sys.stderr)
