"""The ground truth that is drawn beside a prediction."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from mmseg_ftu.evaluation.mask_sources import LAYOUTS, MaskSource, open_masks
from mmseg_ftu.io.grey_regions import GreySource, open_grey_regions
from mmseg_ftu.masks.annotations import Annotation
from mmseg_ftu.masks.read_annotations import SUFFIXES, read_annotations, stem_of
from mmseg_ftu.units.unit_sources import annotation_files
from mmseg_ftu.view.layers import TRUTH, GreyArray, GreyLabels, Layer, outline_layers
from mmseg_ftu.view.shift import shifted

NAME = 'ground truth'


class Truth:
    """Ground truth by id: masks of any layout that ``evaluate`` reads, or GeoJSON.

    Args:
        path: Folder, CSV of run lengths, or a file of outlines.
        foreground: Labels that are foreground in files of masks.
        ignore: Label that is ignored there.

    Raises:
        ValueError: If the layout is unknown or faulty.
    """

    def __init__(
        self,
        path: Path,
        foreground: Iterable[int] | str = 'auto',
        ignore: int | None = None,
    ) -> None:
        self.path = path
        self._files = {stem_of(p): p for p in _outline_files(path)}
        self._masks: MaskSource | None = None
        if not self._files:
            self._masks = open_masks(path, foreground, ignore)

    def image_path(self, name: str) -> Path | None:
        """Return the file of the image as the ground truth knows it."""
        return self._masks.image_path(name) if self._masks else None

    def layers(
        self, names: Iterable[str], shape: tuple[int, int], corner: tuple[int, int]
    ) -> list[Layer]:
        """Return what is drawn of an image; nothing if there is no truth of it.

        Args:
            names: Names that its file may have; the first that is there counts.
            shape: Height and width of the image, px.
            corner: Row and column at which the scanned part of a slide begins, where
                outlines of QuPath count from.

        Raises:
            ValueError: If it cannot be read.
        """
        for name in names:
            if name in self._files:
                found = read_annotations(self._files[name]).annotations
                outlines: list[Annotation] = shifted(found, corner)
                return outline_layers(TRUTH, outlines, shape, NAME)
            if self._masks and name in self._masks.ids:
                pixels = self._pixels(self._masks, name, shape)
                return [Layer.of(TRUTH, NAME, pixels)]
        return []

    def _pixels(
        self, masks: MaskSource, name: str, shape: tuple[int, int]
    ) -> GreySource:
        if name in masks.masks:
            regions = open_grey_regions(masks.masks[name])
            if regions is not None:
                return GreyLabels(regions, _meaning(masks))
        return GreyArray((masks.mask(name, shape) == 1) * np.uint8(255))


def _outline_files(path: Path) -> list[Path]:
    """Return the files of outlines; none where masks are meant."""
    if path.is_file():
        return [path] if path.name.lower().endswith(SUFFIXES) else []
    is_layout = any((path / name).is_file() for name in LAYOUTS)
    return [] if is_layout or not path.is_dir() else annotation_files(path)


def _meaning(masks: MaskSource) -> Callable[[np.ndarray], np.ndarray]:
    """Return what tells which labels are units."""
    foreground, ignore = masks.labels.foreground, masks.labels.ignore

    def is_unit(labels: np.ndarray) -> np.ndarray:
        found: np.ndarray = labels != 0
        if not isinstance(foreground, str):
            found = np.isin(labels, [*foreground])
        return found if ignore is None else found & (labels != ignore)

    return is_unit
