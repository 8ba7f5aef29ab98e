"""HD95: how far apart the outlines of two masks lie, but for the worst 5 %.

The 95th percentile of the distances from each outline pixel of one mask to the nearest
of the other. It is taken both ways, and the larger one counts. Computed by MONAI,
exactly and at full resolution; docs/results.md has the time it takes.
"""

import warnings

import numpy as np

PERCENTILE = 95  # 0..100


def hd95(prediction: np.ndarray, mask: np.ndarray) -> float | None:
    """Return the 95th percentile of the Hausdorff distance of two masks.

    An outline is the foreground with a background pixel above, below, left or right;
    what lies beyond the image is background.

    Args:
        prediction: Boolean (H, W).
        mask: Boolean (H, W).

    Returns:
        Distance in px; None if either mask is empty, since there is no outline then.

    Raises:
        ValueError: If the shapes differ.
    """
    if prediction.shape != mask.shape:
        raise ValueError(f'HD95 of shapes {prediction.shape} and {mask.shape}')
    if not prediction.any() or not mask.any():
        return None
    # Not at the top: MONAI takes seconds to import, and only this needs it.
    import torch
    from monai.metrics import compute_hausdorff_distance

    found, expected = (
        torch.from_numpy(m)[None, None] for m in _crop_to_both(prediction, mask)
    )
    with warnings.catch_warnings():
        # MONAI 1.5 and 1.6 warn of an argument that they themselves pass.
        warnings.filterwarnings('ignore', '.*always_return_as_numpy', FutureWarning)
        distance = compute_hausdorff_distance(
            found, expected, include_background=True, percentile=PERCENTILE
        )
    return float(distance)


def _crop_to_both(*masks: np.ndarray) -> list[np.ndarray]:
    """Cut to the box around the foreground of all; distances do not change by it."""
    union = np.logical_or(*masks)
    rows, columns = (np.flatnonzero(union.any(axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return [np.ascontiguousarray(mask[box]) for mask in masks]
