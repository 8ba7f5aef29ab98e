"""Colour-threshold baseline: how far does colour alone get?

For each organ, the one rule "foreground where LOW <= channel <= HIGH" that gives the
best mean Dice on the training images, tried on many colour channels, blurred or not,
and on every pair of bounds. A network that is not clearly better than this on the
held-out fold has learnt nothing but colour. No deviations from a published method:
there is none; the stain channels are the deconvolution of Ruifrok & Johnston 2001.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from prettytable import PrettyTable

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.images import read_image, read_mask
from mmseg_ftu.io.own_files import is_own_csv, require_own
from mmseg_ftu.io.raster import IGNORE_LABEL
from mmseg_ftu.io.tables import read_table
from mmseg_ftu.prepared_folder import PreparedFolder
from mmseg_ftu.prepared_table import PreparedImage

# Optical densities (RGB) of haematoxylin, eosin and DAB: Ruifrok & Johnston 2001,
# Anal Quant Cytol Histol 23:291.
RUIFROK = np.array(
    [[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]]
)
CHANNELS = (
    *('grey', 'red', 'green', 'blue', 'hue', 'saturation', 'value', 'lab_l', 'lab_a'),
    *('lab_b', 'haematoxylin', 'eosin', 'dab'),
)
BLURS = (0.0, 0.005, 0.01, 0.02, 0.04)  # Gaussian sigma / longer side of the image
LEVELS = 64  # bounds are sought on so many levels of 0..255
STAIN_RANGE = (-0.5, 2.0)  # optical densities mapped to 0..255


class ColourRule(NamedTuple):
    """Foreground where `low` <= level < `high` of a channel blurred by `blur`.

    Attributes:
        channel: One of CHANNELS.
        blur: Sigma of the Gaussian blur relative to the image's longer side.
        low: Lowest level of foreground, 0..LEVELS - 1.
        high: First level above the foreground, 1..LEVELS.
        dice: Mean Dice over the images it was fitted on.
    """

    channel: str
    blur: float
    low: int
    high: int
    dice: float


def colour_channels(rgb: np.ndarray) -> np.ndarray:
    """Return the colour channels of an image.

    Args:
        rgb: Uint8 (H, W, 3).

    Returns:
        Uint8 (len(CHANNELS), H, W), in the order of CHANNELS.
    """
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV_FULL)
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    density = -np.log(np.maximum(np.arange(256), 1) / 255).astype(np.float32)[rgb]
    unit = RUIFROK / np.linalg.norm(RUIFROK, axis=1, keepdims=True)
    stains = density @ np.linalg.inv(unit).astype(np.float32)
    low, high = STAIN_RANGE
    stains = np.clip((stains - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    layers = (grey[..., None], rgb, hsv, lab, stains)
    return np.moveaxis(np.concatenate(layers, axis=-1), -1, 0)


def levels(channel: np.ndarray, blur: float) -> np.ndarray:
    """Blur a uint8 (H, W) channel and quantise it to LEVELS levels."""
    sigma = blur * max(channel.shape)
    if sigma > 0:
        channel = cv2.GaussianBlur(channel, (0, 0), sigma)
    return channel // (256 // LEVELS)


def band_dice(level: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the Dice of every band of levels on one image.

    Args:
        level: Integers 0..LEVELS - 1 of shape (H, W).
        mask: (H, W), 0 background, 1 foreground, 255 ignored.

    Returns:
        (LEVELS + 1, LEVELS + 1): [low, high] is the Dice of low <= level < high. An
        empty band scores 1 on an empty mask, as elsewhere in the package.
    """
    seen = mask != IGNORE_LABEL
    all_counts = np.bincount(level[seen], minlength=LEVELS)
    unit_counts = np.bincount(level[seen & (mask == 1)], minlength=LEVELS)
    both, unit = (np.append(0, np.cumsum(c)) for c in (all_counts, unit_counts))
    overlap = np.maximum(unit[None, :] - unit[:, None], 0)
    predicted = np.maximum(both[None, :] - both[:, None], 0)
    total = predicted + unit[-1]
    return np.where(total > 0, 2 * overlap / np.maximum(total, 1), 1.0)


def fit_colour_rule(samples: Iterable[tuple[np.ndarray, np.ndarray]]) -> ColourRule:
    """Find the rule with the best mean Dice.

    Args:
        samples: Pairs of RGB uint8 (H, W, 3) and mask (H, W).

    Raises:
        ValueError: There is no sample.
    """
    total = np.zeros((len(CHANNELS), len(BLURS), LEVELS + 1, LEVELS + 1))
    count = 0
    for rgb, mask in samples:
        count += 1
        for i, channel in enumerate(colour_channels(rgb)):
            for j, blur in enumerate(BLURS):
                total[i, j] += band_dice(levels(channel, blur), mask)
    if not count:
        raise ValueError('no training image to fit a colour rule on; use another fold')
    best = tuple(int(place) for place in np.unravel_index(total.argmax(), total.shape))
    i, j, low, high = best
    dice = float(total[best] / count)
    return ColourRule(CHANNELS[i], BLURS[j], low, high, dice)


