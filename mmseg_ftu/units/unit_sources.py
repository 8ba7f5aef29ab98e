"""Where units come from: masks in any layout that ``evaluate`` reads, or GeoJSON."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from mmseg_ftu.evaluation.mask_sources import MaskSource, open_masks
from mmseg_ftu.io.image_files import take_images
from mmseg_ftu.io.images import FORMAT_OF_SUFFIX
from mmseg_ftu.io.listing import some_of
from mmseg_ftu.io.raster import IGNORE_LABEL
from mmseg_ftu.io.sources import SLIDE_SUFFIXES, open_source
from mmseg_ftu.masks.annotations import Annotation
from mmseg_ftu.masks.clean_objects import clean_objects
from mmseg_ftu.masks.fill_polygons import fill_polygons
from mmseg_ftu.masks.label_image import objects_of_labels
from mmseg_ftu.masks.objects import Objects, mean_probability, objects_of_runs
from mmseg_ftu.masks.read_annotations import SUFFIXES, read_annotations, stem_of
from mmseg_ftu.masks.run_mask import RunMask

FOREGROUND = 1


@dataclass(frozen=True)
class FoundUnits:
    """Units of one image and one class.

    Attributes:
        objects: The units. Those of GeoJSON may overlap, so each has its own.
        class_name: Class that the file says; None if it does not.
        counted_px: Pixels of the image that are not ignored.
        numbers: Labels of an instance map, or places in a file; None counts from 1.
        mean_probability: Mean probability of each, (N,); None if unknown.
        covered_px: Pixels that are units; None where no two units overlap.
    """

    objects: list[Objects]
    class_name: str | None
    counted_px: int
    numbers: list[int] | None = None
    mean_probability: np.ndarray | None = None
    covered_px: int | None = None


class MaskUnits:
    """Units of masks; see ``open_masks`` for what is read.

    Args:
        path: Folder or CSV.
        foreground: Labels that are foreground.
        ignore: Label that is ignored.
        instances: Whether the labels tell units apart.
        cleaning: Options of ``clean_objects`` but for the pixel size.

    Raises:
        ValueError: If the layout is unknown or faulty.
    """

    def __init__(
        self,
        path: Path,
        foreground: Iterable[int] | str = 'auto',
        ignore: int | None = None,
        instances: bool = False,
        cleaning: Mapping[str, Any] | None = None,
    ) -> None:
        self.source: MaskSource = open_masks(path, foreground, ignore)
        self.instances, self.cleaning = instances, dict(cleaning or {})
        if instances and any(self.cleaning.values()):
            raise ValueError(
                '--instances: units are as they are labelled; leave out --fill-holes, '
                '--min-area-... and --split-touching-...'
            )
        self.ids = self.source.ids
        called = (self.source.settings or {}).get('class_name')  # by predict
        self.called = called if isinstance(called, str) else None

    def image_file(self, name: str) -> Path | None:
        """Return the image's file as the layout knows it."""
        return self.source.image_path(name)

    def known(self, name: str) -> dict[str, Any]:
        """Return ``organ`` (text) and ``pixel_size`` (um/px or NaN) of an image."""
        row = self.source.table.loc[[name]].to_dict('records')[0]
        return {'organ': str(row['organ']), 'pixel_size': float(row['pixel_size'])}

    def units(
        self, name: str, image: Path | None, pixel_size: float | None
    ) -> Iterator[FoundUnits]:
        """Yield the units of an image, once.

        Args:
            name: Id of the image.
            image: File of the image, for the size where run lengths do not say it.
            pixel_size: Geometric mean of a pixel's sides, um; None if unknown.
        """
        if self.instances:
            labels, ignored = self.source.instances(name)
            objects, numbers = objects_of_labels(labels)
            counted = int(ignored.size - np.count_nonzero(ignored))
            yield FoundUnits([objects], self.called, counted, numbers.tolist())
            return
        shape = _size(image) if image and not self.source.size(name) else None
        mask = self.source.mask(name, shape)
        runs = RunMask.from_strips([mask == FOREGROUND], mask.shape)
        objects = clean_objects(runs, pixel_size=pixel_size, **self.cleaning)
        probability = self.source.probability(name)
        means = None
        if probability is not None and probability.shape == mask.shape:
            means = mean_probability(objects, [probability.astype(np.float32)]) / 255
        counted = int(np.count_nonzero(mask != IGNORE_LABEL))
        yield FoundUnits([objects], self.called, counted, mean_probability=means)


