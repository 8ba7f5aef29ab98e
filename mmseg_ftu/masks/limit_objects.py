"""A bound on the objects that one file of outlines holds.

A bad threshold finds noise: hundreds of thousands of objects, gigabytes of outlines,
which nobody can open. So the largest objects are kept, and what is left out is told.
"""

from typing import NamedTuple

import numpy as np

from mmseg_ftu.masks.boundary import find_boundary
from mmseg_ftu.masks.object_types import MOST_OBJECTS
from mmseg_ftu.masks.objects import Objects

POINTS = 100  # of an object on average, up to which all are kept


class LeftOut(NamedTuple):
    """Objects that a file does not hold.

    Attributes:
        objects: Number of objects that are left out.
        largest: Area of the largest that is left out for its size, px; 0 if none is.
        tangled: Number of those left out for their many points.
        most_points: Points from which an object is left out.
    """

    objects: int
    largest: int
    tangled: int
    most_points: int

    def describe(self, total: int, pixel_size: float | None) -> str:
        """Say what is left out.

        Args:
            total: Number of all objects.
            pixel_size: Pixel size, um/px; None if unknown.
        """
        reasons = []
        if self.largest:
            area = f'{self.largest:,} px'
            if pixel_size is not None:
                area = f'{self.largest * pixel_size**2:,.4g} um2'
            reasons.append(f'the smallest, up to {area}')
        if self.tangled:
            reasons.append(
                f'{self.tangled} with more than {self.most_points:,} points each'
            )
        return (
            f'{self.objects:,} of {total:,} objects are not in the GeoJSON: '
            f'{"; ".join(reasons)}. Most often that is noise: raise the threshold or '
            '--min-area-um2, or else --max-objects'
        )


def limit_objects(
    objects: Objects, most: int = MOST_OBJECTS
) -> tuple[Objects, LeftOut | None]:
    """Keep the largest objects.

    Args:
        objects: The objects.
        most: The most objects that are kept; also, 100 times that number of points of
            their exact outlines.

    Returns:
        The objects that are kept, in their order, and what is left out.
    """
    most_points = POINTS * most
    # a run has two ends, and each of them two corners at most
    if len(objects) <= most and 4 * len(objects.mask) <= most_points:
        return objects, None
    points = count_points(objects)
    order = np.argsort(-objects.area, kind='stable')
    order = order[points[order] <= most_points]
    kept = order[: np.searchsorted(points[order].cumsum(), most_points, 'right')][:most]
    if len(kept) == len(objects):
        return objects, None
    keep = np.zeros(len(objects), bool)
    keep[kept] = True
    tangled = points > most_points
    largest = objects.area[~keep & ~tangled].max(initial=0)
    left_out = LeftOut(
        len(objects) - len(kept), int(largest), int(tangled.sum()), most_points
    )
    return objects.select(keep), left_out


def count_points(objects: Objects) -> np.ndarray:
    """Return the corners of the exact outlines of each object, (N,)."""
    edges = find_boundary(objects.mask)
    ends = np.bincount(objects.labels[edges.run], minlength=len(objects))
    points: np.ndarray = 2 * ends
    return points
