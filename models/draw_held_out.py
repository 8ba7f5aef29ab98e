"""Draw held-out tiles of both models: ``python models/draw_held_out.py WORK OUT.jpg``.

WORK is that of build.sh. A row has the first four tiles by name, as the network sees
them, each predicted by the network that left it out: outlines of the masks in green, of
the prediction in blue.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

SIDE, ACROSS, GAP = 320, 4, 6  # px, tiles, px
GREEN, BLUE = (0, 150, 60), (0, 60, 255)  # RGB


def main(work: Path, out: Path) -> None:
    """Write the picture."""
    rows = [row(work / name) for name in ('glomeruli-pas', 'prostate-glands-he')]
    picture = np.concatenate(rows)[:-GAP, :-GAP, ::-1]
    cv2.imwrite(str(out), picture, [cv2.IMWRITE_JPEG_QUALITY, 80])


def row(folder: Path) -> np.ndarray:
    """Return the tiles of a model, side by side."""
    found = sorted(folder.glob('predicted/*/masks/*.png'), key=lambda path: path.name)
    tiles = [tile(folder / 'data', path) for path in found[:ACROSS]]
    return np.concatenate(tiles, axis=1)


def tile(prepared: Path, predicted: Path) -> np.ndarray:
    """Return a tile with a white gap below and at its right."""
    image = cv2.imread(str(prepared / 'images' / predicted.name))[..., ::-1]
    truth = cv2.imread(str(prepared / 'masks' / predicted.name), cv2.IMREAD_UNCHANGED)
    mask = cv2.imread(str(predicted), cv2.IMREAD_UNCHANGED)
    picture = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    for part, colour in ((truth == 1, GREEN), (mask > 0, BLUE)):
        small = cv2.resize(part.astype(np.uint8), (SIDE, SIDE))
        lines, _ = cv2.findContours(small, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, lines, -1, colour, 2, cv2.LINE_AA)
    return np.pad(picture, [(0, GAP), (0, GAP), (0, 0)], constant_values=255)


if __name__ == '__main__':
    main(*map(Path, sys.argv[1:3]))
