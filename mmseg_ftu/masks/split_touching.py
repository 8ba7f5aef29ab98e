"""Objects that touch, taken apart where they are narrow.

Each object is taken alone: the distance of its pixels to the background, whose maxima
are the middles of its parts, and a watershed from there (h-maxima, as in scikit-image's
gallery). A line of background, one pixel wide, is left between two parts, so that a
binary mask still tells its objects apart: the parts do not even touch at corners.
"""

import cv2
import numpy as np
from scipy import ndimage

from mmseg_ftu.masks.objects import Objects, find_objects
from mmseg_ftu.masks.run_mask import RunMask, runs_of_pixels

MOST_PIXELS = 2**24  # of an object's box: 16 Mpx take 400 MB; a larger one stays whole
CORNERS = np.ones((3, 3), np.uint8)


def split_touching(
    objects: Objects, depth: float, most_pixels: int = MOST_PIXELS
) -> Objects:
    """Split objects at their necks.

    Fill lumina before, since a ring has no middle.

    Args:
        objects: The objects, 8-connected.
        depth: By how much a neck must be narrower than each of the two parts that it
            joins, px: the difference of their largest inscribed radii. Less splits
            more.
        most_pixels: Objects whose box holds more pixels stay whole.

    Returns:
        The objects of a mask without the lines between parts.

    Raises:
        ValueError: If the depth is not a positive number.
    """
    if not 0 < depth < np.inf:
        raise ValueError(f'depth of splitting {depth}: give a positive number')
    height, width = objects.bottom - objects.top, objects.right - objects.left
    # parts and neck do not fit into what is narrower than that
    fits = (np.minimum(height, width) > 2 * depth) & ~too_large(objects, most_pixels)
    changed = np.zeros(len(objects), bool)
    runs = [np.zeros((3, 0), np.int32)]
    for i in np.flatnonzero(fits).tolist():
        box = objects.top[i], objects.left[i], height[i], width[i]
        part = objects.pixels(i, *map(int, box)).astype(bool)
        lines = _lines(part, depth)
        if lines.any():
            changed[i] = True
            found = runs_of_pixels(part & ~lines, int(objects.top[i]))
            found[1:] += objects.left[i]
            runs.append(found)
    if not changed.any():
        return objects
    kept = objects.mask.select(~changed[objects.labels])
    runs.append(np.stack([kept.rows, kept.starts, kept.stops]))
    rows, starts, stops = np.concatenate(runs, axis=1)
    order = np.lexsort((starts, rows))
    mask = RunMask(objects.mask.shape, rows[order], starts[order], stops[order])
    return find_objects(mask)


def too_large(objects: Objects, most_pixels: int = MOST_PIXELS) -> np.ndarray:
    """Return which objects are too large to be split, (N,) bool."""
    height = (objects.bottom - objects.top).astype(np.int64)
    large: np.ndarray = height * (objects.right - objects.left) > most_pixels
    return large


def _lines(part: np.ndarray, depth: float) -> np.ndarray:
    """Return the pixels between the parts of an object, (h, w) bool."""
    # only here: it takes a second to load, and most runs split nothing
    from skimage.morphology import local_maxima, reconstruction
    from skimage.segmentation import watershed

    framed = np.pad(part, 1)  # what lies beyond the box is background
    distance = cv2.distanceTransform(
        framed.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    if distance.max() <= depth:
        return np.zeros_like(part)
    # Not h_maxima, which finds equal peaks of one part twice.
    flooded = reconstruction(distance - np.float32(depth), distance)
    middles, count = ndimage.label(local_maxima(flooded) & framed, CORNERS)
    if count < 2:
        return np.zeros_like(part)
    # Not watershed_line, which does not end with corners as neighbours (0.26).
    parts = watershed(-distance, middles, mask=framed, connectivity=2)
    lines = framed & (ndimage.maximum_filter(parts, footprint=CORNERS) > parts)
    pieces, _ = ndimage.label(framed & ~lines, CORNERS)
    whole = np.unique(pieces[middles > 0])
    slivers = framed & ~np.isin(pieces, whole[whole > 0])  # lines, and what they cut
    lost: np.ndarray = slivers[1:-1, 1:-1]
    return lost
