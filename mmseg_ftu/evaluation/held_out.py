"""Which predicted images their checkpoints were trained on, as the checkpoints tell.

``tools/predict.py`` notes in ``prediction.json`` what each checkpoint says of its
training (see ``mmseg_ftu.datasets.fold_record``). Options of the command line do not
count.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmseg_ftu.evaluation.mask_sources import MaskSource
from mmseg_ftu.io.listing import some_of
from mmseg_ftu.prepared_table import folds_id, image_key


class TrainingCheck:
    """Compare predictions with what their checkpoints were trained on.

    Args:
        predictions: Predictions with the ``settings`` of ``prediction.json``.
        truths: Ground truth; without it, only what the predictions know is compared.
        names: Ids to look for, all in ``predictions``.

    Attributes:
        trained: Ids that each checkpoint was trained on, if any, by checkpoint.
        unknown: Ids that no checkpoint is known to have been trained on, but of which
            at least one does not tell.
    """

    def __init__(
        self, predictions: MaskSource, truths: MaskSource | None, names: Sequence[str]
    ) -> None:
        sources = [source for source in (truths, predictions) if source is not None]
        keys = {name: _keys_of(name, sources) for name in names}
        folds = _folds_of(truths)
        checkpoints = checkpoints_of(predictions.settings)
        unsure = set() if checkpoints else set(names)
        self.trained: dict[str, list[str]] = {}
        for checkpoint in checkpoints:
            known = _trained_on(checkpoint, keys, folds)
            unsure.update(name for name in names if known[name] is None)
            if found := [name for name in names if known[name]]:
                self.trained[_describe(checkpoint)] = found
        unsure.difference_update(*self.trained.values())
        self.unknown = [name for name in names if name in unsure]

    @property
    def sentence(self) -> str:
        """Say which images were trained on, by checkpoint; ``''`` if none."""
        return '; '.join(
            f'{checkpoint} was trained on {len(names)} of these images: '
            f'{some_of(names)}'
            for checkpoint, names in self.trained.items()
        )


def doubt(check: TrainingCheck, source: MaskSource, count: int) -> str:
    """Say for how many images this is unknown; ``''`` if for none.

    Args:
        check: The comparison.
        source: The predictions.
        count: Number of images that were compared.
    """
    if not check.unknown:
        return ''
    return (
        f'nothing says whether {len(check.unknown)} of {count} images were held out '
        f'from training ({some_of(check.unknown)}): {_why_unknown(source)}'
    )


def refuse_training_images(
    names: list[str], source: MaskSource, truths: MaskSource
) -> list[str]:
    """Raise where a checkpoint was trained on images that it predicted.

    Args:
        names: Ids that predictions and truth share.
        source: The predictions.
        truths: The truth.

    Returns:
        A sentence on the images of which nothing is known, if there are any.

    Raises:
        ValueError: With the images that a checkpoint was trained on.
    """
    check = TrainingCheck(source, truths, names)
    if check.trained:
        raise ValueError(
            f'{source.path}: {check.sentence}; predict each image with checkpoints '
            'that held it out'
        )
    text = doubt(check, source, len(names))
    if not text:
        return []
    return [
        f'CAUTION: {source.path}: {text}; thresholds of training images are worthless'
    ]


def checkpoints_of(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the checkpoints that the settings of ``prediction.json`` tell of."""
    found = settings.get('checkpoints')
    found = found if isinstance(found, list) else []
    return [checkpoint for checkpoint in found if isinstance(checkpoint, dict)]


def _trained_on(
    checkpoint: Mapping[str, Any],
    keys: Mapping[str, set[str]],
    folds: Mapping[str, int],
) -> dict[str, bool | None]:
    """Tell of each image whether a checkpoint was trained on it; None if unknown.

    Images are known by id, original size and data source, or else by their fold in the
    very table that the checkpoint was trained with.

    Args:
        checkpoint: Entry of ``prediction.json``.
        keys: What each image may be called in it, by id.
        folds: Fold of each image of the truth, by id.
    """
    images = set(checkpoint.get('train_images') or ())
    same_table = bool(folds) and checkpoint.get('folds_id') == folds_id(folds)
    known: dict[str, bool | None] = {}
    for name, names in keys.items():
        if 'train_images' in checkpoint and names:
            known[name] = not names.isdisjoint(images)
        elif 'fold' in checkpoint and same_table and name in folds:
            # a fold of None is none that was held out
            known[name] = folds[name] != checkpoint['fold']
        else:
            known[name] = None
    return known


def _keys_of(name: str, sources: Sequence[MaskSource]) -> set[str]:
    """Return what an image may be called in checkpoints; empty if too little is known.

    Where truth and prediction differ, each may be right.
    """
    there = [source for source in sources if name in source.table.index]
    shapes = {shape for source in there if (shape := source.size(name))}
    data_sources = {source.table.data_source[name] for source in there} - {''}
    return {image_key(name, shape, s) for shape in shapes for s in data_sources}


def _folds_of(truths: MaskSource | None) -> dict[str, int]:
    """Return the fold of each image, empty where there are none."""
    if truths is None or 'fold' not in truths.table or truths.table.fold.hasnans:
        return {}
    return {str(name): int(fold) for name, fold in truths.table.fold.items()}


def _describe(checkpoint: Mapping[str, Any]) -> str:
    """Name a checkpoint, and the fold that it held out."""
    name = str(checkpoint.get('path', 'its checkpoint'))
    if 'fold' not in checkpoint:
        return name
    fold = checkpoint['fold']
    return f'{name} ({"held out no fold" if fold is None else f"held out fold {fold}"})'


def _why_unknown(source: MaskSource) -> str:
    """Say what is missing, and what to do."""
    told = [
        c for c in checkpoints_of(source.settings) if 'fold' in c or 'train_images' in c
    ]
    if told:
        return (
            'the checkpoints know their training images by name, size and data '
            'source. Predict again with the --data-source that these images had in '
            'training, or give the prepared folder of the training as GT, and this '
            'can be checked'
        )
    return (
        'the checkpoints do not say what they were trained on, or prediction.json is '
        'missing; only you can know'
    )
