"""A picture of what a normalisation does: before, after, and the target."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.images import read_image
from mmseg_ftu.io.own_files import is_own_picture, mark_picture, require_own
from mmseg_ftu.io.resizing import resize_image, target_shape
from mmseg_ftu.preparation.number_limits import LARGEST_SIZE, require_between
from mmseg_ftu.preparation.stain_target import list_target_images
from mmseg_ftu.stain import Normalizer, VahadaneNormalizer, load_target

CAPTION = 26  # px
GAP = 6  # px
LARGEST_PICTURE = 2048  # px
INK, PAPER = (0, 0, 0), 255
COMPRESSED = [cv2.IMWRITE_PNG_COMPRESSION, 9]


def draw_stains(
    source: Path,
    target: Path,
    output: Path,
    per_group: int = 2,
    size: int = 256,
    fit_size: int = 768,
) -> str:
    """Draw a row for images of each group: before, after, the target.

    Args:
        source: The competition's folder, a prepared one, or a folder of images; not
            normalised yet.
        target: JSON of ``tools/make_stain_target.py``, whose mosaic is shown if the PNG
            lies beside it; or an image, for Vahadane's method.
        output: The PNG to write.
        per_group: Images of each organ and data source.
        size: Side of a picture, px.
        fit_size: Longer side at which images are normalised, px.

    Returns:
        A summary for people.

    Raises:
        PreparationError: A number is out of range, or there is nothing to draw.
        ValueError: ``output`` is another picture.
    """
    require_between('--per-group', per_group, 1)
    require_between('--size', size, 1, LARGEST_PICTURE, 'px')
    require_between('--fit-size', fit_size, 1, LARGEST_SIZE, 'px')
    require_own(output, is_own_picture)
    normalizer, reference = _read_target(target)
    groups: dict[str, list[Path]] = {}
    for path, group in list_target_images(source):
        groups.setdefault(group, []).append(path)
    rows, failed = [], 0
    for group, paths in sorted(groups.items()):
        step = max(1, len(paths) // per_group)
        for path in paths[::step][:per_group]:
            image = read_image(path)
            image = resize_image(image, target_shape(image.shape[:2], fit_size))
            name = f'{group}, {path.stem}' if len(groups) > 1 else path.stem
            row, reason = _row(image, name, normalizer, size)
            if reference is not None:
                row.append(_panel(reference, 'target', size))
            rows.append(_join(row, axis=1))
            failed += reason is not None
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet = cv2.cvtColor(_join(rows, axis=0), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode('.png', sheet, COMPRESSED)
    write_bytes(output, mark_picture(encoded.tobytes()))
    unfit = f', {failed} could not be fitted' if failed else ''
    return f'wrote {output}: {len(rows)} images{unfit}'


def _read_target(path: Path) -> tuple[Normalizer[Any], np.ndarray | None]:
    """Return the fitted normaliser, and the picture of its target if there is one."""
    if path.suffix.lower() == '.json':
        mosaic = path.with_suffix('.png')
        return load_target(path), read_image(mosaic) if mosaic.is_file() else None
    image = read_image(path)
    return VahadaneNormalizer().fit(image), image


def _row(
    image: np.ndarray, name: str, normalizer: Normalizer[Any], size: int
) -> tuple[list[np.ndarray], str | None]:
    """Return the panels before and after, and why it could not be fitted, if so."""
    source = normalizer.fit_source(image)
    after = 'after'
    if source.reason is not None:
        done = "with the target's stains" if source.found else 'as it is'
        after = f'{done}: {source.reason}'
    panels = [
        _panel(image, name, size),
        _panel(normalizer.apply(image, source), after, size),
    ]
    return panels, source.reason


def _panel(image: np.ndarray, caption: str, size: int) -> np.ndarray:
    """Return the middle of an image at ``size`` px, with a caption above."""
    short = min(image.shape[:2])
    top, left = ((side - short) // 2 for side in image.shape[:2])
    square = np.ascontiguousarray(image[top : top + short, left : left + short])
    picture = resize_image(square, (size, size))
    title = np.full((CAPTION, size, 3), PAPER, np.uint8)
    scale = min(0.42, 0.42 * size / (8 * max(len(caption), 1)))
    cv2.putText(
        title, caption, (2, 17), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA
    )
    return np.vstack([title, picture])


def _join(parts: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Lay pictures side by side (axis 1) or one below the other, with gaps."""
    shape = list(parts[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, PAPER, np.uint8)
    laid = [piece for part in parts for piece in (part, gap)][:-1]
    return np.concatenate(laid, axis=axis)
