"""A picture of a slide with its annotations and tiles, to see that they fit."""

from collections.abc import Iterable

import cv2
import numpy as np
import shapely

from mmseg_ftu.masks.annotations import Annotation
from mmseg_ftu.masks.draw_outlines import (
    IGNORED_COLOUR,
    MASK_COLOUR,
    REGION_COLOUR,
)
from mmseg_ftu.preparation.slide_outlines import SlideOutlines
from mmseg_ftu.preparation.slide_tiles import SlideTile

WITH_UNITS, WITHOUT = (0, 0, 0), (140, 140, 140)  # RGB of tiles
THUMBNAIL_QUALITY, QUALITY = 95, 85
FULL_COLOUR = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444  # thin lines keep their colour
SHIFT = 4  # binary digits behind the point of a coordinate, for OpenCV


def draw_annotations(
    thumbnail: np.ndarray, shape: tuple[int, int], outlines: SlideOutlines
) -> bytes:
    """Return a JPEG of a slide with its annotations.

    Args:
        thumbnail: RGB uint8 (h, w, 3).
        shape: Height and width of the slide, px.
        outlines: Annotations in px of the slide.
    """
    picture = thumbnail.copy()
    for annotations, colour in (
        (outlines.regions or (), REGION_COLOUR),
        (outlines.ignored, IGNORED_COLOUR),
        (outlines.units, MASK_COLOUR),
    ):
        lines = _rings(annotations, shape, thumbnail.shape[:2])
        thickness = max(2, round(min(thumbnail.shape[:2]) / 400))
        cv2.polylines(picture, lines, True, colour, thickness, cv2.LINE_AA, SHIFT)
    return _encode(picture, THUMBNAIL_QUALITY)


def draw_tiles(
    thumbnail: bytes,
    resized: tuple[int, int],
    tiles: Iterable[SlideTile],
) -> bytes:
    """Return the JPEG with the tiles that were chosen.

    Args:
        thumbnail: JPEG of `draw_annotations`.
        resized: Height and width of the slide in which tiles are counted, px.
        tiles: Tiles; those with units are drawn black, others grey.
    """
    decoded = cv2.imdecode(np.frombuffer(thumbnail, np.uint8), cv2.IMREAD_COLOR)
    picture = np.ascontiguousarray(np.asarray(decoded)[..., ::-1])
    scale = np.divide(picture.shape[:2], resized)
    for tile in sorted(tiles, key=lambda tile: tile.units > 0):
        begin = np.multiply(tile.box[:2], scale)
        end = np.multiply(np.add(tile.box[:2], tile.box[2:]), scale) - 1
        corners = [tuple(int(n) for n in np.rint(p)[::-1]) for p in (begin, end)]
        colour = WITH_UNITS if tile.units else WITHOUT
        cv2.rectangle(picture, corners[0], corners[1], colour, 1)
    return _encode(picture, QUALITY)


def _rings(
    annotations: Iterable[Annotation], shape: tuple[int, int], size: tuple[int, int]
) -> list[np.ndarray]:
    """Return the rings of outlines in px of the thumbnail, as OpenCV takes them."""
    outlines = np.array([annotation.outline for annotation in annotations], object)
    if not len(outlines):
        return []
    scale = np.array([size[1] / shape[1], size[0] / shape[0]])
    rings = shapely.get_rings(shapely.get_parts(outlines))
    points = (shapely.get_coordinates(ring) * scale - 0.5 for ring in rings)
    return [np.rint(ring * 2**SHIFT).astype(np.int32) for ring in points]


def _encode(picture: np.ndarray, quality: int) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, FULL_COLOUR]
    _, data = cv2.imencode('.jpg', bgr, options)
    return data.tobytes()
