"""Outlines and their placement, from which the sample tissue is drawn.

All lengths are in micrometres (um) of a field as wide as a competition image.
"""

from typing import NamedTuple

import numpy as np

FIELD_UM = 1200.0  # 3000 px x 0.4 um/px: one HPA image of the competition


class Blob(NamedTuple):
    """A rounded, wobbly, possibly elongated outline; lengths in um, angle in rad.

    A circle of `radius` is drawn out along `angle` by `half_length` each way; its
    radius varies by the relative amplitudes `wobble` of 2, 3, ... waves a turn.
    """

    x: float
    y: float
    radius: float
    half_length: float = 0.0
    angle: float = 0.0
    wobble: tuple[float, ...] = ()
    phase: tuple[float, ...] = ()


def draw_blob(
    rng: np.random.Generator,
    x: float,
    y: float,
    radius: float,
    half_length: float = 0.0,
    angle: float | None = None,
    wobble: float = 0.06,
) -> Blob:
    """Draw an outline with three random waves of relative size `wobble`.

    `angle` is random when None.
    """
    amplitudes = wobble * rng.uniform(-1, 1, 3) / np.arange(1, 4) ** 0.5
    turn = rng.uniform(0, 2 * np.pi) if angle is None else angle
    phases = rng.uniform(0, 2 * np.pi, 3)
    return Blob(x, y, radius, half_length, turn, tuple(amplitudes), tuple(phases))


def blob_depth(blob: Blob, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the depth (um, positive inside) of points x, y (um) in an outline."""
    dx, dy = x - blob.x, y - blob.y
    cos, sin = np.float32(np.cos(blob.angle)), np.float32(np.sin(blob.angle))
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    along = np.sign(along) * np.maximum(np.abs(along) - blob.half_length, 0)
    turn = np.arctan2(across, along)
    radius = np.full_like(turn, blob.radius)
    for k, (size, phase) in enumerate(zip(blob.wobble, blob.phase, strict=True), 2):
        radius += blob.radius * size * np.cos(k * turn + phase)
    return radius - np.hypot(along, across)


def lattice(
    rng: np.random.Generator,
    pitch: tuple[float, float],
    angle: float = 0.0,
    jitter: float = 0.18,
) -> np.ndarray:
    """Draw a jittered hexagonal lattice that fills the field.

    Args:
        rng: Source of randomness.
        pitch: Distance of neighbours in a row and of rows, um.
        angle: Direction of the rows, rad.
        jitter: Deviation of a point relative to the pitch.

    Returns:
        Points (N, 2), x and y in um, within the field.
    """
    reach = int(np.ceil(0.75 * FIELD_UM / min(pitch))) + 1
    row, column = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    flat = np.stack([(column + row % 2 / 2) * pitch[0], row * pitch[1]], 1)
    flat = flat + rng.normal(0, jitter, flat.shape) * pitch
    cos, sin = np.cos(angle), np.sin(angle)
    points = flat @ np.array([[cos, sin], [-sin, cos]]) + FIELD_UM / 2
    inside: np.ndarray = points[((points > 0) & (points < FIELD_UM)).all(1)]
    return inside


def scatter(
    rng: np.random.Generator, radii: np.ndarray, reach: float, gap: float
) -> np.ndarray:
    """Drop discs at random, apart from each other, into the middle of the field.

    Args:
        rng: Source of randomness.
        radii: Radius of each disc, um; a disc that finds no room is left out.
        reach: Greatest distance of a centre from the middle of the field, um.
        gap: Least gap between discs, um.

    Returns:
        (N, 3): x, y and radius in um, N <= len(radii).
    """
    placed = np.empty((0, 3))
    for radius in radii:
        for _ in range(30):
            turn, away = rng.uniform(0, 2 * np.pi), reach * rng.uniform() ** 0.5
            point = FIELD_UM / 2 + away * np.array([np.cos(turn), np.sin(turn)])
            apart = np.hypot(*(placed[:, :2] - point).T) - placed[:, 2] - radius
            if (apart > gap).all():
                placed = np.vstack([placed, [*point, radius]])
                break
    return placed
