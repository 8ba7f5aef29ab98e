"""The Dice coefficient of one image, the competition's metric."""

import numpy as np


def dice(prediction: np.ndarray, mask: np.ndarray) -> float:
    """Return ``2 |P and M| / (|P| + |M|)`` of boolean arrays, 1.0 if both are empty.

    Raises:
        ValueError: If shapes differ or a dtype is not bool.
    """
    if prediction.shape != mask.shape:
        raise ValueError(f'Dice of shapes {prediction.shape} and {mask.shape}')
    if prediction.dtype != bool or mask.dtype != bool:
        raise ValueError(f'Dice needs bool, got {prediction.dtype} and {mask.dtype}')
    total = np.count_nonzero(prediction) + np.count_nonzero(mask)
    if total == 0:
        return 1.0
    return 2 * np.count_nonzero(prediction & mask) / total
