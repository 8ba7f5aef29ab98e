"""Score saved predictions, of this package or of any other system, without a model.

Per image, and per organ and data source: Dice as everywhere in the package (both empty
count 1, ignored pixels are left out), IoU and HD95; on demand scores of units.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from mmseg_ftu.evaluation.dice import dice
from mmseg_ftu.evaluation.hd95 import hd95
from mmseg_ftu.evaluation.held_out import TrainingCheck, checkpoints_of, doubt
from mmseg_ftu.evaluation.mask_sources import MaskSource, open_masks
from mmseg_ftu.evaluation.pairing import (
    choose_present,
    ids_of_fold,
    image_details,
    read_pair,
    refuse_other_sizes,
)
from mmseg_ftu.evaluation.score_table import draw_groups, summarise_groups
from mmseg_ftu.evaluation.unit_groups import (
    draw_unit_groups,
    score_image_units,
    summarise_units,
    unit_columns,
    units_of,
)
from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.listing import some_of
from mmseg_ftu.io.own_files import is_own_csv, refuse_nesting, require_own

FOREGROUND, IGNORE = 1, 255
MISSING = ('error', 'skip', 'empty')
FIRST_COLUMNS = ('id', 'organ', 'data_source', 'pixel_size', 'dice', 'iou')
NO_PREDICTION = 'no prediction, counted as empty'


class Comparison(NamedTuple):
    """Scores of a prediction.

    Attributes:
        images: One row an image: id, organ, data_source, pixel_size (um/px), dice, iou
            (0..1), note, and unless left out hd95_um (NaN without pixel size) and
            hd95_px; both NaN if either mask is empty.
        groups: One row for all, each organ and each data source, see
            ``summarise_groups``.
        notes: Sentences on what is not in the scores.
        unit_groups: Scores of units of the same groups, see ``summarise_units``; None
            where they were not asked for. Those of images are in ``images``.
    """

    images: pd.DataFrame
    groups: pd.DataFrame
    notes: list[str]
    unit_groups: pd.DataFrame | None = None


def compare(
    prediction: Path,
    truth: Path,
    missing: str = 'error',
    with_hd95: bool = True,
    pixel_size: float | None = None,
    fold: int | None = None,
    foreground: Iterable[int] | str = 'auto',
    ignore: int | None = None,
    pred_foreground: Iterable[int] | str = 'auto',
    pred_ignore: int | None = None,
    units: bool = False,
    instances: bool = False,
    pred_instances: bool = False,
) -> Comparison:
    """Score each image of the truth.

    Args:
        prediction: Predicted masks, in any layout of ``open_masks``.
        truth: Ground truth, in any layout of ``open_masks``.
        missing: What to do with images without a prediction: ``'error'``, ``'skip'``
            or ``'empty'``, which counts them as predicted empty.
        with_hd95: Compute HD95 too, by far the slowest of the three, and of units the
            Hausdorff distance.
        pixel_size: Size of all images' pixels (um/px), instead of the tables'.
        fold: Score this fold of a prepared folder only.
        foreground: Labels that are foreground in the truth, see ``Labels``.
        ignore: Label of the truth that is left out of the scores.
        pred_foreground: Labels that are foreground in the prediction.
        pred_ignore: Label of the prediction that is background: a prediction has no say
            in where it is scored.
        units: Score units, too.
        instances: Take the labels of the truth for units; else they are 8-connected.
        pred_instances: The same for the prediction.

    Raises:
        ValueError: If images lack a prediction or differ in size, or a file is faulty.
    """
    if pixel_size is not None and not 0 < pixel_size < np.inf:
        raise ValueError(f'pixel size {pixel_size}: give a positive number of um/px')
    if missing not in MISSING:
        raise ValueError(f'missing is {missing!r}: give one of {", ".join(MISSING)}')
    if (instances or pred_instances) and not units:
        raise ValueError('--instances and --pred-instances are for --units: give it')
    truths = open_masks(truth, foreground, ignore)
    predictions = open_masks(prediction, pred_foreground, pred_ignore, 'pred-')
    names = ids_of_fold(truths, fold)
    names, absent = choose_present(names, predictions, truths, missing)
    refuse_other_sizes(names, predictions, truths)
    details = image_details(truths, predictions, pixel_size).to_dict('index')
    rows, any_unit, of_units = [], False, {}
    for name in tqdm(names, desc='scoring', unit='image'):
        found, mask = read_pair(name, predictions, truths, empty=name in absent)
        row = {str(column): value for column, value in details[name].items()}
        scores = score_image(found, mask, row['pixel_size'], with_hd95)
        any_unit = any_unit or bool((mask == FOREGROUND).any())
        if units:
            of_units[name] = score_image_units(
                units_of(predictions, name, found, pred_instances),
                units_of(truths, name, mask, instances),
                *(mask, with_hd95, not (instances or pred_instances)),
            )
            scores |= unit_columns(of_units[name], row['pixel_size'])
        note = NO_PREDICTION if name in absent else ''
        rows.append({'id': name, **row, **scores, 'note': note})
    images = pd.DataFrame(rows)
    notes = _notes(names, absent, predictions, truths, missing)
    if not any_unit:
        notes.append(
            f'{truths.path}: no mask has a pixel of foreground; if that is not so, say '
            'with --foreground which labels are'
        )
    groups = summarise_units(images, of_units) if units else None
    return Comparison(images, summarise_groups(images), notes, groups)


def score_image(
    prediction: np.ndarray,
    mask: np.ndarray,
    pixel_size: float = np.nan,
    with_hd95: bool = True,
) -> dict[str, float]:
    """Score one image.

    Args:
        prediction: (H, W), foreground 1.
        mask: (H, W), 0 background, 1 foreground, 255 ignored.
        pixel_size: um/px, NaN if unknown.
        with_hd95: Compute HD95 too; ignored pixels are background in it, in both.

    Returns:
        ``dice`` and ``iou``, 0..1, and, if asked for, ``hd95_um`` and ``hd95_px``, NaN
        where undefined.
    """
    found = (prediction == FOREGROUND) & (mask != IGNORE)
    unit = mask == FOREGROUND
    score = dice(found, unit)
    scores = {'dice': score, 'iou': score / (2 - score)}  # exact: the same counts
    if with_hd95:
        distance = hd95(found, unit)
        distance = np.nan if distance is None else distance
        scores |= {'hd95_um': distance * pixel_size, 'hd95_px': distance}
    return scores


def evaluate_predictions(
    prediction: Path, truth: Path, out: Path | None = None, **options: Any
) -> str:
    """Score predictions, write the tables, return the one for people.

    Args:
        prediction: Predicted masks, in any layout of ``open_masks``.
        truth: Ground truth, in any layout of ``open_masks``.
        out: Folder for ``evaluation.csv`` and ``evaluation_groups.csv``, and for
            ``evaluation_unit_groups.csv`` where units are scored.
        **options: Options of ``compare``.

    Raises:
        ValueError: For any of the reasons that ``compare`` lists, or if a table is
            there that this function did not write.
    """
    if out is not None:
        refuse_nesting(out, [p for p in (prediction, truth) if p.is_dir()])
        require_own(out / 'evaluation.csv', is_own_csv(*FIRST_COLUMNS))
        for name in ('groups', 'unit_groups'):
            own = is_own_csv('by', 'group', 'images')
            require_own(out / f'evaluation_{name}.csv', own)
    result = compare(prediction, truth, **options)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        tables = {'': result.images, '_groups': result.groups}
        if result.unit_groups is None:  # those of an earlier evaluation
            (out / 'evaluation_unit_groups.csv').unlink(missing_ok=True)
        else:
            tables['_unit_groups'] = result.unit_groups
        for name, table in tables.items():
            text = table.to_csv(index=False, float_format='%.6g')
            write_bytes(out / f'evaluation{name}.csv', text.encode())
    lines = [f'{prediction} against {truth}', draw_groups(result.groups)]
    if result.unit_groups is not None:
        lines.append(draw_unit_groups(result.unit_groups))
    return '\n'.join([*lines, *result.notes])


def _notes(
    names: list[str],
    absent: set[str],
    predictions: MaskSource,
    truths: MaskSource,
    missing: str,
) -> list[str]:
    """Say what is not in the scores."""
    notes = []
    if absent:
        done = 'counted as empty' if missing == 'empty' else 'left out'
        notes.append(
            f'{len(absent)} images without a prediction are {done}: '
            f'{some_of(sorted(absent))}'
        )
    there = [name for name in names if name not in absent]
    check = TrainingCheck(predictions, truths, there)
    if check.trained:
        notes.append(
            f'CAUTION: {check.sentence}; their scores say nothing about new images'
        )
    text = doubt(check, predictions, len(there))
    if text and checkpoints_of(predictions.settings):
        notes.append(text)
    unknown = set(predictions.ids) - set(truths.ids)
    if unknown:
        notes.append(
            f'{len(unknown)} predictions have no truth: {some_of(sorted(unknown))}'
        )
    return notes
