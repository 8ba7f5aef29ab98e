"""What tiles cost a network that looks at the whole image: agreement and Dice.

    python benchmarks/tile_agreement.py --steps 1000 [--config CONFIG] [--work DIR]

A recipe is trained on a set of small tissue, all folds but one. Held-out images are
laid side by side to large ones of real tissue with masks. Each is shown to the network
at once, and in tiles of one to three times the size of its training crops, with several
overlaps and two ways of joining: cross-fade, as ``mmseg-ftu predict`` does it, and cut,
where a pixel takes the tile whose centre is nearest. The table has the Dice between
tiled and whole masks, that of each with the ground truth, and how many pixels the
network sees for one of the image.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from accuracy import ROOT, train_config
from mmengine.config import Config
from tissue_sets import SETS, TissueSet, prepare

import mmseg_ftu.plugin  # noqa: F401
from mmseg_ftu.evaluation.dice import dice
from mmseg_ftu.inference.network import Network
from mmseg_ftu.inference.tiles import Tile, blend, tile_rows

SIDES = (1, 1.5, 2, 3)  # of a tile, in sizes of training
OVERLAPS = (1 / 4, 1 / 2)  # in tiles
JOINS = ('cross-fade', 'cut')


def main() -> None:
    args = parse_args()
    config = Config.fromfile(args.config)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(args.work or folder)
        tissue = prepare(SETS[args.set], work / args.set)
        run = work / f'tiles_{args.config.stem}_{args.set}_{args.steps}'
        train_config(args.config, tissue, args.fold, args.steps, run, args.threads)
        checkpoint = max(run.glob('epoch_*.pth'), key=lambda p: int(p.stem[6:]))
        network = Network(config, [checkpoint])
        images = list(mosaics(tissue, args.fold, args.across))
    compare(args, network, config.crop_size[0], images)


def compare(
    args: argparse.Namespace,
    network: Network,
    trained: int,
    images: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    wholes = [network([image])[0] > args.threshold for image, _ in images]
    truths = [mask for _, mask in images]
    print(f'{len(images)} images of {images[0][1].shape} px')
    print('| tile, px | overlap, px | joined by | px seen | Dice with whole | Dice |')
    print('|---|---|---|---|---|---|')
    row('whole', '', '', 1, [1.0], scores(wholes, truths))
    for side in SIDES:
        tile = round(side * trained)
        for share in OVERLAPS:
            overlap = round(share * tile)
            seen = [probabilities(network, image, tile, overlap) for image, _ in images]
            pixels = sum(v.size for rows in seen for _, values in rows for v in values)
            pixels /= sum(mask.size for mask in truths)
            for join in JOINS:
                masks = [
                    joined(rows, mask.shape, join) > args.threshold
                    for rows, mask in zip(seen, truths, strict=True)
                ]
                agreement, true = scores(masks, wholes), scores(masks, truths)
                row(f'{tile}', f'{overlap}', join, pixels, agreement, true)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    recipe = ROOT / 'configs/tissue/coat_slim_daformer.py'
    add('--config', type=Path, default=recipe)
    add('--set', default='glas', choices=list(SETS))
    add('--steps', type=int, default=1000)
    add('--work', help='folder that keeps prepared data and the run')
    add('--fold', type=int, default=0, help='is held out')
    add('--across', type=int, default=2, help='images side by side, and as many below')
    add('--threshold', type=float, default=0.5)
    add('--threads', type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    args.config = args.config.resolve()
    torch.set_num_threads(args.threads)
    return args


def mosaics(
    tissue: TissueSet, fold: int, across: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images (H, W, 3) and masks (H, W) bool of ``across**2`` images each."""
    names = tissue.ids(fold, held_out=True)
    for start in range(0, len(names) - across**2 + 1, across**2):
        images, masks = zip(
            *(tissue.read(name) for name in names[start : start + across**2]),
            strict=True,
        )
        yield side_by_side(images, across), side_by_side(masks, across) == 1


def side_by_side(parts: Sequence[np.ndarray], across: int) -> np.ndarray:
    """Join parts, cut to the smallest of them."""
    height, width = (min(part.shape[axis] for part in parts) for axis in (0, 1))
    parts = [part[:height, :width] for part in parts]
    rows = [
        np.concatenate(parts[i : i + across], axis=1)
        for i in range(0, len(parts), across)
    ]
    return np.concatenate(rows)


def probabilities(
    network: Network, image: np.ndarray, tile: int, overlap: int
) -> list[tuple[list[Tile], list[np.ndarray]]]:
    return [
        (row, [network([image[window_of(place)]])[0] for place in row])
        for row in tile_rows(image.shape[:2], tile, overlap)
    ]


def window_of(place: Tile) -> tuple[slice, slice]:
    height, width = place.shape
    return np.s_[place.top : place.top + height, place.left : place.left + width]


def joined(
    rows: list[tuple[list[Tile], list[np.ndarray]]], shape: tuple[int, int], join: str
) -> np.ndarray:
    """Return the probability of an image, (H, W)."""
    if join == 'cut':
        rows = [([hard(t) for t in row], values) for row, values in rows]
    return np.concatenate([lines for _, lines in blend(shape, rows)])


def hard(place: Tile) -> Tile:
    """Give a tile the pixels where its window is the largest of all."""
    down, across = ((w >= 0.5).astype(np.float32) for w in (place.down, place.across))
    return place._replace(down=down, across=across)


def scores(found: list[np.ndarray], true: list[np.ndarray]) -> list[float]:
    return [dice(f, t) for f, t in zip(found, true, strict=True)]


def row(
    tile: str, overlap: str, join: str, pixels: float, whole: list, true: list
) -> None:
    spread = f'{np.mean(whole):.3f} ({min(whole):.3f} to {max(whole):.3f})'
    print(
        f'| {tile} | {overlap} | {join} | {pixels:.1f} | {spread} '
        f'| {np.mean(true):.3f} |',
        flush=True,
    )


if __name__ == '__main__':
    main()
