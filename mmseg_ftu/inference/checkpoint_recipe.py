"""What a model expects of an image: the size and the stains that it was trained on.

Training data are prepared once, and ``HuBMAPDataset`` writes how into each checkpoint.
So a checkpoint alone tells what has to be done to a new image; options are for
checkpoints of other origin, and for those who know better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_ftu.recipe import ALIKE, NO_STAINS, UNKNOWN_STAINS, Recipe, StainStep
from mmseg_ftu.stain import load_target

KNOWN_TRANSFORMS = {
    *('LoadImageFromFile', 'RestoreOriginalShape', 'Resize', 'LoadAnnotations'),
    *('PackSegInputs', 'StainNormalize', 'TestTimeAug'),
}


def recipe_of(
    cfg: Config,
    metas: Sequence[Mapping[str, Any]],
    size: int | None = None,
    pixel_size: float | None = None,
    stain_target: str | Path | None = None,
) -> Recipe:
    """Find out what the checkpoints expect.

    Args:
        cfg: The config; used where a checkpoint says nothing.
        metas: ``dataset_meta`` of each checkpoint.
        size: Longer side to resize to, px; None takes that of training.
        pixel_size: Pixel size of the training images, um/px; None asks the checkpoints.
        stain_target: Stain target's file, or ``'none'``; None takes that of training.

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
    if pixel_size:  # for all organs
        return replace(recipes[0], pixel_size=pixel_size, pixel_size_by_organ={})
    organs = {organ for recipe in recipes for organ in recipe.pixel_size_by_organ}
    by_organ = {
        organ: _common_pixel_size([r.pixel_size_by_organ.get(organ) for r in recipes])
        for organ in sorted(organs)
    }
    return replace(
        recipes[0],
        pixel_size=_common_pixel_size([recipe.pixel_size for recipe in recipes]),
        pixel_size_by_organ={o: size for o, size in by_organ.items() if size},
    )


def _common_pixel_size(pixel_sizes: Sequence[float | None]) -> float | None:
    """Return the mean of pixel sizes that are nearly one; None where one is unknown."""
    known = [pixel_size for pixel_size in pixel_sizes if pixel_size]
    if len(known) < len(pixel_sizes):
        return None
    if max(known) > ALIKE * min(known):
        listed = ', '.join(f'{pixel_size:.4g}' for pixel_size in known)
        raise ValueError(
            f'the checkpoints were trained at different pixel sizes ({listed} um/px): '
            'predict with those that agree, or say --training-pixel-size'
        )
    return sum(known) / len(known)


def check_pipeline(cfg: Config) -> None:
    """Raise ValueError if the test pipeline does what prediction would not do."""
    for transform in cfg.get('test_pipeline', ()):
        if transform['type'] not in KNOWN_TRANSFORMS:
            raise ValueError(
                f'test_pipeline holds {transform["type"]!r}, which predict.py does not '
                f'run (it knows {", ".join(sorted(KNOWN_TRANSFORMS))}): move it into '
                "the model's data_preprocessor"
            )


def _recipe_of_one(
    cfg: Config,
    meta: Mapping[str, Any],
    stain_target: str | Path | None,
    size_given: bool,
) -> Recipe:
    entry = meta.get('preparation')
    if not isinstance(entry, Mapping | None):
        raise ValueError(
            f'the checkpoint: preparation={str(entry)[:40]!r} cannot be understood: '
            'fetch the file again'
        )
    entry = entry or {}
    target = _online_target(cfg) if stain_target is None else str(stain_target)
    if target is not None:  # in place of what the checkpoint holds
        entry = {**entry, 'stain': None}
    recipe = Recipe.from_dict(entry, 'the checkpoint')
    if target is not None and target != NO_STAINS:
        recipe = replace(recipe, stain=StainStep.of(load_target(target)))
    elif target is None and recipe.stain is None:
        _refuse_unkept_stains(meta)
    size = None if size_given else _size_of_pipeline(cfg)
    return recipe.at_size(size) if size else recipe


def _refuse_unkept_stains(meta: Mapping[str, Any]) -> None:
    """Raise ValueError if a checkpoint names stains that it does not hold."""
    name = meta.get('stain', NO_STAINS)
    if name not in (NO_STAINS, UNKNOWN_STAINS):
        raise ValueError(
            f'the checkpoint was trained on stains {name!r} but does not hold '
            'them: give the target with --stain-target FILE, or none'
        )


def _size_of_pipeline(cfg: Config) -> int | None:
    """Return the longer side that ``Resize`` brings prepared images to, px.

    A folder may be prepared at another size than that of the config.

    Raises:
        ValueError: If it brings them to a shape or to another side.
    """
    for transform in cfg.get('test_pipeline', ()):
        if transform['type'] == 'Resize':
            scale, keeps = transform.get('scale'), transform.get('keep_ratio', False)
            found = scale if isinstance(scale, list | tuple) else [scale]
            usable = all(type(side) is int and side > 0 for side in found)
            sides = {*found} if usable else set()
            if len(sides) != 1 or not keeps:
                raise ValueError(
                    f'test_pipeline: Resize(scale={scale}, keep_ratio={keeps}) is not '
                    'a longer side, and predict.py resizes to a longer side: give the '
                    'one that fits with --size'
                )
            return int(sides.pop())
    return None


def _online_target(cfg: Config) -> str | None:
    """Return the target of a ``StainNormalize`` in the test pipeline."""
    for transform in cfg.get('test_pipeline', ()):
        if transform['type'] == 'StainNormalize':
            return str(transform['target'])
    return None
