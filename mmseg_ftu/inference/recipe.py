"""What a model expects of an image: the size and the stains that it was trained on.

Training data are prepared once, and ``HuBMAPDataset`` writes how into each checkpoint.
So a checkpoint alone tells what has to be done to a new image; options are for
checkpoints of other origin, and for those who know better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmengine.config import Config

from ..preparation.staining import stain_entry
from ..stain import load_target

KNOWN_TRANSFORMS = {
    *('LoadImageFromFile', 'RestoreOriginalShape', 'Resize', 'LoadAnnotations'),
    *('PackSegInputs', 'StainNormalize', 'TestTimeAug'),
}
PIXEL_SIZES_DIFFER = 0.1  # folds of one folder have slightly different medians


@dataclass(frozen=True)
class Recipe:
    """How images become what the network sees.

    Attributes:
        size: Longer side, px; None where training images kept their size.
        pixel_size: Of the training images, um/px, where known (their median).
        stain: The manifest's entry: ``id``, ``order`` and ``state``; None for none.
    """

    size: int | None
    pixel_size: float | None
    stain: dict | None = None

    @property
    def stain_name(self) -> str:
        """Name the normalisation as ``HuBMAPDataset`` does."""
        return f'{self.stain["id"]} {self.stain["order"]}' if self.stain else 'none'


def recipe_of(
    cfg: Config,
    metas: Sequence[Mapping],
    size: int | None = None,
    pixel_size: float | None = None,
    stain_target: str | Path | None = None,
) -> Recipe:
    """Find out what the checkpoints expect.

    Args:
        cfg: The config; used where a checkpoint says nothing.
        metas: ``dataset_meta`` of each checkpoint.
        size: Longer side to resize to, px, instead.
        pixel_size: Of the training images, um/px, instead.
        stain_target: Target file instead, or ``'none'``.

    Raises:
        ValueError: If the checkpoints differ, ``Resize`` of the config is not to a
            longer side and no ``size`` is given, or one names a normalisation without
            holding it.
    """
    check_pipeline(cfg)
    recipes = [_recipe_of_one(cfg, meta, stain_target, bool(size)) for meta in metas]
    if size:
        recipes = [replace(recipe, size=size) for recipe in recipes]
    different = {(r.size, r.stain_name) for r in recipes}
    if len(different) > 1:
        raise ValueError(
            f'the checkpoints were trained on differently prepared images: '
            f'{sorted(different, key=str)}; predict with those that agree, or say '
            '--size and --stain-target'
        )
    if pixel_size is None:
        pixel_size = _common_pixel_size([recipe.pixel_size for recipe in recipes])
    return replace(recipes[0], pixel_size=pixel_size)


def _common_pixel_size(pixel_sizes: Sequence[float | None]) -> float | None:
    """Return the mean of pixel sizes that are nearly one; None where one is unknown."""
    known = [pixel_size for pixel_size in pixel_sizes if pixel_size]
    if len(known) < len(pixel_sizes):
        return None
    if max(known) > (1 + PIXEL_SIZES_DIFFER) * min(known):
        listed = ', '.join(f'{pixel_size:.4g}' for pixel_size in known)
        raise ValueError(
            f'the checkpoints were trained at different pixel sizes ({listed} um/px): '
            'predict with those that agree, or say --training-pixel-size'
        )
    return sum(known) / len(known)


def check_pipeline(cfg: Config) -> None:
    """Raise ValueError if the test pipeline does what prediction wouldn't do."""
    for transform in cfg.get('test_pipeline', ()):
        if transform['type'] not in KNOWN_TRANSFORMS:
            raise ValueError(
                f'test_pipeline holds {transform["type"]!r}, which predict.py does not '
                f'run (it knows {", ".join(sorted(KNOWN_TRANSFORMS))}): move it into '
                "the model's data_preprocessor"
            )


def _recipe_of_one(
    cfg: Config, meta: Mapping, stain_target: str | Path | None, size_given: bool
) -> Recipe:
    preparation = meta.get('preparation') or {}
    stain = preparation.get('stain')
    if stain_target is not None:
        stain = (
            None
            if str(stain_target) == 'none'
            else stain_entry(load_target(stain_target))
        )
    elif _online_target(cfg):
        stain = stain_entry(load_target(_online_target(cfg)))
    elif stain is None and meta.get('stain', 'none') not in ('none', 'unknown'):
        raise ValueError(
            f'the checkpoint was trained on stains {meta["stain"]!r} but does not hold '
            'them: give the target with --stain-target FILE, or none'
        )
    recipe = Recipe(preparation.get('size'), preparation.get('pixel_size'), stain)
    size = None if size_given else _size_of_pipeline(cfg)
    if not size or size == recipe.size:
        return recipe
    pixel_size = (
        recipe.pixel_size and recipe.size and (recipe.pixel_size * recipe.size / size)
    )
    return replace(recipe, size=size, pixel_size=pixel_size)


def _size_of_pipeline(cfg: Config) -> int | None:
    """Return the longer side that ``Resize`` brings prepared images to, px.

    A folder may be prepared at another size than that of the config.

    Raises:
        ValueError: If it brings them to a shape or to another side.
    """
    for transform in cfg.get('test_pipeline', ()):
        if transform['type'] == 'Resize':
            scale, keeps = transform.get('scale'), transform.get('keep_ratio', False)
            sides = {scale} if isinstance(scale, int) else {*(scale or ())}
            if len(sides) != 1 or not keeps:
                raise ValueError(
                    f'test_pipeline: Resize(scale={scale}, keep_ratio={keeps}) is not '
                    'a longer side, and predict.py resizes to a longer side: give the '
                    'one that fits with --size'
                )
            return sides.pop()
    return None


def _online_target(cfg: Config) -> str | None:
    """Return the target of a ``StainNormalize`` in the test pipeline."""
    for transform in cfg.get('test_pipeline', ()):
        if transform['type'] == 'StainNormalize':
            return transform['target']
    return None
