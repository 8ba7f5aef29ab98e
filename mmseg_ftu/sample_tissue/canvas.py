"""The canvas and the noise of the synthetic sample tissue.

A picture is a stack of concentration fields, not of colours: how much haematoxylin
and second stain the tissue takes up, how many nuclei it holds and where it is open
(lumen, air). The organs' modules paint into it, `stains.py` turns it into RGB.
Lengths are in micrometres (um) of a field as wide as a competition image.
"""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

from mmseg_ftu.sample_tissue.shapes import FIELD_UM, Blob, blob_depth

FIELDS = ('blue', 'counter', 'round_nuclei', 'spindle_nuclei', 'hollow')


class Material(NamedTuple):
    """What a piece of tissue is made of; each value a scalar or an (S, S) array.

    Attributes:
        blue: Haematoxylin taken up outside nuclei, optical density (natural log).
        counter: Second stain (DAB, eosin, PAS), optical density (natural log).
        round_nuclei: Round nuclei per 1000 um^2.
        spindle_nuclei: Elongated nuclei (muscle, fibroblasts) per 1000 um^2.
        hollow: 0 for solid tissue to 1 for an empty space.
    """

    blue: float | np.ndarray = 0.0
    counter: float | np.ndarray = 0.0
    round_nuclei: float | np.ndarray = 0.0
    spindle_nuclei: float | np.ndarray = 0.0
    hollow: float | np.ndarray = 0.0


EMPTY = Material(hollow=1.0)


def smooth_noise(rng: np.random.Generator, size: int, scale_px: float) -> np.ndarray:
    """Draw smooth noise whose bumps are about `scale_px` pixels apart.

    Returns:
        Float32 of shape (size, size), mean 0, standard deviation 1.
    """
    cells = int(np.clip(np.ceil(4 * size / scale_px), 8, size))
    noise: np.ndarray = rng.standard_normal((cells, cells), np.float32)
    sigma = max(0.6, scale_px * cells / size / 3.5)
    noise = cv2.GaussianBlur(noise, (0, 0), sigma)
    noise = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    noise = (noise - noise.mean()) / (noise.std() + 1e-6)
    return noise


def line_kernel(length_px: float, width_px: float, angle: float) -> np.ndarray:
    """Return an elongated Gaussian that sums to 1, its long axis along `angle`."""
    half = max(1, int(np.ceil(max(length_px, width_px))))
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    kernel: np.ndarray
    kernel = np.exp(-2 * ((along / length_px) ** 2 + (across / width_px) ** 2))
    kernel = kernel / kernel.sum()
    return kernel


class Canvas:
    """Concentration fields of one square picture, painted layer over layer.

    Attributes:
        size: Width and height S in pixels.
        px: Pixels per um.
        fields: Name of a material's value to its float32 field of shape (S, S).
        mask: Area of functional tissue units, bool (S, S).
        tissue: Area within the outline of the specimen, bool (S, S).
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size = size
        self.px = size / FIELD_UM
        self.rng = rng
        self.grain_angle = rng.uniform(0, np.pi)
        self.fields = {f: np.zeros((size, size), np.float32) for f in FIELDS}
        self.mask = np.zeros((size, size), bool)
        self.tissue = np.ones((size, size), bool)

    def noise(self, scale_um: float) -> np.ndarray:
        """Draw smooth noise (mean 0, deviation 1) of about `scale_um` a bump."""
        return smooth_noise(self.rng, self.size, max(scale_um * self.px, 1.0))

    def fibres(self, length_um: float = 90.0, width_um: float = 7.0) -> np.ndarray:
        """Draw wavy streaks (mean 0, deviation 1) along the picture's grain."""
        size = max(96, self.size // 2)
        px = size / FIELD_UM
        white = self.rng.standard_normal((size, size), np.float32)
        kernel = line_kernel(length_um * px, max(width_um * px, 0.7), self.grain_angle)
        streaks: np.ndarray = cv2.filter2D(
            white, -1, kernel, borderType=cv2.BORDER_REFLECT
        )
        y, x = np.mgrid[:size, :size].astype(np.float32)
        bend = 25 * px * smooth_noise(self.rng, size, 250 * px)
        across = self.grain_angle + np.pi / 2
        streaks = cv2.remap(
            streaks,
            (x + bend * np.cos(across)).astype(np.float32),
            (y + bend * np.sin(across)).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        streaks = cv2.resize(streaks, (self.size, self.size))
        streaks = (streaks - streaks.mean()) / (streaks.std() + 1e-6)
        return streaks

    def depth(
        self, blobs: Iterable[Blob], reach: float = 40.0, apart: bool = False
    ) -> np.ndarray:
        """Measure how deep each pixel lies inside the nearest of the outlines.

        Args:
            blobs: The outlines.
            reach: How far outside an outline is measured, um.
            apart: Whether outlines that overlap push each other back, instead of
                flowing into one.

        Returns:
            Float32 (S, S) in um: positive inside, negative outside, at least -reach.
        """
        depth = np.full((self.size, self.size), -reach, np.float32)
        second = depth.copy()
        for blob in blobs:
            span = blob.half_length + blob.radius * (1 + sum(map(abs, blob.wobble)))
            lo_x, hi_x, lo_y, hi_y = (
                int(np.clip((c + s * (span + reach)) * self.px, 0, self.size))
                for c in (blob.x, blob.y)
                for s in (-1, 1)
            )
            patch = depth[lo_y:hi_y, lo_x:hi_x]
            if patch.size:
                y, x = np.mgrid[lo_y:hi_y, lo_x:hi_x].astype(np.float32)
                inner = blob_depth(blob, (x + 0.5) / self.px, (y + 0.5) / self.px)
                runner_up = second[lo_y:hi_y, lo_x:hi_x]
                np.maximum(runner_up, np.minimum(patch, inner), out=runner_up)
                np.maximum(patch, inner, out=patch)
        return np.minimum(depth, (depth - second) / 2 - 1) if apart else depth

    def cover(self, depth: np.ndarray, soft_um: float = 0.0) -> np.ndarray:
        """Turn a depth (um) into coverage 0..1, with an edge of at least 1 px."""
        return np.clip(depth / max(soft_um, 1 / self.px) + 0.5, 0, 1)

    def paint(self, cover: np.ndarray | float, material: Material) -> None:
        """Lay a material over the picture where `cover` (S, S), 0..1, says so."""
        for name, value in zip(FIELDS, material, strict=True):
            self.fields[name] += cover * (value - self.fields[name])

    def mark(self, unit: np.ndarray) -> None:
        """Add the bool (S, S) area `unit` to the units' mask."""
        self.mask = self.mask | unit

    def cut(self, tissue: np.ndarray) -> None:
        """Keep the specimen inside the bool (S, S) area `tissue` only."""
        self.paint((~tissue).astype(np.float32), EMPTY)
        self.tissue = self.tissue & tissue
        self.mask = self.mask & tissue
