"""Learning curves out of the logs that mmengine writes while it trains.

A training session leaves ``WORK_DIR/<timestamp>/vis_data/<timestamp>.json``, one JSON
object a line: training lines (``loss``, ``epoch``, ``iter``, and ``aux_in_index`` where
an auxiliary head is) and validation lines (``Dice``, ``val_loss_bce``, ``step``). A
session that was resumed leaves another folder; it repeats what was lost by the stop,
so that its lines replace the older ones from its first epoch on.
"""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

LOSSES = {'loss': 'all losses', 'decode.loss_bce': 'main head', 'aux.loss_bce': 'aux'}


class Switch(NamedTuple):
    """A move of the auxiliary head, ``x`` the first on the new stages.

    Stages are 0-based, in words: ``1``, ``0+1+2`` or ``off``.
    """

    x: float
    old: str
    new: str


class Curves(NamedTuple):
    """What a training run logged, against its progress.

    Attributes:
        unit: What ``x`` counts, from 1: ``'epoch'`` or ``'iteration'``.
        series: Name in the log -> points (x, y), x ascending, y finite. Training losses
            are means over what was logged in an epoch.
        switches: Points at which the auxiliary head moved.
        sessions: How many log files were joined.
        left_out: Lines that are not a JSON object, and values that are not finite.
    """

    unit: str
    series: dict[str, list[tuple[float, float]]]
    switches: list[Switch]
    sessions: int
    left_out: int


def read_curves(work_dir: Path) -> Curves:
    """Read and join the logs of a training run and of its resumptions.

    Args:
        work_dir: The ``--work-dir`` of ``tools/train.py``.

    Raises:
        ValueError: If there is no folder, or no training line in it.
    """
    if not work_dir.is_dir():
        raise ValueError(
            f'--run {work_dir} is not a folder; give a work dir of train.py'
        )
    sessions, broken = [], 0
    for path in sorted(work_dir.glob('*/vis_data/*.json')):
        if path.stem == path.parents[1].name:  # scalars.json repeats it
            lines, faults = read_lines(path)
            broken += faults
            if any('loss' in line for line in lines):  # a test logs here as well
                sessions.append(lines)
    if not sessions:
        raise ValueError(
            f'--run {work_dir}: no training log (<timestamp>/vis_data/<timestamp>.json '
            'with a loss) in it; give the --work-dir of mmseg-ftu train'
        )
    unit = 'epoch' if any('epoch' in x for s in sessions for x in s) else 'iteration'
    lines = join(sessions, unit)
    series, unfinite = collect_series(lines, unit)
    switches = find_switches(lines, unit)
    return Curves(unit, series, switches, len(sessions), broken + unfinite)


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the JSON objects of a log and the count of other lines (a kill cuts)."""
    lines, faults = [], 0
    for text in path.read_text(encoding='utf-8', errors='replace').splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if isinstance(line, dict):
            lines.append(line)
        else:
            faults += 1
    return lines, faults


def position(line: dict[str, Any], unit: str) -> float:
    """Return the progress of a line; 0 where it has none."""
    keys = ('epoch', 'step') if unit == 'epoch' else ('iter', 'step')
    value = next((line[key] for key in keys if key in line), 0)
    return value if isinstance(value, int | float) and math.isfinite(value) else 0


def join(sessions: Sequence[list[dict[str, Any]]], unit: str) -> list[dict[str, Any]]:
    """Let each session replace the older ones from its first training line on."""
    joined: list[dict[str, Any]] = []
    for lines in sessions:
        start = min(position(line, unit) for line in lines if 'loss' in line)
        joined = [line for line in joined if position(line, unit) < start]
        joined += lines
    return joined


def collect_series(
    lines: Sequence[dict[str, Any]], unit: str
) -> tuple[dict[str, Any], int]:
    """Return the series and how many values were left out as not finite."""
    values: dict[str, dict[float, list[float]]] = {}
    left_out = 0
    for line in lines:
        x = position(line, unit)
        for key in (*LOSSES, 'Dice', 'val_loss_bce') if x else ():
            if key not in line:
                continue
            if isinstance(line[key], int | float) and math.isfinite(line[key]):
                values.setdefault(key, {}).setdefault(x, []).append(line[key])
            else:
                left_out += 1
    series = {
        key: [(x, math.fsum(ys) / len(ys)) for x, ys in sorted(points.items())]
        for key, points in values.items()
    }
    return series, left_out


def find_switches(lines: Sequence[dict[str, Any]], unit: str) -> list[Switch]:
    """Return where ``aux_in_index`` differs from the training line before."""
    stages = [
        (position(line, unit), stages_in_words(int(line['aux_in_index'])))
        for line in lines
        if 'aux_in_index' in line
    ]
    moves = pairwise(stages)
    return [Switch(x, old, new) for (_, old), (x, new) in moves if old != new]


def stages_in_words(scalar: int) -> str:
    """Return the stages that ``aux_in_index`` says.

    It is the stage; -1 for none; of several their digits, the deepest first.
    """
    return 'off' if scalar < 0 else '+'.join(str(scalar)[::-1])
