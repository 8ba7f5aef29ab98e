"""What is wrong with the annotations of a file of COCO's format.

pycocotools draws what it is given: it takes four numbers for a box, reads past broken
run lengths, and fills the memory with points that are far away. So all is checked
before it is drawn.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Shape = tuple[int, int]
MOST_RUNS = 2**32  # px, as pycocotools counts in 32 bits


def annotation_faults(
    annotations: Iterable[Mapping[str, Any]],
    shapes: Mapping[Any, Shape],
    categories: Collection[Any],
    drawn: Collection[Any],
) -> list[str]:
    """Say what is wrong with annotations, each by its id.

    Args:
        annotations: Entries of the file.
        shapes: Height and width of each image, px, by the image's id.
        categories: Ids of all categories.
        drawn: Ids of the categories whose segmentations are drawn.
    """
    texts = []
    for number, entry in enumerate(annotations, start=1):
        name = f'annotation {entry["id"]}' if 'id' in entry else f'entry {number}'
        image, category = entry['image_id'], entry['category_id']
        if image not in shapes:
            fault = f'its image_id {image!r} is that of no image'
        elif category not in categories:
            fault = f'its category_id {category!r} is that of no category'
        elif category in drawn:
            fault = _segmentation_fault(entry['segmentation'], shapes[image])
        else:
            continue
        if fault:
            texts.append(f'{name}: {fault}')
    return texts


def _segmentation_fault(given: Any, shape: Shape) -> str:
    """Say why a segmentation cannot be drawn; '' if it can."""
    try:
        if isinstance(given, Mapping):
            _check_runs(given, shape)
        elif isinstance(given, list) and all(isinstance(p, list) for p in given):
            if not given:
                raise ValueError('its segmentation is empty; draw its outline')
            for polygon in given:
                _check_polygon(polygon, shape)
        else:
            raise ValueError('its segmentation is neither polygons nor run lengths')
    except ValueError as error:
        return str(error)
    return ''


def _check_polygon(values: Sequence[Any], shape: Shape) -> None:
    """Raise ValueError where a polygon is none, or is not on the image.

    What crosses the border is cut off there; a point further away than the image is
    large is a slip.
    """
    if not all(isinstance(v, int | float) and abs(v) < 1e15 for v in values):
        raise ValueError('the coordinates of its polygon are not all finite numbers')
    if len(values) % 2 or len(values) < 6:
        raise ValueError(
            f'its polygon has {len(values)} values; give x and y of at least 3 points'
        )
    points = np.array(values, np.float64).reshape(-1, 2)
    size = np.array(shape[::-1])
    least, most = points.min(0), points.max(0)
    where = (
        f'its polygon reaches from x {least[0]:,.0f}, y {least[1]:,.0f} to '
        f'x {most[0]:,.0f}, y {most[1]:,.0f}'
    )
    of_image = f'the image of {shape[1]} x {shape[0]} px (width x height)'
    if (most <= 0).any() or (least >= size).any():
        raise ValueError(f'{where}, outside of {of_image}')
    if (least < -size).any() or (most > 2 * size).any():
        raise ValueError(f'{where}, far beyond {of_image}')


def _check_runs(given: Mapping[str, Any], shape: Shape) -> None:
    """Raise ValueError where run lengths are damaged, or of another image."""
    size, counts = given.get('size'), given.get('counts')
    if not isinstance(size, list) or tuple(size) != shape:
        raise ValueError(
            f'its run lengths are of size {size}, the image is {[*shape]} '
            '(height, width)'
        )
    runs = _unpacked(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(map(_is_count, runs)):
        raise ValueError('its run lengths are damaged: counts are not whole numbers')
    if sum(runs) != shape[0] * shape[1]:
        raise ValueError(
            f'its run lengths cover {sum(runs):,} px, the image has '
            f'{shape[0] * shape[1]:,}'
        )


def _is_count(number: Any) -> bool:
    return isinstance(number, int) and 0 <= number < MOST_RUNS


def _unpacked(text: str) -> list[int]:
    """Return the counts of packed run lengths; see ``rleToString`` of COCO's API.

    Each count is written in digits of 5 bits, the lowest first, as its difference to
    the last but one.

    Raises:
        ValueError: If the text is damaged.
    """
    counts: list[int] = []
    value = shift = 0
    for digit in (ord(character) - 48 for character in text):
        if not 0 <= digit < 64 or shift > 30:
            raise ValueError('its run lengths are damaged: they cannot be unpacked')
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:  # goes on
            continue
        if digit & 16:  # negative
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError('its run lengths are damaged: they are cut off')
    return counts
