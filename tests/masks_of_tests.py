"""Masks that are hard to take apart, for tests."""

import numpy as np


def spiral(size=41):
    """Wind one line of foreground inwards, one pixel of background between."""
    mask = np.zeros((size, size), bool)
    y, x, (dy, dx) = 0, 0, (0, 1)
    mask[0, 0] = True
    length = size - 1
    for turn in range(size - 2):
        for _ in range(length):
            y, x = y + dy, x + dx
            mask[y, x] = True
        dy, dx = dx, -dy
        if turn >= 2 and turn % 2 == 0:
            length -= 2
    return mask


def rings(size=40):
    """Draw a ring around an island, and a hole that is open at the image's border."""
    y, x = np.mgrid[:size, :size] - size // 2
    radius = np.hypot(y, x)
    mask = ((radius < 18) & (radius > 12)) | (radius < 5)
    mask[:6, :6] = True
    mask[0, 1:5] = mask[2, 2] = False
    return mask


def random_mask(shape, density, seed=0):
    return np.random.default_rng(seed).random(shape) < density


MASKS = {
    'empty': np.zeros((5, 7), bool),
    'full': np.ones((5, 7), bool),
    'one pixel': np.ones((1, 1), bool),
    'one row': random_mask((1, 50), 0.5),
    'one column': random_mask((50, 1), 0.5),
    'spiral': spiral(),
    'rings': rings(),
    'checkers': np.indices((9, 12)).sum(0) % 2 == 0,
    'column through all strips': np.arange(30)[None].repeat(150, 0) == 7,
    'corners of neighbouring rows': np.eye(20, 12, dtype=bool)[:, ::-1],
    **{f'noise {d}': random_mask((97, 130), d) for d in (0.05, 0.3, 0.5, 0.7, 0.95)},
}
