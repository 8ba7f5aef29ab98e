"""What a run logged, epoch by epoch: losses, validation Dice, gradient norms."""

import math
from pathlib import Path
from typing import Any

from mmseg_ftu.report.curves import LOSSES, join, position, read_lines

VALIDATION = ('Dice', 'val_loss_bce')
GRADIENTS = 'grad_'  # how the names of gradient norms begin
SHOWN = {*LOSSES, *VALIDATION}


def read_run_curves(work_dir: Path) -> tuple[dict[str, list[list[float]]], float]:
    """Read and join the logs of a run and of its resumptions.

    Returns:
        Series name -> points ``[epoch, mean of the lines of the epoch]`` (mmengine
        leaves out what follows its last full interval), and the seconds that were spent
        in training, repeated epochs not counted.
    """
    sessions = []
    for path in sorted(work_dir.glob('*/vis_data/*.json')):
        if path.stem == path.parents[1].name:  # scalars.json repeats it
            lines, _ = read_lines(path)
            if any('loss' in line for line in lines):
                sessions.append(lines)
    lines = join(sessions, 'epoch')
    values: dict[str, dict[float, list[float]]] = {}
    for line in lines:
        for key, value in line.items():
            wanted = key in SHOWN or key.startswith(GRADIENTS)
            if wanted and isinstance(value, int | float) and math.isfinite(value):
                epochs = values.setdefault(key, {})
                epochs.setdefault(position(line, 'epoch'), []).append(value)
    curves = {
        key: [
            [x, float(f'{math.fsum(ys) / len(ys):.5g}')] for x, ys in sorted(of.items())
        ]
        for key, of in sorted(values.items())
    }
    return curves, _seconds(lines)


def _seconds(lines: list[dict[str, Any]]) -> float:
    """Return the time of all steps; the log has its mean over several at a time."""
    total, before = 0.0, 0
    for line in lines:
        step, seconds = line.get('iter', line.get('step')), line.get('time')
        if 'loss' in line and isinstance(step, int) and isinstance(seconds, float):
            total += seconds * max(0, step - before)
            before = max(step, before)
    return total
