"""Scores of images by organ and data source, as numbers and drawn for people."""

from typing import Any

import numpy as np
import pandas as pd
from prettytable import PrettyTable
from scipy import stats

RESAMPLES = 2000  # interval ends move by less than a tenth of its width between seeds
CONFIDENCE = 0.95
GROUPED_BY = ('organ', 'data_source')


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean, resampling images.

    Percentile method, 2000 resamples, seed 0. NaN for fewer than two values.
    """
    if len(values) < 2:
        return np.nan, np.nan
    interval = stats.bootstrap(
        (np.asarray(values, float),),
        np.mean,
        n_resamples=RESAMPLES,
        batch=100,
        confidence_level=CONFIDENCE,
        method='percentile',
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def summarise_groups(images: pd.DataFrame) -> pd.DataFrame:
    """Summarise the scores of all images, each organ and each data source.

    Args:
        images: Table of scores, one row an image, as ``compare`` makes it.

    Returns:
        One row a group: by (``organ``, ``data_source`` or ``all``), group, images,
        dice_mean, dice_low, dice_high (95 % interval of the mean), dice_median,
        iou_mean and, if computed, hd95_um_median (NaN unless all pixel sizes are
        known), hd95_px_median, hd95_undefined (images). Images without an organ or a
        data source are in no such group.
    """
    rows = []
    for by in GROUPED_BY:
        named = images[images[by] != '']
        rows += [mean_row(by, str(name), part) for name, part in named.groupby(by)]
    return pd.DataFrame([*rows, mean_row('all', 'all', images)])


def mean_row(by: str, name: str, images: pd.DataFrame) -> dict[str, Any]:
    """Summarise one group, see ``summarise_groups``."""
    low, high = mean_interval(images.dice.to_numpy())
    row: dict[str, Any] = {
        'by': by,
        'group': name,
        'images': len(images),
        'dice_mean': images.dice.mean(),
        'dice_low': low,
        'dice_high': high,
        'dice_median': images.dice.median(),
        'iou_mean': images.iou.mean(),
    }
    if 'hd95_px' in images:
        in_um = images.pixel_size.notna().all()
        row |= {
            'hd95_um_median': known_median(images.hd95_um) if in_um else np.nan,
            'hd95_px_median': known_median(images.hd95_px),
            'hd95_undefined': int(images.hd95_px.isna().sum()),
        }
    return row


def known_median(values: pd.Series) -> float:
    """Return the median of what is not NaN; NaN if nothing is."""
    known = values.dropna()
    return float(known.median()) if len(known) else np.nan


def draw_groups(groups: pd.DataFrame) -> str:
    """Draw the table of groups.

    HD95 is in um where all pixel sizes of the group are known, else in px.
    """
    with_hd95 = 'hd95_px_median' in groups
    header = ['by', 'group', 'images', 'Dice', '95 % interval', 'median', 'IoU']
    header += ['HD95, median', 'HD95 undefined'] * with_hd95
    drawn = PrettyTable(header)
    drawn.align = 'r'
    drawn.align['by'] = drawn.align['group'] = 'l'
    for row in groups.to_dict('records'):
        low, high = row['dice_low'], row['dice_high']
        interval = '' if np.isnan(low) else f'{low:.4f} to {high:.4f}'
        cells = [f'{row["dice_mean"]:.4f}', interval]
        cells += [f'{row["dice_median"]:.4f}', f'{row["iou_mean"]:.4f}']
        if with_hd95:
            um, px = row['hd95_um_median'], row['hd95_px_median']
            value = px if np.isnan(um) else um
            unit = 'px' if np.isnan(um) else 'um'
            cells += ['' if np.isnan(value) else f'{value:.1f} {unit}']
            cells += [row['hd95_undefined']]
        drawn.add_row([row['by'], row['group'], row['images'], *cells])
    return drawn.get_string()