class OutlineUnits:
    """Units of GeoJSON files: each annotation is one, even where two overlap.

    Args:
        folder: Folder of files, or one file.

    Raises:
        ValueError: If there are none, or two have one name.
    """

    def __init__(self, folder: Path) -> None:
        found = [folder] if folder.is_file() else annotation_files(folder)
        self.files: dict[str, Path] = {}
        self.too_small = 0  # outlines so far that hold the centre of no pixel
        for path in found:
            if stem_of(path) in self.files:
                raise ValueError(f'{folder}: two files are named {stem_of(path)!r}')
            self.files[stem_of(path)] = path
        self.ids = list(self.files)

    def image_file(self, name: str) -> Path | None:
        """Return None: outlines do not know their image."""
        return None

    def known(self, name: str) -> dict[str, Any]:
        """Return what is known of an image: nothing."""
        return {'organ': '', 'pixel_size': np.nan}

    def units(
        self, name: str, image: Path | None, pixel_size: float | None
    ) -> Iterator[FoundUnits]:
        """Yield the units of each class of an image.

        Args:
            name: Id of the image.
            image: File of the image, for its size.
            pixel_size: Not used: outlines are measured as they are.
        """
        if image is None:
            raise ValueError(
                f'{self.files[name]}: outlines do not say how large their image is; '
                f'give --images, a folder with an image named {name!r}'
            )
        shape = _size(image)
        annotations = read_annotations(self.files[name]).annotations
        _require_inside(self.files[name], annotations, shape)
        classes = dict.fromkeys(a.class_name for a in annotations) or {'': None}
        for class_name in classes:
            mine = [a for a in annotations if a.class_name == class_name]
            objects = [_alone(fill_polygons([a.outline], shape)) for a in mine]
            inside = [k for k, one in enumerate(objects) if len(one)]
            self.too_small += len(mine) - len(inside)
            yield FoundUnits(
                [objects[k] for k in inside],
                class_name or None,
                shape[0] * shape[1],
                [mine[k].number for k in inside],
                covered_px=fill_polygons([a.outline for a in mine], shape).area,
            )


def annotation_files(folder: Path) -> list[Path]:
    """Return the files of annotations in a folder."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.name.lower().endswith(SUFFIXES)
        and not path.name.startswith('.')
        and path.is_file()
    ]


def image_files(folder: Path) -> dict[str, Path]:
    """Return the images and slides of a folder by name without extension.

    Raises:
        ValueError: If there is no such folder, or two have one name.
    """
    if not folder.is_dir():
        raise ValueError(f'--images {folder}: there is no such folder')
    suffixes = {*FORMAT_OF_SUFFIX, *SLIDE_SUFFIXES}
    found: dict[str, Path] = {}
    twice = []
    for path in take_images(sorted(folder.iterdir()), suffixes, folder):
        if path.stem in found:
            twice.append(path.name)
        found[path.stem] = path
    if twice:
        raise ValueError(f'--images {folder}: names occur twice: {some_of(twice)}')
    return found


def _require_inside(
    file: Path, annotations: Sequence[Annotation], shape: tuple[int, int]
) -> None:
    """Refuse outlines of which nothing lies on the image."""
    image = shapely.box(0, 0, shape[1], shape[0])
    outside = [a for a in annotations if not shapely.intersects(a.outline, image)]
    if outside:
        first = outside[0]
        left, top, _, _ = shapely.bounds(first.outline)
        raise ValueError(
            f'{file}: {len(outside)} of {len(annotations)} outlines lie outside of the '
            f'image, {shape[1]} x {shape[0]} px (width x height); the first is object '
            f'{first.number}, at x {left:.6g}, y {top:.6g}. Give the image that was '
            'annotated, at its full size'
        )


def _alone(mask: RunMask) -> Objects:
    """Return a mask as one object, even if it is in pieces."""
    return objects_of_runs(mask, np.zeros(len(mask), np.int64))


def _size(image: Path) -> tuple[int, int]:
    source = open_source(image)
    try:
        return source.shape
    finally:
        source.close()
