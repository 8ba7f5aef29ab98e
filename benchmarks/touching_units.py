"""Count units of true masks that were made to touch, before and after splitting.

    python benchmarks/touching_units.py MASKS
    python benchmarks/touching_units.py MASKS --show A B --out picture.png

Each mask is grown by a few px, so that neighbours touch as they do in many predictions.
The number of units before that is the truth. The picture shows some images grown by 2
px and split with a depth of 6 px.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from mmseg_ftu.evaluation.mask_sources import open_masks
from mmseg_ftu.masks.objects import Objects, find_objects
from mmseg_ftu.masks.run_mask import RunMask
from mmseg_ftu.masks.split_touching import split_touching


def units_of(mask: np.ndarray) -> Objects:
    return find_objects(RunMask.from_strips([mask], mask.shape))


def grow(mask: np.ndarray, px: int) -> np.ndarray:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1))
    return cv2.dilate((mask == 1).astype(np.uint8), disc)


def mean_error(counts: list[int], truth: list[int]) -> float:
    return float(np.abs(np.subtract(counts, truth)).mean())


def print_table(
    masks: list[np.ndarray], grown_px: list[int], depths: list[float]
) -> None:
    """Print how many units there are, and by how many an image is off."""
    truth = [len(units_of(mask == 1)) for mask in masks]
    print(f'{len(masks)} images, {sum(truth)} units')
    for px in grown_px:
        grown = [units_of(grow(mask, px)) for mask in masks]
        counts = [len(units) for units in grown]
        print(
            f'grown by {px} px: {sum(counts)}, off by {mean_error(counts, truth):.2f}'
        )
        for depth in depths:
            parts = [split_touching(units, depth) for units in grown]
            counts = [len(units) for units in parts]
            lost = 1 - sum(p.mask.area for p in parts) / sum(g.mask.area for g in grown)
            print(
                f'  split, {depth:g} px: {sum(counts)}, off by '
                f'{mean_error(counts, truth):.2f}, {100 * lost:.2f} % of the area lost'
            )


def paint(units: Objects) -> np.ndarray:
    """Give each unit a colour of its own, on white."""
    picture = np.full((*units.mask.shape, 3), 255, np.uint8)
    rng = np.random.default_rng(2)
    for i in range(len(units)):
        shade = np.uint8([[[rng.integers(180), 150, 190]]])
        colour = cv2.cvtColor(shade, cv2.COLOR_HSV2BGR)[0, 0]
        picture[units.pixels(i, 0, 0, *units.mask.shape) > 0] = colour
    return picture


def draw(masks: list[np.ndarray], px: int, depth: float, out: Path) -> None:
    """Draw true units, grown ones, and those after splitting."""
    rows = []
    for mask in masks:
        grown = units_of(grow(mask, px))
        stages = (units_of(mask == 1), grown, split_touching(grown, depth))
        framed = [cv2.copyMakeBorder(paint(u), *(4,) * 4, 0) for u in stages]
        rows.append(np.hstack(framed))
    cv2.imwrite(str(out), np.vstack(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('masks', type=Path)
    parser.add_argument('--out', type=Path)
    parser.add_argument('--show', nargs='+', default=[])
    parser.add_argument('--grow', type=int, nargs='+', default=[0, 1, 2, 3])
    parser.add_argument('--depth', type=float, nargs='+', default=[2, 4, 6, 8])
    args = parser.parse_args()
    source = open_masks(args.masks)
    print_table([source.mask(name) for name in source.ids], args.grow, args.depth)
    if args.out:
        draw([source.mask(name) for name in args.show], 2, 6, args.out)


if __name__ == '__main__':
    main()
