"""One image of a prediction folder: its picture, its layers and its units."""

from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from mmseg_ftu.io.sources import Source, open_source, scanned_from
from mmseg_ftu.view.image_row import ImageRow
from mmseg_ftu.view.layers import HALF, Layer
from mmseg_ftu.view.once import Once
from mmseg_ftu.view.pyramid import TILE, Pyramid
from mmseg_ftu.view.saved import Saved, open_saved, saved_file
from mmseg_ftu.view.truth import Truth
from mmseg_ftu.view.unit_list import (
    UnitList,
    units_of_outlines,
    units_of_pixels,
    units_of_table,
)
from mmseg_ftu.view.unit_outline import (
    Polygons,
    covers,
    outline_in_box,
    outline_of_shape,
)

KEPT_LISTS = 4  # lists of units, one a threshold
LIKE = 0.01  # share by which the ratios of sides may differ by rounding
BLANK = 236  # grey in place of an image that is not there


class BlankPixels:
    """A light area in place of an image that cannot be opened; see `Pixels`."""

    by_rows = False

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape, self.levels = shape, [shape, (TILE, TILE)]

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Return the area."""
        return np.full((height, width, 3), BLANK, np.uint8)


class ViewedImage:
    """An image with all that was saved of it; each is opened when it is wanted.

    Args:
        row: What the table says of it.
        folder: The prediction folder.
        truth: Ground truth, if any.
        files: Places where the image may be, the best first.
    """

    def __init__(
        self, row: ImageRow, folder: Path, truth: Truth | None, files: list[Path]
    ) -> None:
        self.row, self._folder, self._truth, self._files = row, folder, truth, files
        self._notes: dict[str, None] = {}
        self._source = Once(self._open_source)
        self._saved = Once(self._open_saved)
        self._truths = Once(self._open_truth)
        self.picture = Once(self._open_picture)
        self._lists: dict[float | None, Once[UnitList]] = {}

    def describe(self) -> dict[str, Any]:
        """Return what the page needs to know, fit for JSON."""
        layers = [layer.describe() for layer in self.layers()]
        picture, is_whole = self.picture.get().shapes[0], self.picture.get().is_large
        height, width = self.shape()
        source = self._source.get()
        size = self.row.pixel_size or (source.pixel_size if source else None)
        return dict(
            id=self.row.id,
            height=height,
            width=width,
            picture=dict(height=picture[0], width=picture[1]),
            whole=is_whole,
            tile=TILE,
            pixel_size=size,
            threshold=self.row.threshold,
            layers=layers,
            notes=self.notes,
        )

    @property
    def notes(self) -> list[str]:
        """What people should know, as far as it has been found."""
        return list(self._notes)

    def shape(self) -> tuple[int, int]:
        """Return height and width that everything is drawn at, px."""
        if self.row.shape:
            return self.row.shape
        if self._saved.made and self._saved.made.units:
            return self._saved.made.units[0].pixels.shape
        source = self._source.get()
        return source.shape if source else (TILE, TILE)

    def layers(self) -> list[Layer]:
        """Return all layers: units by class, probabilities, ground truth."""
        return [*self._saved.get().layers, *self._truths.get()]

    def units(self, threshold: float | None = None) -> UnitList:
        """List the units.

        Args:
            threshold: Find them above this probability; None takes those saved.

        Raises:
            ValueError: If there are no probabilities, or the files are damaged.
        """
        if len(self._lists) > KEPT_LISTS:
            self._lists.clear()
        made = Once(lambda: self._list_units(threshold))
        return self._lists.setdefault(threshold, made).get()

    def outline(self, number: int, threshold: float | None = None) -> Polygons:
        """Trace a unit.

        Args:
            number: Its place in the list of units, from 0.
            threshold: The threshold of that list.

        Raises:
            IndexError: If the list has no such place.
        """
        units, saved = self.units(threshold), self._saved.get()
        if not 0 <= number < len(units):
            raise IndexError(number)
        if threshold is None and saved.outlines is not None:
            place = int(units.numbers[number])
            found = next(a for a in saved.outlines if a.number == place)
            return outline_of_shape(found.outline)
        layer, above = self._found_in(threshold)
        if layer is None:
            return []
        box = units.boxes[number]
        return outline_in_box(layer.pyramid, above, box, self.shape())

    def units_at(self, x: int, y: int, threshold: float | None = None) -> list[int]:
        """Return which units cover a pixel, the smallest first.

        Args:
            x: Column, px of the image.
            y: Row, px of the image.
            threshold: The threshold of the list of units.

        Returns:
            Their places in that list; none on background.
        """
        units, saved = self.units(threshold), self._saved.get()
        boxed = units.boxed_around(x + 0.5, y + 0.5)
        if threshold is None and saved.outlines is not None:
            place = shapely.Point(x + 0.5, y + 0.5)
            by_number = {a.number: a.outline for a in saved.outlines}
            drawn = ((n, by_number[int(units.numbers[n])]) for n in boxed)
            return [n for n, outline in drawn if shapely.covers(outline, place)]
        layer, above = self._found_in(threshold)
        if layer is None or not layer.is_unit(x, y, above, self.shape()):
            return []
        pixels, shape = (layer.pyramid, above), self.shape()
        for n in boxed:
            if covers(*pixels, units.boxes[n], units.area[n], shape, (x, y)):
                return [n]  # a pixel is of one unit
        return []  # it is of a unit that is not listed

    def close(self) -> None:
        """Close files."""
        saved = self._saved.made.layers if self._saved.made else []
        for layer in [*saved, *(self._truths.made or ())]:
            layer.pixels.close()
        if self._source.made is not None:
            self._source.made.close()

    def _open_source(self) -> Source | None:
        """Open the image; None, with a note, where it is not there."""
        faults = []
        for path in self._files:
            try:
                return open_source(path)
            except (ValueError, OSError) as error:
                faults.append(str(error))
        if self.row.fault:  # it says so already
            return None
        reason = '; '.join(faults) or 'the table does not say where its file is'
        self._notes[
            f'The image cannot be shown: {reason}. If it lies elsewhere now, start '
            'mmseg-ftu view again with --images FOLDER.'
        ] = None
        return None

    def _open_picture(self) -> Pyramid:
        source, (height, width) = self._source.get(), self.shape()
        if source is None:
            return Pyramid(BlankPixels((height, width)))
        h, w = source.shape
        if abs(h * width - w * height) > LIKE * h * width:
            self._notes[
                f'The image has {w} x {h} px and its units {width} x {height} (width '
                'x height): it may be another image, and the units may not fit.'
            ] = None
        return Pyramid(source)

    def _open_saved(self) -> Saved:
        saved = open_saved(self._folder, self.row, self.shape, self._corner)
        self._notes |= dict.fromkeys(saved.notes)
        for layer in saved.units if saved.outlines is None else []:
            if self.row.shape not in (None, layer.pixels.shape):
                height, width = layer.pixels.shape
                self._notes[
                    f'The mask has {width} x {height} px, another size than predict '
                    'wrote, and is drawn over the whole image.'
                ] = None
        return saved

    def _corner(self) -> tuple[int, int]:
        source = self._source.get()
        return scanned_from(source) if source else (0, 0)

    def _open_truth(self) -> list[Layer]:
        if self._truth is None or self.row.fault:
            return []
        names = [self.row.id, *(path.name for path in self._files)]
        shape = self.shape()
        try:
            layers = self._truth.layers(names, shape, self._corner())
        except (ValueError, OSError) as error:
            self._notes[f'The ground truth is not drawn: {error}'] = None
            return []
        if not layers:
            note = f'{self._truth.path} has no ground truth of this image.'
            self._notes[note] = None
        for height, width in {layer.pixels.shape for layer in layers} - {shape}:
            self._notes[
                f'The ground truth has {width} x {height} px, another size than the '
                'prediction, and is drawn over the whole image.'
            ] = None
        return layers

    def _found_in(self, threshold: float | None) -> tuple[Layer | None, int]:
        """Return the layer that units are found in, and the value above which."""
        saved = self._saved.get()
        if threshold is None and saved.units:
            return saved.units[0], HALF
        if threshold is not None and saved.probability is None:
            raise ValueError(f'{self.row.id}: no probabilities were saved')
        level = self.row.threshold if threshold is None else threshold
        return saved.probability, floor(255 * level + 1e-9)

    def _list_units(self, threshold: float | None) -> UnitList:
        saved, name = self._saved.get(), self.row.class_name
        if threshold is None and saved.outlines is not None:
            return units_of_outlines(saved.outlines, name).limited()
        if threshold is None and saved.is_edited:
            self._notes[
                'The mask was edited since predict wrote it, so its units are measured '
                'anew.'
            ] = None
        elif threshold is None and (listed := self._listed()) is not None:
            return listed
        layer, above = self._found_in(threshold)
        if layer is None:
            return units_of_outlines([], name)
        origin = 'mask' if layer is not saved.probability else 'probability'
        means = saved.probability.pixels if saved.probability else None
        shape = self.shape()
        return units_of_pixels(layer.pixels, above, shape, name, origin, means)

    def _listed(self) -> UnitList | None:
        """Return the units of the tables; None where they list none."""
        own = saved_file(self._folder, 'units', self.row.id)
        for path in (own, self._folder / 'units.csv'):
            if path is None or not path.is_file():
                continue
            try:
                units = units_of_table(path, self.row.id, self.row.class_name)
            except (ValueError, OSError) as error:
                self._notes[f'Units are measured anew: {error}'] = None
                continue
            if len(units) or path == own:
                return units.limited()
        return None