def rule_dice(rule: ColourRule, rgb: np.ndarray, mask: np.ndarray) -> float:
    """Return the Dice (0..1) of a rule on one image."""
    channel = colour_channels(rgb)[CHANNELS.index(rule.channel)]
    return float(band_dice(levels(channel, rule.blur), mask)[rule.low, rule.high])


def evaluate_colour_baseline(data_root: str | Path, fold: int = 0) -> pd.DataFrame:
    """Fit on all folds but one and score that one, organ by organ.

    Args:
        data_root: Prepared folder.
        fold: The held-out fold, 0-based.

    Returns:
        One row an organ of the held-out fold: organ, images, channel, blur, low, high
        (of 0..255), train_dice, dice. The last row, organ 'all', holds the mean Dice
        over images; its rule is empty.

    Raises:
        ValueError: The folder is faulty, the fold holds no image, or an organ occurs in
            it alone.
    """
    folder = PreparedFolder.open(
        data_root, needed=('id', 'organ', 'fold'), finished=False
    )
    organs = {image.organ for image in folder.in_fold(fold)}
    folder.require_files(image for image in folder.images if image.organ in organs)
    rows, scores = [], []
    for organ in sorted(organs):
        members = [image for image in folder.images if image.organ == organ]
        training = [image for image in members if image.fold != fold]
        if not training:
            raise ValueError(
                f'{folder.table_path}: organ {organ!r} occurs in fold {fold} alone, '
                'so nothing can be fitted; prepare fewer or stratified folds'
            )
        tested = [image for image in members if image.fold == fold]
        rule = fit_colour_rule(read_samples(folder, training))
        dice = [rule_dice(rule, *sample) for sample in read_samples(folder, tested)]
        rows.append(score_rule(organ, rule, dice))
        scores += dice
    mean = {'organ': 'all', 'images': len(scores), 'dice': float(np.mean(scores))}
    return pd.DataFrame([*rows, mean])


def compare_with_colour(
    data_root: Path, fold: int = 0, result: Path | None = None, out: Path | None = None
) -> str:
    """Draw the table of the colour baseline, beside a model's Dice where there is one.

    Args:
        data_root: Prepared folder.
        fold: The held-out fold, 0-based.
        result: Folder written by ``tools/test.py --out`` on the same fold.
        out: CSV to write the table to.

    Returns:
        The table, for people.

    Raises:
        ValueError: For any of the reasons that ``evaluate_colour_baseline`` lists, or
            if result and fold differ, or ``out`` is another file.
    """
    if out is not None:
        require_own(out, is_own_csv('organ', 'images', 'channel', 'blur'))
    table = evaluate_colour_baseline(data_root, fold)
    if result is not None:
        file = result / 'dice_per_image.csv'
        if not file.is_file():
            raise ValueError(f'{file} is not there: give a folder of test.py --out')
        scores = read_table(file)
        scores['dice'] = pd.to_numeric(scores['dice'])
        if len(scores) != table.images.iloc[-1]:
            raise ValueError(
                f'{result}: holds {len(scores)} images, fold {fold} of {data_root} has '
                f'{table.images.iloc[-1]}; give the fold that was tested'
            )
        means = {**scores.groupby('organ').dice.mean(), 'all': scores.dice.mean()}
        table['model_dice'] = table.organ.map(means)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(out, table.to_csv(index=False).encode())
    shown = table.rename(columns={'dice': 'colour Dice', 'model_dice': 'model Dice'})
    drawn = PrettyTable([c for c in shown.columns if c != 'train_dice'])
    drawn.align = 'r'
    for row in shown[drawn.field_names].itertuples(index=False):
        drawn.add_row(['' if pd.isna(x) else format_cell(x) for x in row])
    return f'Colour threshold of each organ, held-out fold {fold}\n{drawn}'


def format_cell(value: object) -> str:
    """Write Dice and blur with digits, levels and counts without."""
    if isinstance(value, float):
        return f'{value:.0f}' if value == int(value) and value > 1 else f'{value:.3f}'
    return str(value)


def score_rule(organ: str, rule: ColourRule, dice: Sequence[float]) -> dict[str, Any]:
    """Return the table row of one organ."""
    step = 256 // LEVELS
    return {
        'organ': organ,
        'images': len(dice),
        'channel': rule.channel,
        'blur': rule.blur,
        'low': rule.low * step,
        'high': rule.high * step - 1,
        'train_dice': rule.dice,
        'dice': float(np.mean(dice)),
    }


def read_samples(
    folder: PreparedFolder, images: Iterable[PreparedImage]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read images (RGB) and masks of a prepared folder, one at a time.

    Raises:
        ValueError: A file is unreadable.
    """
    for image in images:
        mask = read_mask(folder.mask_path(image.id), (1,), IGNORE_LABEL)
        yield read_image(folder.image_path(image.id)), mask
