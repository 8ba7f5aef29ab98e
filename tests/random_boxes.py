"""Boxes inside an image, to read it by regions."""

import numpy as np


def boxes(shape, count):
    """Yield ``(top, left, height, width)``: the whole, one corner, random ones."""
    rng = np.random.default_rng(0)
    yield 0, 0, *shape
    yield shape[0] - 1, shape[1] - 1, 1, 1
    for _ in range(count):
        (y0, y1), (x0, x1) = (np.sort(rng.integers(0, n, 2)) for n in shape)
        yield int(y0), int(x0), int(y1 + 1 - y0), int(x1 + 1 - x0)
