"""Measurements of objects, computed from runs: slides take no more than their outlines.

Definitions are those of scikit-image's ``regionprops`` (0.26), and a test holds the
numbers to it: ``area``, ``perimeter``, ``equivalent_diameter_area``, ``eccentricity``
and ``centroid`` (here of pixels whose corners are whole numbers, as in QuPath, so .5
more). Circularity is 4 pi area / perimeter^2.
"""

from dataclasses import dataclass

import numpy as np

from mmseg_ftu.masks.objects import Objects
from mmseg_ftu.masks.perimeter import perimeters


@dataclass(frozen=True)
class Measurements:
    """Measurements of objects, (N,) each; NaN where one is not defined.

    Attributes:
        area: Area without holes, px.
        perimeter: Length of all outlines, those of holes too, px; 0 for objects of a
            pixel or two.
        equivalent_diameter: Diameter of the disc of the same area, px.
        circularity: .91 for a large disc, whose perimeter comes out 5 % too long, and
            less for others; above 1 for some objects of a few pixels, NaN where the
            perimeter is 0.
        eccentricity: That of the ellipse with the same second moments: 0 for a circle,
            1 for a line.
        centroid_x: Column of the centre, px from the image's left border.
        centroid_y: Row of the centre, px from the image's upper border.
        area_um2: Area, um^2.
        perimeter_um: Perimeter, um; NaN where pixels are not square, too.
        equivalent_diameter_um: Diameter of the disc of the same area, um.
    """

    area: np.ndarray
    perimeter: np.ndarray
    equivalent_diameter: np.ndarray
    circularity: np.ndarray
    eccentricity: np.ndarray
    centroid_x: np.ndarray
    centroid_y: np.ndarray
    area_um2: np.ndarray
    perimeter_um: np.ndarray
    equivalent_diameter_um: np.ndarray


def measure(
    objects: Objects, spacing: tuple[float, float] | None = None
) -> Measurements:
    """Measure objects.

    Args:
        objects: The objects; those of different labels may touch.
        spacing: Height and width of a pixel, um; None if unknown. Where they differ,
            eccentricity is that in um, and neither perimeter in um nor circularity is
            defined.

    Raises:
        ValueError: If the spacing is not two positive numbers.
    """
    if spacing is not None and not all(0 < side < np.inf for side in spacing):
        raise ValueError(f'pixel size {spacing}: give positive numbers of um/px')
    height, width = spacing or (np.nan, np.nan)
    area = objects.area.astype(np.float64)
    perimeter = perimeters(objects)
    centre, moments = _moments(objects)
    is_square = spacing is None or height == width
    scale = (1.0, 1.0) if spacing is None else (height, width)
    with np.errstate(divide='ignore', invalid='ignore'):
        circularity = 4 * np.pi * area / perimeter**2
    circularity[(perimeter == 0) | (not is_square)] = np.nan
    area_um2 = area * height * width
    return Measurements(
        area=objects.area,
        perimeter=perimeter,
        equivalent_diameter=np.sqrt(4 / np.pi * area),
        circularity=circularity,
        eccentricity=_eccentricity(moments, scale),
        centroid_x=centre[1],
        centroid_y=centre[0],
        area_um2=area_um2,
        perimeter_um=perimeter * (width if is_square else np.nan),
        equivalent_diameter_um=np.sqrt(4 / np.pi * area_um2),
    )


def _moments(objects: Objects) -> tuple[np.ndarray, np.ndarray]:
    """Return centres, (2, N), and second central moments yy, xx and xy, (3, N), px^2.

    The moments are those of points in the middle of pixels, as scikit-image has them.
    """
    mask, labels, count = objects.mask, objects.labels, len(objects)
    n = mask.lengths.astype(np.float64)

    def mean(values: np.ndarray) -> np.ndarray:
        means: np.ndarray = np.bincount(labels, n * values, count) / objects.area
        return means

    y, x = mask.rows + 0.5, (mask.starts + mask.stops.astype(np.float64)) / 2
    centre = np.stack([mean(y), mean(x)])
    y, x = y - centre[0][labels], x - centre[1][labels]
    along = (n**2 - 1) / 12  # of the pixels of a run around its middle
    return centre, np.stack([mean(y**2), mean(x**2 + along), mean(x * y)])


def _eccentricity(moments: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Return sqrt(1 - least / greatest moment); 0 where there is no extent."""
    height, width = scale
    yy, xx, xy = moments * np.array([[height**2], [width**2], [height * width]])
    half = np.hypot((yy - xx) / 2, xy)
    greatest = (yy + xx) / 2 + half
    least = np.maximum((yy + xx) / 2 - half, 0)
    some = greatest > 0
    share = np.divide(least, greatest, out=np.ones_like(least), where=some)
    eccentricity: np.ndarray = np.sqrt(1 - share)
    return eccentricity
