"""Fit the threshold of each (data source, organ) on predictions of held-out images.

The result is a file that ``FTUDiceMetric``, ``tools/test.py --thresholds`` and
``load_thresholds`` take. ``threshold_fit`` says how a threshold is chosen.
"""

import json
import math
from collections.abc import Hashable, Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from prettytable import PrettyTable
from tqdm import tqdm

from mmseg_ftu.evaluation.dice_curve import dice_curve
from mmseg_ftu.evaluation.held_out import refuse_training_images
from mmseg_ftu.evaluation.mask_sources import MaskSource, open_masks
from mmseg_ftu.evaluation.pairing import image_details, refuse_other_sizes
from mmseg_ftu.evaluation.threshold_fit import ThresholdFit, fit_group
from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.listing import some_of
from mmseg_ftu.io.own_files import is_own_json, require_own
from mmseg_ftu.thresholds import LAYOUT, PAPER_THRESHOLDS, threshold_for

DIGITS = 6  # of the file; thresholds differ by 1 / 255


def fit_thresholds(
    truth: Path,
    predictions: Iterable[Path],
    foreground: Iterable[int] | str = 'auto',
    ignore: int | None = None,
) -> tuple[dict[tuple[str, str], ThresholdFit], list[str]]:
    """Fit the threshold of each group.

    Args:
        truth: Ground truth, in any layout of ``open_masks``.
        predictions: Folders with probabilities, for example one a fold.
        foreground: Labels that are foreground in the truth, see ``Labels``.
        ignore: Label of the truth that is left out.

    Returns:
        Fits by (data source, organ), and sentences on what the reader should know.
        Images without a data source share the key ``('', '')``, as a file cannot tell
        them apart by organ.

    Raises:
        ValueError: If an image is predicted twice, was trained on or lacks its
            probabilities, or a file is faulty.
    """
    truths = open_masks(truth, foreground, ignore)
    sources = [open_masks(path) for path in predictions]
    owners = find_owners(sources)
    names = [name for name in truths.ids if name in owners]
    if not names:
        raise ValueError(f'{truth}: has no image in common with the predictions')
    cautions = []
    for source in sources:
        own = [name for name in names if owners[name] is source]
        cautions += refuse_training_images(own, source, truths)
        refuse_other_sizes(own, source, truths)
    curves: dict[tuple[str, str], list[np.ndarray]] = {}
    details = {id(s): image_details(truths, s).to_dict('index') for s in sources}
    for name in tqdm(names, desc='counting', unit='image'):
        source = owners[name]
        group = group_of(details[id(source)][name])
        curves.setdefault(group, []).append(read_curve(name, source, truths))
    fits = {
        group: fit_group(np.array(found), threshold_for(PAPER_THRESHOLDS, *group))
        for group, found in sorted(curves.items())
    }
    return fits, [*_notes(names, sources, truths), *cautions]


def find_owners(sources: Iterable[MaskSource]) -> dict[str, MaskSource]:
    """Return which predictions hold an image.

    Raises:
        ValueError: If more than one does, or one lacks its probabilities.
    """
    owners: dict[str, MaskSource] = {}
    for source in sources:
        twice = [name for name in source.ids if name in owners]
        if twice:
            raise ValueError(
                f'{source.path} and {owners[twice[0]].path} both predict '
                f'{some_of(twice)}; give each image once, from the checkpoint that was '
                'not trained on it'
            )
        without = [name for name in source.ids if name not in source.probabilities]
        if without:
            raise ValueError(
                f'{source.path}: {len(without)} images have no file in probabilities: '
                f'{some_of(without)}; predict again with '
                '--save masks probabilities'
            )
        owners |= dict.fromkeys(source.ids, source)
    return owners


def read_curve(name: str, source: MaskSource, truths: MaskSource) -> np.ndarray:
    """Return the ``dice_curve`` of an image."""
    probability = source.probability(name)
    if probability is None:
        raise ValueError(f'{source.path}: no file in probabilities for {name}')
    return dice_curve(probability, truths.mask(name, source.size(name)))


def group_of(row: Mapping[Hashable, Any]) -> tuple[str, str]:
    """Return data source and organ, or two blanks where there is no data source."""
    return (row['data_source'], row['organ']) if row['data_source'] else ('', '')


def fill_thresholds(fits: dict[tuple[str, str], ThresholdFit]) -> dict[str, Any]:
    """Return the paper's thresholds with the fitted ones put in."""
    thresholds: dict[str, Any] = deepcopy(PAPER_THRESHOLDS)
    for (source, organ), fit in fits.items():
        value = round(fit.threshold, DIGITS)
        if source:
            thresholds.setdefault(source, {})[organ or 'default'] = value
        else:
            thresholds['default'] = value
    return thresholds


def write_thresholds(
    fits: dict[tuple[str, str], ThresholdFit], path: Path, notes: list[str]
) -> None:
    """Write the file of thresholds, with what they were fitted on; see the module."""
    rows = [
        {
            'data_source': source,
            'organ': organ,
            **{key: _for_json(value) for key, value in fit._asdict().items()},
        }
        for (source, organ), fit in fits.items()
    ]
    content = {
        'made_by': 'mmseg_ftu',
        'layout': LAYOUT,
        'thresholds': fill_thresholds(fits),
        'fitted': rows,
        'notes': notes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(content, indent=1) + '\n').encode())


def fit_and_write(
    truth: Path, predictions: Iterable[Path], out: Path, **options: Any
) -> str:
    """Fit the thresholds, write them, return a table for people.

    Args:
        truth: Ground truth, in any layout of ``open_masks``.
        predictions: Folders with probabilities.
        out: JSON to write.
        **options: Options of ``fit_thresholds``.

    Raises:
        ValueError: For any of the reasons that ``fit_thresholds`` lists, or if ``out``
            is a file that was not fitted.
    """
    require_own(out, is_own_json(made_by='mmseg_ftu', fitted=None))
    fits, notes = fit_thresholds(truth, predictions, **options)
    write_thresholds(fits, out, notes)
    return '\n'.join([draw_fits(fits), *notes, f'wrote {out}'])


def draw_fits(fits: dict[tuple[str, str], ThresholdFit]) -> str:
    """Draw one row a group."""
    drawn = PrettyTable(
        ['data source', 'organ', 'images', 'threshold', '95 % interval', 'Dice']
        + ["paper's", 'gain on images left out', 'warning']
    )
    drawn.align = 'r'
    for name in ('data source', 'organ', 'warning'):
        drawn.align[name] = 'l'
    for (source, organ), fit in fits.items():
        gain = f'{fit.gain:+.4f} ({fit.gain_low:+.4f} to {fit.gain_high:+.4f})'
        drawn.add_row(
            [source or 'any', organ or 'any', fit.images, f'{fit.threshold:.3f}']
            + [f'{fit.low:.3f} to {fit.high:.3f}', f'{fit.dice:.4f}']
            + [f'{fit.dice_paper:.4f}', '' if math.isnan(fit.gain) else gain]
            + [fit.warning]
        )
    return drawn.get_string()


def _for_json(value: float | str) -> float | str | None:
    """Round, and write NaN as null, since JSON has none."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else round(value, DIGITS)


def _notes(
    names: list[str], sources: list[MaskSource], truths: MaskSource
) -> list[str]:
    """Say what was left out, and what cannot be known."""
    notes = []
    lacking = len(truths.ids) - len(names)
    if lacking:
        notes.append(f'{lacking} images of the truth have no prediction')
    strange = sum(len(source.ids) for source in sources) - len(names)
    if strange:
        notes.append(f'{strange} predictions have no truth')
    return notes
