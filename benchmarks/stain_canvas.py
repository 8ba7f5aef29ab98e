"""Show what the share of glass in an image does to its tissue.

    python benchmarks/stain_canvas.py [--source a.png] [--target b.png]

The same 100 x 100 px of the source lie on canvases of ever more glass, each of which is
normalised to the target. A row gives the mean colour of these pixels afterwards, for
strengths over all pixels (``compatible=True``, as staintools does) and over the tissue
(the default). Without files, sections are made up.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from mmseg_ftu.stain import METHODS, StainFitError

SIDE = 100  # px of tissue
CANVASES = (100, 141, 200, 316, 450, 690, 870, 1000)  # px, 100 % to 1 % of tissue
GLASS, NOISE = 243, 2  # mean and standard deviation of the glass, grey levels


def made_up(seed: int, stains: list[list[float]]) -> np.ndarray:
    """Return a section of two stains without glass, 400 x 400 px, RGB."""
    rng = np.random.default_rng(seed)
    amounts = 0.3 + cv2.GaussianBlur(rng.gamma(1.2, 0.5, (400, 400, 2)), (3, 3), 0)
    light = 255 * np.exp(-amounts @ np.array(stains))
    return np.clip(light + rng.normal(0, 3, light.shape), 0, 255).astype(np.uint8)


def load(path: Path | None, made: np.ndarray) -> np.ndarray:
    """Return an RGB image from a file, or the one that was made up."""
    if path is None:
        return made
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def canvas(tissue: np.ndarray, side: int) -> np.ndarray:
    """Return the tissue in the corner of a square of glass."""
    noise = np.random.default_rng(0).normal(GLASS, NOISE, (side, side, 3))
    image = np.clip(noise.round(), 0, 255).astype(np.uint8)
    image[:SIDE, :SIDE] = tissue
    return image


def colour(method: str, compatible: bool, target: np.ndarray, image: np.ndarray) -> str:
    """Return the mean colour of the tissue, or why the image could not be fitted."""
    normalizer = METHODS[method]('raise', compatible=compatible).fit(target)
    try:
        out = normalizer.transform(image)[:SIDE, :SIDE]
    except StainFitError as error:
        return error.reason
    return ', '.join(f'{level:.0f}' for level in out.mean(axis=(0, 1)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--source', type=Path)
    parser.add_argument('--target', type=Path)
    parser.add_argument('--methods', nargs='+', default=[*METHODS], choices=METHODS)
    args = parser.parse_args()
    source = load(args.source, made_up(0, [[0.5, 0.75, 0.43], [0.1, 0.95, 0.25]]))
    target = load(args.target, made_up(1, [[0.65, 0.70, 0.29], [0.27, 0.90, 0.34]]))
    top, left = ((side - SIDE) // 2 for side in source.shape[:2])
    tissue = source[top : top + SIDE, left : left + SIDE]
    print('| method | tissue of the canvas | over all pixels | over the tissue |')
    print('|---|---|---|---|')
    for method in args.methods:
        for side in CANVASES:
            image = canvas(tissue, side)
            found = [colour(method, rule, target, image) for rule in (True, False)]
            share = f'{100 * (SIDE / side) ** 2:.1f} %'
            print(f'| {method} | {share} | {found[0]} | {found[1]} |', flush=True)


if __name__ == '__main__':
    main()
