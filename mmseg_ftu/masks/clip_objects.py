"""Objects without the pixels that do not count."""

import numpy as np

from mmseg_ftu.masks.objects import Objects, objects_of_runs
from mmseg_ftu.masks.run_mask import RunMask
from mmseg_ftu.masks.run_pairs import run_pairs


def clip_objects(objects: Objects, counted: RunMask) -> Objects:
    """Return objects without what lies outside of a mask; none is divided by it.

    Args:
        objects: The objects; each must have a pixel inside.
        counted: The mask, of the same shape.
    """
    mask = objects.mask
    run, other = run_pairs(mask, counted)
    starts = np.maximum(mask.starts[run], counted.starts[other])
    stops = np.minimum(mask.stops[run], counted.stops[other])
    clipped = RunMask(mask.shape, mask.rows[run], starts, stops)
    return objects_of_runs(clipped, objects.labels[run])
