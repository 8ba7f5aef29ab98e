"""What to write of a prediction, and under which names."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from mmseg_ftu.inference.choices import (
    KINDS,
    MASK_FORMATS,
    OBJECT_TYPES,
    ORIGINS,
    OUTLINES,
    SMOOTH,
)
from mmseg_ftu.masks.object_types import MOST_OBJECTS
from mmseg_ftu.units.unit_names import unit_name


@dataclass(frozen=True)
class FileOptions:
    """What to write, and what to do to the mask before.

    Attributes:
        kinds: Kinds of files to write, from `KINDS`.
        fill_holes: Fill holes in objects.
        max_hole_um2: Leave larger holes open, um^2; None fills all.
        min_area_um2: Drop smaller objects, um^2.
        min_area_px: Drop smaller objects, px of the original.
        split_um: Split objects that touch, with this depth, um; see
            ``masks.split_touching``.
        split_px: The same in px of the original; one of them may be given.
        outline: Outlines in GeoJSON: ``'exact'``, along the edges of pixels, or
            ``'smooth'``, with fewer points. None is smooth where ``simplify`` is given.
        simplify: Largest distance of a smooth outline from the exact one, px; None is
            1.5 px.
        object_type: Type of the objects in QuPath, ``'annotation'`` or ``'detection'``;
            ``'auto'`` takes detections for more than 2000.
        geojson_gz: Compress GeoJSON.
        max_objects: The most objects of an image in GeoJSON: the largest.
        origin: Where coordinates in GeoJSON begin, for slides with an empty canvas
            around the scanned part: at that part (``'bounds'``), as in QuPath, or at
            the corner of the canvas (``'slide'``).
        mask_format: Format of the masks: ``'png'``, ``'tif'``, or ``'auto'``: PNG up to
            8192 px a side.
        class_name: Name of the units in GeoJSON and tables; None is by organ.

    Raises:
        ValueError: If one of them is unknown or out of range.
    """

    kinds: tuple[str, ...] = ('masks', 'overlays')
    fill_holes: bool = False
    max_hole_um2: float | None = None
    min_area_um2: float | None = None
    min_area_px: float | None = None
    split_um: float | None = None
    split_px: float | None = None
    outline: str | None = None
    simplify: float | None = None
    object_type: str = 'auto'
    geojson_gz: bool = False
    max_objects: int = MOST_OBJECTS
    origin: str = 'bounds'
    mask_format: str = 'auto'
    class_name: str | None = None

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise ValueError(f'save {list(self.kinds)}: choose from {", ".join(KINDS)}')
        for name in ('max_hole_um2', 'min_area_um2', 'min_area_px', 'simplify'):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f'{name}={value}: give 0 or more')
        if self.max_hole_um2 is not None and not self.fill_holes:
            raise ValueError(
                '--max-hole-um2 limits --fill-holes: give that too, or leave it out'
            )
        if self.max_objects < 1:
            raise ValueError(f'max_objects={self.max_objects}: give 1 or more')
        self._check_outline()
        self._check_split()
        if self.object_type not in OBJECT_TYPES:
            raise ValueError(f'object_type: choose from {", ".join(OBJECT_TYPES)}')
        if self.origin not in ORIGINS:
            raise ValueError(f'origin: choose from {", ".join(ORIGINS)}')
        if self.mask_format not in MASK_FORMATS:
            raise ValueError(f'mask_format: choose from {", ".join(MASK_FORMATS)}')

    def _check_outline(self) -> None:
        if self.outline not in (None, *OUTLINES):
            raise ValueError(f'outline: choose from {", ".join(OUTLINES)}')
        if self.outline == 'exact' and self.simplify:
            raise ValueError(
                f'--outline exact and --simplify {self.simplify:g}: exact outlines '
                'keep all points; leave out one of them'
            )
        if self.outline == 'smooth' and self.simplify == 0:
            raise ValueError(
                '--outline smooth and --simplify 0: give a distance above 0 px'
            )

    def _check_split(self) -> None:
        given = [d for d in (self.split_um, self.split_px) if d is not None]
        if len(given) > 1:
            raise ValueError(
                '--split-touching-um and --split-touching-px: give one of them'
            )
        if given and not 0 < given[0] < math.inf:
            raise ValueError(
                f'--split-touching {given[0]}: give a positive number, or leave it out'
            )

    def unit_name(self, organ: str | None) -> str:
        """Return what the units of an image are called."""
        return self.class_name or unit_name(organ)

    @property
    def splits(self) -> bool:
        """Whether objects that touch are split."""
        return self.split_um is not None or self.split_px is not None

    @property
    def deviation(self) -> float:
        """Largest distance of an outline in GeoJSON from the exact one, px."""
        if self.outline == 'smooth':
            return SMOOTH if self.simplify is None else self.simplify
        return self.simplify or 0.0

    @property
    def geojson_suffix(self) -> str:
        """End of the names of GeoJSON files."""
        return '.geojson.gz' if self.geojson_gz else '.geojson'

    def state(self) -> dict[str, Any]:
        """Return the options, fit for JSON."""
        state = asdict(self) | {'kinds': sorted(self.kinds)}
        del state['outline']  # two ways to say the same
        if self.class_name is None:
            del state['class_name']  # absent in folders of earlier versions
        return state | {'simplify': self.deviation}


def possible_files(name: str, options: FileOptions) -> list[str]:
    """Return all files that `write_files` may write of an image.

    Args:
        name: Id of the image.
        options: What is to be written.

    Returns:
        Names relative to the folder. Masks and GeoJSON have either of their suffixes,
        also where the format is given: two of one image would be ambiguous.
    """
    suffixes = {
        'masks': ('.png', '.tif'),
        'overlays': ('.jpg',),
        'geojson': ('.geojson', '.geojson.gz'),
        'probabilities': ('.tif',),
        'units': ('.csv',),
    }
    return [
        f'{kind}/{name}{suffix}'
        for kind in options.kinds
        for suffix in suffixes.get(kind, ())
    ]
