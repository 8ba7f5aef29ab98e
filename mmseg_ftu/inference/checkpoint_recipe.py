"""What a model expects of an image: the size and the stains that it was trained on.

Training data are prepared once, and ``HuBMAPDataset`` writes how into each checkpoint.
So a checkpoint alone tells what has to be done to a new image; options are for
checkpoints of other origin, and for those who know better.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmengine.config import Config

from mmseg_ftu.preparation.staining import stain_entry
from mmseg_ftu.stain import load_target

KNOWN_TRANSFORMS = {
    *('LoadImageFromFile', 'RestoreOriginalShape', 'Resize', 'LoadAnnotations'),
    *('PackSegInputs', 'StainNormalize', 'TestTimeAug'),
}
# Pixel sizes that differ by less count as one: those of organs, and those of members of
# an ensemble, which are medians over other images.
ALIKE = 1.1


@dataclass(frozen=True)
class Recipe:
    """How images become what the network sees.

    Attributes:
        size: Longer side, px; None where training images kept their size.
        pixel_size: Of the training images, um/px, where known (their median).
        stain: The manifest's entry: ``id``, ``order`` and ``state``; None for none.
        pixel_size_by_organ: As ``pixel_size``, of the images of each organ for which it
            is known.
    """

    size: int | None
    pixel_size: float | None
    stain: dict | None = None
    pixel_size_by_organ: dict[str, float] = field(default_factory=dict)

    @property
    def stain_name(self) -> str:
        """Name the normalisation as ``HuBMAPDataset`` does."""
        return f'{self.stain["id"]} {self.stain["order"]}' if self.stain else 'none'

    def pixel_size_of(self, organ: str | None) -> float | None:
        """Return the training images' pixel size of an organ, um/px.

        Where the organ is not known, or none of those trained on, that of all images,
        with a warning if the organs differ.
        """
        by_organ = {name.lower(): x for name, x in self.pixel_size_by_organ.items()}
        if organ and organ.lower() in by_organ:
            return by_organ[organ.lower()]
        names = sorted(by_organ, key=by_organ.__getitem__)
        if names and by_organ[names[-1]] > ALIKE * by_organ[names[0]]:
            image = f'images of {organ!r}' if organ else 'images of an unknown organ'
            warnings.warn(
                f'{image} are brought to {self.pixel_size:.3g} um/px, the median of '
                'training, where the organs differ, from '
                f'{by_organ[names[0]]:.3g} ({names[0]}) to {by_organ[names[-1]]:.3g} '
                f'({names[-1]}): give --organ, or --training-pixel-size',
                stacklevel=2,
            )
        return self.pixel_size


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
    preparation = meta.get('preparation')
    preparation = preparation if isinstance(preparation, Mapping) else {}
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
    recipe = Recipe(
        preparation.get('size'),
        preparation.get('pixel_size'),
        stain,
        dict(preparation.get('pixel_size_by_organ') or {}),
    )
    size = None if size_given else _size_of_pipeline(cfg)
    if not size or size == recipe.size:
        return recipe
    pixel_size, by_organ = None, {}
    if recipe.size:
        scale = recipe.size / size
        pixel_size = recipe.pixel_size and recipe.pixel_size * scale
        by_organ = {organ: x * scale for organ, x in recipe.pixel_size_by_organ.items()}
    return replace(
        recipe, size=size, pixel_size=pixel_size, pixel_size_by_organ=by_organ
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
