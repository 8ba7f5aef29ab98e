"""What a BioImage.IO package says of a model, beside its weights."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mmengine.config import Config

from mmseg_ftu.engine.config_thresholds import thresholds_of
from mmseg_ftu.export.probability import Probability
from mmseg_ftu.inference.checkpoint_recipe import recipe_of
from mmseg_ftu.recipe import NO_STAINS, UNKNOWN_STAINS
from mmseg_ftu.thresholds import threshold_for

NAME = re.compile(r'[\w\- ()]{5,64}')
WORDS = re.compile(r'\S.*')


@dataclass(frozen=True)
class PackageFacts:
    """What a package says of a model.

    Attributes:
        name: Name of the model: letters, digits, ``_-()`` and spaces, 5 to 64.
        authors: Names of the authors, at least one.
        license: SPDX identifier of the licence of the weights.
        unit: Name of the class that is found; QuPath's name of the output channel.
        organ: Organ of the images; chooses the pixel size and the threshold.
        data_source: Data source of the images; chooses the threshold.
        pixel_size: Pixel size of the training images, um/px; None if unknown.
        training_size: Longer side of the training images, px; None if unknown.
        stain: Name of the stain normalisation of training, not in the package.
        threshold: Probability above which a pixel is foreground.
        thresholds: The whole table, as `mmseg_ftu.thresholds.threshold_for` takes it.
        written: When the checkpoint was written, ISO 8601; None if unknown.
    """

    name: str
    authors: Sequence[str]
    license: str
    unit: str
    organ: str | None = None
    data_source: str | None = None
    pixel_size: float | None = None
    training_size: int | None = None
    stain: str = NO_STAINS
    threshold: float = 0.5
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    written: str | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f'--name {self.name!r}: give 5 to 64 letters, digits, spaces or any '
                'of _-()'
            )
        given = [('--author', name) for name in self.authors] or [('--author', '')]
        given += [('--license', self.license), ('--unit', self.unit)]
        for option, text in given:
            if not WORDS.fullmatch(text) or '/' in text:
                raise ValueError(f'{option} {text!r}: give a name without a slash')
        if self.pixel_size is not None and not 0 < self.pixel_size < float('inf'):
            raise ValueError(
                f'--training-pixel-size {self.pixel_size}: give a positive number'
            )

    @property
    def normalises_stains(self) -> bool:
        """Tell whether the model was trained on normalised stains."""
        return self.stain not in (NO_STAINS, UNKNOWN_STAINS)


def facts_of(
    model: Probability,
    cfg: Config,
    *,
    name: str,
    authors: Sequence[str],
    license: str,
    unit: str | None = None,
    organ: str | None = None,
    data_source: str | None = None,
    training_pixel_size: float | None = None,
) -> PackageFacts:
    """Collect what a config and a checkpoint say of a model.

    Raises:
        ValueError: If one of the arguments cannot be used.
    """
    recipe = recipe_of(cfg, [model.meta], None, training_pixel_size, NO_STAINS)
    thresholds = thresholds_of(cfg)
    return PackageFacts(
        name=name,
        authors=tuple(authors),
        license=license,
        unit=unit or organ or 'foreground',
        organ=organ,
        data_source=data_source,
        pixel_size=recipe.pixel_size_of(organ),
        training_size=recipe.size,
        stain=model.stain,
        threshold=threshold_for(thresholds, data_source, organ),
        thresholds=thresholds,
        written=_iso(model.written),
    )


def _iso(written: str) -> str | None:
    try:
        return datetime.strptime(written, '%Y%m%d_%H%M%S').isoformat()
    except ValueError:
        return None
