"""The images of a prediction folder: their scores, and which of them to show."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from mmseg_ftu.evaluation.evaluate import score_image
from mmseg_ftu.evaluation.mask_sources import MaskSource
from mmseg_ftu.evaluation.pairing import image_details, read_pair
from mmseg_ftu.evaluation.score_table import mean_interval
from mmseg_ftu.evaluation.unit_groups import connected_units, score_image_units
from mmseg_ftu.evaluation.unit_scores import UnitScores
from mmseg_ftu.io.tables import read_table

# Tables that a folder may hold with figures of its images, and their column of ids.
TABLES = {'predictions.csv': 'id', 'dice_per_image.csv': 'img_id'}
LABELS = ['organ', 'data_source', 'pixel_size']
FIGURES = ('dice', 'foreground', 'objects', 'threshold')
UNKNOWN_ORGAN = 'organ unknown'


class Scores(NamedTuple):
    """Every image that was predicted.

    Attributes:
        table: Index id; columns ``organ``, ``data_source`` (text), ``pixel_size``
            (um/px), ``dice`` (0..1), ``foreground`` (share of the image, 0..1),
            ``objects`` and ``threshold``; NaN where unknown.
        unscored: Ids that the ground truth lacks, if there is one.
        unpredicted: Ids of the ground truth without a prediction; of a prepared folder
            only those of folds that were predicted.
        saved_dice: Whether Dice was read from the table of ``tools/test.py``.
        units: Scores of units by id, without distances; of images with ground truth.
    """

    table: pd.DataFrame
    unscored: list[str]
    unpredicted: list[str]
    saved_dice: bool
    units: dict[str, UnitScores]


class Group(NamedTuple):
    """The images of an organ.

    Attributes:
        organ: Name of the organ.
        images: How many have the figure: Dice, or foreground where none has Dice.
        mean: Mean of the figure, 0..1.
        interval: 95 % bootstrap interval of the mean, NaN for a single image.
        median: Median of the figure, 0..1.
        worst: Least value of the figure, 0..1.
        values: The figure of each image, ascending.
        low: Ids with the least, ascending, at most n.
        high: Ids with the greatest, descending, at most n, none of them in ``low``.
    """

    organ: str
    images: int
    mean: float
    interval: tuple[float, float]
    median: float
    worst: float
    values: list[float]
    low: list[str]
    high: list[str]


def score_images(prediction: MaskSource, truth: MaskSource | None) -> Scores:
    """Score every image at its full size, with its mask as it was saved.

    Args:
        prediction: Source of the predicted masks.
        truth: Ground truth; without it, Dice is what the folder's table says, if it
            does.

    Raises:
        ValueError: If prediction and ground truth share no id, or differ in size.
    """
    known = set(truth.ids) if truth else set()
    if truth and prediction.ids and not known & set(prediction.ids):
        raise ValueError(
            f'--gt {truth.path} has no id of {prediction.path} (there '
            f'{", ".join(truth.ids[:3])}; here {", ".join(prediction.ids[:3])}); '
            'give the masks of the same images'
        )
    table = prediction.table[LABELS].join(saved_figures(prediction))
    saved_dice = not truth and bool(table.dice.notna().any())
    if truth:
        table['dice'] = np.nan
        table.update(image_details(truth, prediction)[LABELS])
    units = {}
    for name in tqdm(prediction.ids, 'scoring', disable=None, leave=False):
        if truth and name in known:
            predicted, mask = read_pair(name, prediction, truth)
            score = score_image(predicted, mask, with_hd95=False)['dice']
            table.loc[name, ['dice', 'foreground']] = score, (predicted == 1).mean()
            found, expected = connected_units(predicted), connected_units(mask)
            units[name] = score_image_units(found, expected, mask, with_hausdorff=False)
        elif np.isnan(table.foreground[name]):
            table.loc[name, 'foreground'] = (prediction.mask(name) == 1).mean()
    unscored = [name for name in prediction.ids if truth and name not in known]
    unpredicted = find_unpredicted(prediction, truth)
    return Scores(table, unscored, unpredicted, saved_dice, units)


def find_unpredicted(prediction: MaskSource, truth: MaskSource | None) -> list[str]:
    """Return ids of the truth without a prediction, in the folds that have any."""
    if truth is None:
        return []
    known = truth.table
    if 'fold' in known:
        known = known[known.fold.isin(known.fold[known.index.isin(prediction.ids)])]
    accounted = {*prediction.ids, *prediction.absent}
    return [name for name in known.index if name not in accounted]


def saved_figures(prediction: MaskSource) -> pd.DataFrame:
    """Return what the folder's own table says of its images; NaN where it does not."""
    figures = pd.DataFrame(np.nan, index=prediction.table.index, columns=[*FIGURES])
    for name, key in TABLES.items():
        path = prediction.path / name
        if not path.is_file():
            continue
        saved = read_table(path).set_index(key)
        for column in figures.columns.intersection(saved.columns):
            cells = pd.to_numeric(saved[column], errors='coerce')
            figures[column] = cells.reindex(figures.index).astype(float)
        break
    return figures


def group_by_organ(table: pd.DataFrame, count: int) -> list[Group]:
    """Summarise each organ and choose the images to show.

    Args:
        table: Table of the images, as in ``Scores``.
        count: How many of the lowest and of the highest images to choose.

    Returns:
        Organs in alphabetical order; only images that have the figure. With 2 * count
        images or fewer all are chosen, the lower half (rounded up) as low.
    """
    figure = 'dice' if table.dice.notna().any() else 'foreground'
    ranked = table.dropna(subset=[figure]).sort_values(figure, kind='stable')
    groups = []
    for organ, members in ranked.groupby(ranked.organ.replace('', UNKNOWN_ORGAN)):
        values, ids = members[figure], list(members.index)
        in_order = values[table.index.intersection(values.index)]  # as evaluate has it
        low = min(count, (len(ids) + 1) // 2)
        high = min(count, len(ids) - low)
        groups.append(
            Group(
                organ=organ,
                images=len(ids),
                mean=float(values.mean()),
                interval=mean_interval(in_order.to_numpy()),
                median=float(values.median()),
                worst=float(values.iloc[0]),
                values=values.tolist(),
                low=ids[:low],
                high=ids[::-1][:high],
            )
        )
    return groups
