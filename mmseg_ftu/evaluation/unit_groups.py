"""Scores of units in tables: of each image, and of each group pooled over its units."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from prettytable import PrettyTable

from mmseg_ftu.evaluation.mask_sources import MaskSource
from mmseg_ftu.evaluation.score_table import GROUPED_BY
from mmseg_ftu.evaluation.unit_scores import UnitScores, score_units
from mmseg_ftu.io.raster import IGNORE_LABEL
from mmseg_ftu.masks.label_image import objects_of_labels
from mmseg_ftu.masks.objects import Objects, find_objects
from mmseg_ftu.masks.run_mask import RunMask

FOREGROUND = 1


def units_of(
    source: MaskSource, name: str, mask: np.ndarray, instances: bool
) -> Objects:
    """Return the units of an image.

    Args:
        source: Source of the mask.
        name: Id of the image.
        mask: Its mask as ``MaskSource.mask`` reads it.
        instances: Whether the labels of the file tell units apart; else units are
            8-connected.
    """
    if instances and mask.any():  # an absent prediction is empty and has no file
        return objects_of_labels(source.instances(name)[0])[0]
    return connected_units(mask)


def connected_units(mask: np.ndarray) -> Objects:
    """Return the 8-connected objects of a mask whose foreground is 1."""
    return find_objects(_runs(mask == FOREGROUND))


def score_image_units(
    prediction: Objects,
    truth: Objects,
    mask: np.ndarray,
    with_hausdorff: bool = True,
    divided: bool = False,
) -> UnitScores:
    """Score the units of an image; ``mask`` is the truth, 255 where it is ignored."""
    ignored = mask == IGNORE_LABEL
    runs = _runs(ignored) if ignored.any() else None
    return score_units(prediction, truth, runs, with_hausdorff, divided)


def unit_columns(scores: UnitScores, pixel_size: float) -> dict[str, float]:
    """Return the scores of units as columns of a row.

    Args:
        scores: Scores of an image or of a group.
        pixel_size: um/px, NaN if unknown.
    """
    distance = scores.object_hausdorff
    return {
        'units_truth': scores.truth,
        'units_predicted': scores.predicted,
        'unit_count_error': scores.count_error,
        'unit_f1': scores.f1,
        'unit_sq': scores.sq,
        'unit_pq': scores.pq,
        'contest_f1': scores.contest_f1,
        'object_dice': scores.object_dice,
        'object_hausdorff_um': distance * pixel_size,
        'object_hausdorff_px': distance,
    }


def summarise_units(
    images: pd.DataFrame, scores: Mapping[str, UnitScores]
) -> pd.DataFrame:
    """Summarise the scores of units of all images, each organ and each data source.

    Args:
        images: Table of the images with ``id``, ``organ``, ``data_source`` and
            ``pixel_size``.
        scores: Scores of each image by id.

    Returns:
        One row a group: by, group, images, the columns of ``unit_columns`` of all its
        units together, and over images the mean of F1 and PQ and the mean absolute
        error of the count. The distance in um is NaN unless all pixel sizes are known
        and equal.
    """
    rows = []
    for by in GROUPED_BY:
        named = images[images[by] != '']
        rows += [_row(by, str(name), part, scores) for name, part in named.groupby(by)]
    return pd.DataFrame([*rows, _row('all', 'all', images, scores)])


def _row(
    by: str, name: str, images: pd.DataFrame, scores: Mapping[str, UnitScores]
) -> dict[str, Any]:
    chosen = [scores[key] for key in images.id]
    sizes = images.pixel_size.unique()
    size = float(sizes[0]) if len(sizes) == 1 else np.nan
    undefined = sum(not (s.truth and s.predicted) for s in chosen)
    return {
        'by': by,
        'group': name,
        'images': len(images),
        **unit_columns(UnitScores.pool(chosen), size),
        'unit_f1_mean': np.mean([s.f1 for s in chosen]),
        'unit_pq_mean': np.mean([s.pq for s in chosen]),
        'unit_count_error_abs_mean': np.mean([abs(s.count_error) for s in chosen]),
        'object_hausdorff_undefined': undefined,
    }


def draw_unit_groups(groups: pd.DataFrame) -> str:
    """Draw the table of groups of units."""
    header = ['by', 'group', 'units', 'predicted', 'count off by', 'F1', 'SQ', 'PQ']
    header += ['contest F1', 'object Dice', 'object Hausdorff']
    drawn = PrettyTable(header)
    drawn.align = 'r'
    drawn.align['by'] = drawn.align['group'] = 'l'
    for row in groups.to_dict('records'):
        um, px = row['object_hausdorff_um'], row['object_hausdorff_px']
        distance = f'{px:.1f} px' if np.isnan(um) else f'{um:.1f} um'
        names = ('unit_f1', 'unit_sq', 'unit_pq', 'contest_f1', 'object_dice')
        drawn.add_row(
            [
                *(row['by'], row['group'], row['units_truth'], row['units_predicted']),
                f'{row["unit_count_error_abs_mean"]:.2f}',
                *('' if np.isnan(row[n]) else f'{row[n]:.4f}' for n in names),
                '' if np.isnan(px) else distance,
            ]
        )
    return drawn.get_string()


def _runs(mask: np.ndarray) -> RunMask:
    return RunMask.from_strips([mask], (mask.shape[0], mask.shape[1]))
