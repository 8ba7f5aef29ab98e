"""What is asked for when slides are prepared: tiles, classes, and details."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_ftu.io.pixel_size import LARGEST, SMALLEST
from mmseg_ftu.masks.class_names import tidy
from mmseg_ftu.preparation.number_limits import LARGEST_SIZE, require_between
from mmseg_ftu.preparation.records import PreparationError

ORIGINS = ('slide', 'bounds')


@dataclass(frozen=True)
class SlideOptions:
    """How slides and their annotations become tiles.

    Attributes:
        slides: Folder of slides or images, or one of them.
        annotations: Folder of files of annotations, or one of them.
        pixel_size: Pixel size of the tiles, um/px.
        tile: Side of a tile, px.
        overlap: The least overlap of neighbouring tiles, px, up to half of a tile.
        classes: Names or patterns of the classes of units; empty for all that are
            neither regions nor ignored.
        regions: Classes whose outlines say what was annotated; the rest is ignored.
            Empty where all of a slide was.
        ignored: Classes whose outlines are ignored.
        negatives: Number of tiles without a unit for each tile with one.
        least_tissue: Least share of tissue in a tile without a unit, 0..1.
        empty: ``'refuse'``, ``'keep'`` or ``'skip'`` slides without a unit.
        origin: Corner from which coordinates are counted where a slide has an empty
            canvas: that of the ``'slide'``, or that of the ``'bounds'`` of its scanned
            part, as QuPath does; None refuses such slides.
        index: Table with a row for each slide; None for none.
        id_column: Column of the slides' names without extension.
        group: Column of the table with patients or other groups, or a pattern of the
            slides' names whose part in brackets is the group; '' for none.
        organ_column: Column of the table with organs; '' if all are of one ``organ``.
        organ: Organ of all slides.
        data_source: Name of the data set.
        pixel_size_column: Column of the table with the slides' own pixel sizes, um/px.
        slide_pixel_size: Pixel size of slides without one in the table, um/px, as text;
            '' takes that of the file.
        fold_column: Column of the table with folds; '' for none.

    Raises:
        PreparationError: If a number is out of range.
    """

    slides: Path
    annotations: Path
    pixel_size: float
    tile: int = 512
    overlap: int = 0
    classes: Sequence[str] = ()
    regions: Sequence[str] = ()
    ignored: Sequence[str] = ()
    negatives: float = 1.0
    least_tissue: float = 0.25
    empty: str = 'refuse'
    origin: str | None = None
    index: Path | None = None
    id_column: str = 'id'
    group: str = ''
    organ_column: str = ''
    organ: str = ''
    data_source: str = 'own'
    pixel_size_column: str = ''
    slide_pixel_size: str = ''
    fold_column: str = ''

    def __post_init__(self) -> None:
        if not SMALLEST <= self.pixel_size <= LARGEST:
            raise PreparationError(
                f'--pixel-size {self.pixel_size:g}: give {SMALLEST:g} to {LARGEST:g} '
                'um/px'
            )
        self._check_slide_pixel_size()
        self._check_classes()
        require_between('--tile', self.tile, 32, LARGEST_SIZE, 'px')
        require_between('--overlap', self.overlap, 0, self.tile // 2, 'px')
        if not 0 <= self.negatives < math.inf:
            raise PreparationError(f'--negatives {self.negatives}: give 0 or more')
        if not 0 <= self.least_tissue <= 1:
            raise PreparationError(f'--least-tissue {self.least_tissue}: give 0 to 1')

    def _check_slide_pixel_size(self) -> None:
        given = self.slide_pixel_size
        try:
            is_plausible = not given or SMALLEST <= float(given) <= LARGEST
        except ValueError:
            is_plausible = False
        if not is_plausible:
            raise PreparationError(
                f'--slide-pixel-size {given}: give {SMALLEST:g} to {LARGEST:g} um/px'
            )

    def _check_classes(self) -> None:
        option_of: dict[str, str] = {}
        for option, names in (
            ('--class', self.classes),
            ('--region', self.regions),
            ('--ignore', self.ignored),
        ):
            for name in {tidy(name) for name in names}:
                if name in option_of:
                    raise PreparationError(
                        f'{option_of[name]} and {option} both name {name!r}; leave it '
                        'out of one of them'
                    )
                option_of[name] = option

    def settings(self) -> dict[str, Any]:
        """Return what shapes the tiles, for the manifest."""
        return {
            'tool': 'prepare_slides',
            'source': self.slides.resolve().name,
            'annotations': self.annotations.resolve().name,
            'size': None,
            'pixel_size': self.pixel_size,
            'tile': self.tile,
            'overlap': self.overlap,
            'classes': list(self.classes),
            'regions': list(self.regions),
            'ignored': list(self.ignored),
            'negatives': self.negatives,
            'least_tissue': self.least_tissue,
            'empty': self.empty,
            'origin': self.origin,
        }
