"""Replace the stains of an image by others, block by block.

With the stains of source and target given, the result of a pixel depends on its colour
alone. So an image can be cut in any way: blocks of pixels that stay in the processor's
cache keep the memory small, and tiles of a slide join without a seam, bit for bit. To
that end every block is computed at the same length, the last one padded, since vector
and scalar code of a library may round the last bit in different ways.
"""

import cv2
import numpy as np

from .optical_density import APPLY_PENALTY, DENSITY, code_system
from .rgb import row_blocks

BLOCK = 1 << 15  # px: its 30 float32 a pixel stay in the second-level cache
ROWS = 1 << 20  # px that are made contiguous at once where the image isn't
FLOOR = -0.499  # rounding to even after it cuts off, as staintools; 255.0 stays 255


def recolour(image: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Separate an image into two stains and paint them in other colours.

    Args:
        image: ``(H, W, 3)`` uint8, RGB; checked by the caller. Not modified.
        source: ``(2, 3)``, its stains: non-negative unit rows that aren't parallel.
        target: ``(2, 3)``, optical density to paint for one unit of each stain: the
            target's stains, times the ratio of the strengths.

    Returns:
        ``(H, W, 3)`` uint8, C-contiguous.
    """
    out = np.empty(image.shape, np.uint8)
    blocks = _Blocks(source, target)
    for rows in row_blocks(image, ROWS):
        pixels = np.ascontiguousarray(image[rows]).reshape(1, -1, 3)
        blocks.run(pixels, out[rows].reshape(1, -1, 3))
    return out


class _Blocks:
    """The computation on one block, with buffers that are used again."""

    def __init__(self, source: np.ndarray, target: np.ndarray) -> None:
        solve, shift, gram = code_system(source, APPLY_PENALTY)
        # the penalty as an offset of the densities, to save a pass over the pixels
        offset = np.linalg.pinv(solve) @ shift
        self.tables = (DENSITY[None] - offset[:, None]).astype(np.float32)
        self.solve = solve.T.astype(np.float32)[:, :, None]  # (3, 2, 1)
        self.gram = np.float32(gram)
        self.darken = -target.astype(np.float32)[:, :, None]  # (2, 3, 1)
        self.codes, self.spare = (np.empty((2, BLOCK), np.float32) for _ in 'ab')
        self.light, self.part = (np.empty((3, BLOCK), np.float32) for _ in 'ab')
        self.bytes = np.empty((3, BLOCK), np.uint8)
        self.density = np.empty((1, BLOCK), np.float32)
        self.planes = [np.empty((1, BLOCK), np.uint8) for _ in range(3)]

    def run(self, pixels: np.ndarray, out: np.ndarray) -> None:
        """Compute ``(1, n, 3)`` pixels into ``out``."""
        count = pixels.shape[1]
        whole = count - count % BLOCK
        for start in range(0, whole, BLOCK):
            part = slice(start, start + BLOCK)
            self._block(pixels[:, part], out[:, part])
        if whole < count:
            padded = np.zeros((1, BLOCK, 3), np.uint8)
            padded[:, : count - whole] = pixels[:, whole:]
            self._block(padded, padded)
            out[:, whole:] = padded[:, : count - whole]

    def _block(self, pixels: np.ndarray, out: np.ndarray) -> None:
        codes, spare, light = self.codes, self.spare, self.light
        cv2.split(pixels, self.planes)
        for channel, plane in enumerate(self.planes):
            density = cv2.LUT(plane, self.tables[channel], self.density)
            if channel == 0:
                np.multiply(self.solve[channel], density, out=codes)
            else:
                np.multiply(self.solve[channel], density, out=spare)
                np.add(codes, spare, out=codes)
        np.minimum(codes[::-1], 0, out=spare)
        np.multiply(spare, self.gram, out=spare)
        np.add(codes, spare, out=codes)
        np.maximum(codes, 0, out=codes)
        np.multiply(self.darken[0], codes[:1], out=light)
        np.multiply(self.darken[1], codes[1:], out=self.part)
        np.add(light, self.part, out=light)
        cv2.exp(light, light)
        cv2.convertScaleAbs(light, self.bytes, 255, FLOOR)
        cv2.merge([self.bytes[i : i + 1] for i in range(3)], out)
