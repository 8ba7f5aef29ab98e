"""From a raw mask to the objects that count: filled, split, without small ones."""

from mmseg_ftu.masks.objects import Objects, fill_holes, find_objects
from mmseg_ftu.masks.run_mask import RunMask
from mmseg_ftu.masks.split_touching import split_touching


def clean_objects(
    mask: RunMask,
    *,
    fill: bool = False,
    max_hole_um2: float | None = None,
    min_area_um2: float | None = None,
    min_area_px: float | None = None,
    split_um: float | None = None,
    split_px: float | None = None,
    pixel_size: float | None = None,
) -> Objects:
    """Fill holes, split objects that touch, then drop small ones.

    Args:
        mask: The mask.
        fill: Whether to fill holes.
        max_hole_um2: Leave larger holes open, um^2; None fills all.
        min_area_um2: Drop smaller objects, um^2; None drops none.
        min_area_px: Drop smaller objects, px; where both are given, both must be met.
        split_um: Split objects that touch, with this depth, um; see ``split_touching``.
        split_px: The same in px; one of them may be given.
        pixel_size: Pixel size of the mask, um/px; None if unknown.

    Raises:
        ValueError: If a limit in um^2 or um comes without a pixel size, or is negative,
            or both depths are given.
    """
    max_hole = _limit_in_px('max_hole_um2', max_hole_um2, pixel_size)
    min_area = _limit_in_px('min_area_um2', min_area_um2, pixel_size)
    _check_limit('min_area_px', min_area_px)
    depth = _depth(split_um, split_px, pixel_size)
    if fill:
        mask = fill_holes(mask, max_hole)
    objects = find_objects(mask)
    if depth is not None:
        objects = split_touching(objects, depth)
    min_px = max(min_area_px or 0, min_area or 0)
    return objects if min_px <= 1 else objects.select(objects.area >= min_px)


def _check_limit(name: str, limit: float | None) -> None:
    if limit is not None and not limit >= 0:
        raise ValueError(f'{name} {limit}: must be 0 or more')


def _limit_in_px(
    name: str, um2: float | None, pixel_size: float | None
) -> float | None:
    """Return a limit in um^2 as one in px; None if there is none."""
    _check_limit(name, um2)
    if um2 is None:
        return None
    if not pixel_size:
        raise ValueError(
            f'{name} {um2} needs the pixel size, which is unknown: give it '
            '(um/px), or give the limit in px'
        )
    return um2 / pixel_size**2


def _depth(
    um: float | None, px: float | None, pixel_size: float | None
) -> float | None:
    """Return the depth of splitting, px; None if nothing is to be split."""
    if um is not None and px is not None:
        raise ValueError(f'split_um {um} and split_px {px}: give one of them')
    if um is None:
        return px
    if not pixel_size:
        raise ValueError(
            f'split_um {um} needs the pixel size, which is unknown: give it (um/px), '
            'or split_px'
        )
    return um / pixel_size
