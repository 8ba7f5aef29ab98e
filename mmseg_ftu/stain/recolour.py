"""Replace the stains of an image by others, block by block.

With the stains of source and target given, the result of a pixel depends on its colour
alone. So an image can be cut in any way: blocks of pixels that stay in the processor's
cache keep the memory small, and tiles of a slide join without a seam, bit for bit. To
that end every block is computed at the same length, the last one padded, since vector
and scalar code of a library may round the last bit in different ways.

Each line of `_Blocks.run` is one pass over a block by OpenCV, most of them two
operations in one; ``benchmarks/README.md`` lists what else was tried.
"""

import cv2
import numpy as np

from mmseg_ftu.stain.optical_density import APPLY_PENALTY, DENSITY, code_system
from mmseg_ftu.stain.rgb import row_blocks

BLOCK = 1 << 15  # px: its 12 float32 a pixel stay in the second-level cache
ROWS = 1 << 20  # px that are made contiguous at once where the image is not
FLOOR = -0.499  # rounding to even after it cuts off, as staintools; 255.0 stays 255


def recolour(image: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Separate an image into two stains and paint them in other colours.

    Args:
        image: ``(H, W, 3)`` uint8, RGB; checked by the caller. Not modified.
        source: ``(2, 3)``, its stains: non-negative unit rows that are not parallel.
        target: ``(2, 3)``, optical density to paint for one unit of each stain: the
            target's stains, times the ratio of the strengths.

    Returns:
        ``(H, W, 3)`` uint8, C-contiguous.
    """
    out = np.empty(image.shape, np.uint8)
    blocks = _Blocks(source, target)
    for rows in row_blocks(image, ROWS):
        pixels = np.ascontiguousarray(image[rows]).reshape(1, -1, 3)
        blocks.run_all(pixels, out[rows].reshape(1, -1, 3))
    return out


class _Blocks:
    """The computation on one block, with buffers that are used again."""

    def __init__(self, source: np.ndarray, target: np.ndarray) -> None:
        solve, shift, gram = code_system(source, APPLY_PENALTY)
        # the penalty as an offset of the densities, to save a pass over the pixels
        offset = np.linalg.pinv(solve) @ shift
        self.tables = (DENSITY[None] - offset[:, None]).astype(np.float32)
        self.solve = solve.tolist()
        self.gram = float(gram)
        self.darken = (-np.asarray(target).T).tolist()  # per channel, of both stains
        self.planes = [np.empty((1, BLOCK), np.uint8) for _ in 'rgb']
        self.density = [np.empty((1, BLOCK), np.float32) for _ in 'rgb']
        self.codes = [np.empty((1, BLOCK), np.float32) for _ in 'he']
        self.part = [np.empty((1, BLOCK), np.float32) for _ in 'he']
        self.light = np.empty((3, BLOCK), np.float32)
        self.bytes = np.empty((3, BLOCK), np.uint8)

    def run_all(self, pixels: np.ndarray, out: np.ndarray) -> None:
        """Compute ``(1, n, 3)`` pixels into ``out``."""
        count = pixels.shape[1]
        whole = count - count % BLOCK
        for start in range(0, whole, BLOCK):
            block = slice(start, start + BLOCK)
            self.run(pixels[:, block], out[:, block])
        if whole < count:
            padded = np.zeros((1, BLOCK, 3), np.uint8)
            padded[:, : count - whole] = pixels[:, whole:]
            self.run(padded, padded)
            out[:, whole:] = padded[:, : count - whole]

    def run(self, pixels: np.ndarray, out: np.ndarray) -> None:
        """Compute one block."""
        codes, part, (red, green, blue) = self.codes, self.part, self.density
        cv2.split(pixels, self.planes)
        for plane, table, density in zip(
            self.planes, self.tables, self.density, strict=True
        ):
            cv2.LUT(plane, table, density)
        for stain, (of_red, of_green, of_blue) in enumerate(self.solve):
            cv2.addWeighted(red, of_red, green, of_green, 0, part[stain])
            cv2.scaleAdd(blue, of_blue, part[stain], codes[stain])
        for stain in (0, 1):  # what is below zero passes to the other stain
            cv2.threshold(codes[1 - stain], 0, 0, cv2.THRESH_TRUNC, part[stain])
        for stain in (0, 1):
            cv2.scaleAdd(part[stain], self.gram, codes[stain], codes[stain])
            cv2.threshold(codes[stain], 0, 0, cv2.THRESH_TOZERO, codes[stain])
        for channel, (first, second) in enumerate(self.darken):
            light = self.light[channel : channel + 1]
            cv2.addWeighted(codes[0], first, codes[1], second, 0, light)
        cv2.exp(self.light, self.light)
        cv2.convertScaleAbs(self.light, self.bytes, 255, FLOOR)
        cv2.merge([self.bytes[i : i + 1] for i in range(3)], out)
