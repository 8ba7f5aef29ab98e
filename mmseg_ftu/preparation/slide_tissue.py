"""Where a slide has tissue, seen on its thumbnail."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from mmseg_ftu.io.resizing import target_shape
from mmseg_ftu.io.sources import Source
from mmseg_ftu.io.working_image import read_resized
from mmseg_ftu.stain.tissue_map import tissue_map

THUMBNAIL = 1024  # px of the longer side


@dataclass(frozen=True)
class SlideTissue:
    """A thumbnail of a slide and the tissue on it.

    Attributes:
        thumbnail: RGB uint8 (h, w, 3).
        is_tissue: bool (h, w). Tissue is what stain strengths are measured on: dark
            enough, and in pale sections the coloured parts too; see ``tissue_map``.
    """

    thumbnail: np.ndarray
    is_tissue: np.ndarray

    @classmethod
    def find(cls, source: Source, longest: int = THUMBNAIL) -> Self:
        """Find the tissue of a slide.

        Args:
            source: The open slide.
            longest: Longer side of the thumbnail, px.
        """
        shape = target_shape(source.shape, min(longest, max(source.shape)))
        thumbnail = read_resized(source, shape)
        return cls(thumbnail, tissue_map(thumbnail))

    def shares(self, boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Return the share of tissue in boxes.

        Args:
            boxes: (N, 4): top, left, height and width in px of the resized slide.
            shape: Height and width of that, px.

        Returns:
            (N,), 0..1. Pixels of the thumbnail that a box touches count as a whole.
        """
        height, width = self.is_tissue.shape
        scale = np.array([height / shape[0], width / shape[1]])
        begin = np.floor(boxes[:, :2] * scale).astype(int)
        end = np.ceil((boxes[:, :2] + boxes[:, 2:]) * scale - 1e-9).astype(int)
        end = np.minimum(np.maximum(end, begin + 1), [height, width])
        sums = cv2.integral(self.is_tissue.astype(np.uint8))
        (y0, x0), (y1, x1) = begin.T, end.T
        found = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
        shares: np.ndarray = found / ((y1 - y0) * (x1 - x0))
        return shares
