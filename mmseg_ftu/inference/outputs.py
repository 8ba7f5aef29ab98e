"""What is written of a prediction, and where: the layout of a prediction folder.

DIR/prediction.json     settings, checkpoints with their hashes, versions
DIR/predictions.csv     one row an image
DIR/masks/ID.png        0 and 255 at the original size (.tif above 8192 px)
DIR/probabilities/ID.tif, overlays/ID.jpg, geojson/ID.geojson, submission.csv
DIR/records/ID.json     one image that is done, with its files, or why it failed
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmseg_ftu.inference.choices import (
    KINDS,
    MASK_FORMATS,
    OBJECT_TYPES,
    OUTLINES,
    SMOOTH,
)
from mmseg_ftu.inference.predictor import Prediction
from mmseg_ftu.inference.upsample import as_rows
from mmseg_ftu.inference.writers import (
    MAX_OVERLAY_SIDE,
    mask_suffix,
    write_mask,
    write_overlay,
    write_probability,
)
from mmseg_ftu.masks.boundary import encode_columns
from mmseg_ftu.masks.geojson import outline_record, write_geojson
from mmseg_ftu.masks.objects import Objects, clean_objects, mean_probability

#: What the functional tissue units of the competition's organs are called.
UNITS = {
    'kidney': 'glomerulus',
    'largeintestine': 'crypt',
    'lung': 'alveolus',
    'prostate': 'gland',
    'spleen': 'white pulp',
}


@dataclass(frozen=True)
class FileOptions:
    """What to write, and what to do to the mask before.

    Attributes:
        kinds: Kinds of files to write, from `KINDS`.
        fill_holes: Fill holes in objects.
        max_hole_um2: Leave larger holes open, um^2; None fills all.
        min_area_um2: Drop smaller objects, um^2.
        min_area_px: Drop smaller objects, px of the original.
        outline: Outlines in GeoJSON: ``'exact'``, along the edges of pixels, or
            ``'smooth'``, with fewer points. None is smooth where ``simplify`` is given.
        simplify: Largest distance of a smooth outline from the exact one, px; None is
            1.5 px.
        object_type: Type of the objects in QuPath, ``'annotation'`` or ``'detection'``.
        mask_format: Format of the masks: ``'png'``, ``'tif'``, or ``'auto'``: PNG up to
            8192 px a side.

    Raises:
        ValueError: If one of them is unknown or out of range.
    """

    kinds: tuple[str, ...] = ('masks', 'overlays')
    fill_holes: bool = False
    max_hole_um2: float | None = None
    min_area_um2: float | None = None
    min_area_px: float | None = None
    outline: str | None = None
    simplify: float | None = None
    object_type: str = 'annotation'
    mask_format: str = 'auto'

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
        self._check_outline()
        if self.object_type not in OBJECT_TYPES:
            raise ValueError(f'object_type: choose from {", ".join(OBJECT_TYPES)}')
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

    @property
    def deviation(self) -> float:
        """Largest distance of an outline in GeoJSON from the exact one, px."""
        if self.outline == 'smooth':
            return SMOOTH if self.simplify is None else self.simplify
        return self.simplify or 0.0

    def state(self) -> dict[str, Any]:
        """Return the options, fit for JSON."""
        state = asdict(self) | {'kinds': sorted(self.kinds)}
        del state['outline']  # two ways to say the same
        return state | {'simplify': self.deviation}


def possible_files(name: str, options: FileOptions) -> list[str]:
    """Return all files that `write_files` may write of an image.

    Args:
        name: Id of the image.
        options: What is to be written.

    Returns:
        Names relative to the folder. A mask has either of its suffixes, also where the
        format is given: two masks of one image would be ambiguous.
    """
    suffixes = {
        'masks': ('.png', '.tif'),
        'overlays': ('.jpg',),
        'geojson': ('.geojson',),
        'probabilities': ('.tif',),
    }
    return [
        f'{kind}/{name}{suffix}'
        for kind in options.kinds
        for suffix in suffixes.get(kind, ())
    ]


def write_files(
    prediction: Prediction, folder: Path, options: FileOptions
) -> dict[str, Any]:
    """Write the files of one image, each in one step.

    Returns:
        What the image's record adds: files (size in bytes by name), threshold,
        foreground (share), objects (count), and, for a submission, rle.

    Raises:
        ValueError: If a limit is in um^2 and the pixel size is unknown.
    """
    objects = clean_objects(
        prediction.map.mask(),
        fill=options.fill_holes,
        max_hole_um2=options.max_hole_um2,
        min_area_um2=options.min_area_um2,
        min_area_px=options.min_area_px,
        pixel_size=prediction.map.pixel_size,
    )
    files = {}
    for kind in options.kinds:
        if kind in WRITERS:
            (folder / kind).mkdir(parents=True, exist_ok=True)
            path = WRITERS[kind](prediction, objects, folder / kind, options)
            files[f'{kind}/{path.name}'] = path.stat().st_size
    height, width = prediction.map.original_shape
    added = dict(
        files=files,
        threshold=prediction.threshold,
        foreground=objects.mask.area / (height * width),
        objects=len(objects),
    )
    if 'geojson' in options.kinds:
        added['outlines'] = outline_record(options.deviation, prediction.map.pixel_size)
    if 'submission' in options.kinds:
        added['rle'] = encode_columns(objects.mask)
    return added


def _mask(
    prediction: Prediction, objects: Objects, folder: Path, options: FileOptions
) -> Path:
    shape = objects.mask.shape
    suffix = f'.{options.mask_format}'
    if options.mask_format == 'auto':
        suffix = mask_suffix(shape)
    path = folder / f'{prediction.loaded.job.id}{suffix}'
    write_mask(path, objects.mask.strips(), shape, prediction.map.pixel_size)
    return path


def _overlay(
    prediction: Prediction, objects: Objects, folder: Path, options: FileOptions
) -> Path:
    image = prediction.loaded.thumbnail(MAX_OVERLAY_SIDE)
    path = folder / f'{prediction.loaded.job.id}.jpg'
    write_overlay(path, image, objects.mask)
    return path


def _geojson(
    prediction: Prediction, objects: Objects, folder: Path, options: FileOptions
) -> Path:
    job = prediction.loaded.job
    path = folder / f'{job.id}.geojson'
    write_geojson(
        path,
        objects,
        name=UNITS.get(job.organ or '', 'FTU'),
        object_type=options.object_type,
        pixel_size=prediction.map.pixel_size,
        mean_probability=mean_probability(objects, prediction.map.strips()),
        simplify=options.deviation,
    )
    return path


def _probability(
    prediction: Prediction, objects: Objects, folder: Path, options: FileOptions
) -> Path:
    """Write the map at the original size, or as it is where that is a slide's."""
    probability, path = prediction.map, folder / f'{prediction.loaded.job.id}.tif'
    if mask_suffix(probability.original_shape) == '.png':
        strips, shape = probability.strips(), probability.original_shape
    else:
        source = as_rows(probability.source)
        shape = source.shape
        strips = (
            source.rows(y, min(y + 512, shape[0])) for y in range(0, shape[0], 512)
        )
    size = probability.pixel_size
    if size is not None:
        size *= probability.original_shape[1] / shape[1]
    write_probability(path, strips, shape, size)
    return path


WRITERS: dict[str, Callable[[Prediction, Objects, Path, FileOptions], Path]] = {
    'masks': _mask,
    'overlays': _overlay,
    'geojson': _geojson,
    'probabilities': _probability,
}
