"""Elastic deformation in pixels, for use in :class:`StrictAlbu`.

Albumentations' ``ElasticTransform`` blurs noise at full resolution (45 ms for 768 x 768
on one core, this takes 10), and its ``alpha`` is not a length: the default of 1 moves
nothing. The field here is the same kind, Gaussian noise under a Gaussian blur (Simard
et al., 2003), but drawn on a coarse grid and interpolated, and given by its size.
"""

import math
from typing import Any

import albumentations as A
import cv2
import numpy as np


class ElasticDeformation(A.ElasticTransform):
    """Move pixels along a smooth random field.

    Args:
        displacement: Standard deviation of the movement along each axis, px, >= 0.
        smoothness: Standard deviation of the blur, px, >= 1. Tissue folds over itself
            where it is not several times the displacement.
        border_mode: OpenCV's border mode, such as ``cv2.BORDER_REFLECT_101``.
        fill: Grey level of pixels from outside, if the border is constant.
        fill_mask: Label of these pixels; 255 is ignored.
        p: Probability of applying it, 0..1.

    Raises:
        ValueError: If displacement or smoothness are out of range.
    """

    def __init__(
        self,
        displacement: float = 4.0,
        smoothness: float = 16.0,
        border_mode: int = cv2.BORDER_REFLECT_101,
        fill: float = 0,
        fill_mask: float = 255,
        p: float = 0.5,
    ) -> None:
        if displacement < 0 or smoothness < 1:
            raise ValueError(
                f'displacement={displacement} must be >= 0 px and '
                f'smoothness={smoothness} >= 1 px'
            )
        super().__init__(
            sigma=smoothness,
            border_mode=border_mode,
            fill=fill,
            fill_mask=fill_mask,
            p=p,
        )
        self.displacement = displacement
        self.smoothness = smoothness

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, np.ndarray]:
        """Draw the field; Albumentations calls this once a sample."""
        map_x, map_y = draw_maps(
            params['shape'][:2],
            self.displacement,
            self.smoothness,
            self.random_generator,
        )
        return {'map_x': map_x, 'map_y': map_y}


def draw_maps(
    shape: tuple[int, int],
    displacement: float,
    smoothness: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw where each pixel comes from.

    Args:
        shape: Height and width, px.
        displacement: Standard deviation of the movement along each axis, px.
        smoothness: Standard deviation of the blur, px, >= 1.
        rng: Source of the randomness.

    Returns:
        x and y coordinates, two float32 arrays (H, W), as ``cv2.remap`` takes them.
    """
    step = max(int(smoothness // 2), 1)  # px a cell; the blur hides what is finer
    sigma = smoothness / step
    margin = math.ceil(3 * sigma)  # cells, so that the border does not bias the blur
    cells = [math.ceil(side / step) + 2 * margin for side in shape]
    noise = rng.standard_normal((*cells, 2), dtype=np.float32)
    field: np.ndarray = cv2.GaussianBlur(noise, (0, 0), sigma)
    # A blur by sigma leaves 1 / (2 sigma sqrt(pi)) of white noise's std in 2-D.
    field *= displacement * 2 * sigma * math.sqrt(math.pi)
    field = field[margin - 1 : 1 - margin, margin - 1 : 1 - margin]
    field = cv2.resize(field, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
    height, width = shape
    field = field[step : step + height, step : step + width]
    x = np.arange(width, dtype=np.float32)
    y = np.arange(height, dtype=np.float32)[:, None]
    return field[..., 0] + x, field[..., 1] + y
