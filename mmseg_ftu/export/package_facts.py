"""What a BioImage.IO package says of a model, beside its weights."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmseg_ftu.engine.config_thresholds import thresholds_of
from mmseg_ftu.engine.model_folder import NO_UNIT
from mmseg_ftu.export.probability import Probability
from mmseg_ftu.inference.checkpoint_recipe import recipe_of
from mmseg_ftu.io.pixel_size import LARGEST, SMALLEST
from mmseg_ftu.recipe import NO_STAINS, UNKNOWN_STAINS
from mmseg_ftu.thresholds import organ_alone, source_without_entry, threshold_for

NAME = re.compile(r'[A-Za-z0-9_+\- ()]{1,64}')
MOST_LETTERS = 100


@dataclass(frozen=True)
class PackageFacts:
    """What a package says of a model.

    Attributes:
        name: Name of the model: letters from a to z, digits, ``_+-()`` and spaces, up
            to 64.
        authors: Names of the authors, at least one.
        license: SPDX identifier of the licence of the weights.
        unit: Name of the class that is found; QuPath's name of the output channel.
        organ: Organ of the images; chooses the pixel size and the threshold.
        data_source: Data source of the images; chooses the threshold.
        pixel_size: Pixel size of the training images, um/px; None if unknown.
        pixel_sizes: The same of each organ, where the checkpoint knows them.
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
    pixel_sizes: Mapping[str, float] = field(default_factory=dict)
    training_size: int | None = None
    stain: str = NO_STAINS
    threshold: float = 0.5
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    written: str | None = None

    def __post_init__(self) -> None:
        check_words(self.name, self.authors, self.license, self.organ, self.unit)
        size = self.pixel_size
        if size is not None and not SMALLEST <= size <= LARGEST:
            raise ValueError(
                f'--training-pixel-size {size:g}: give {SMALLEST:g} to {LARGEST:g} '
                'um/px'
            )

    @property
    def normalises_stains(self) -> bool:
        """Tell whether the model was trained on normalised stains."""
        return self.stain not in (NO_STAINS, UNKNOWN_STAINS)


def check_words(
    name: str,
    authors: Sequence[str],
    license: str,
    organ: str | None,
    unit: str | None,
) -> None:
    """Check the words of a description, by the options that give them.

    Raises:
        ValueError: If the format, a table or a page could not hold one.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f'--name {name!r} (by default that of the config or the folder): give up '
            'to 64 letters from a to z, digits, spaces or any of _+-()'
        )
    given = [('--author', author) for author in authors] or [('--author', '')]
    given += [('--license', license)]
    given += [
        (o, t) for o, t in (('--organ', organ), ('--unit', unit)) if t is not None
    ]
    for option, text in given:
        is_plain = text.isprintable() and not {*text} & {*'/|<>'}
        if not text.strip() or not is_plain or len(text) > MOST_LETTERS:
            raise ValueError(
                f'{option} {text!r}: give a name of up to {MOST_LETTERS} letters, '
                'without / | < > and line breaks'
            )


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
    doubt = source_without_entry(thresholds, data_source)
    if data_source is None:
        doubt = organ_alone(thresholds, organ)
    if doubt:
        print_log(doubt, 'current', logging.WARNING)
    known = recipe.pixel_size_by_organ
    if organ and known and organ not in known:
        print_log(
            f'--organ {organ}: the training images are of {", ".join(known)}',
            'current',
            logging.WARNING,
        )
    return PackageFacts(
        name=name,
        authors=tuple(authors),
        license=license,
        unit=unit or organ or NO_UNIT,
        organ=organ,
        data_source=data_source,
        pixel_size=(
            recipe.pixel_size_of(organ)
            if training_pixel_size is None
            else training_pixel_size
        ),
        pixel_sizes=recipe.pixel_size_by_organ if training_pixel_size is None else {},
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
