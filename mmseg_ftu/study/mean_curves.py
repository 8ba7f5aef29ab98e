"""Learning curves and gradient norms of the runs of an arm, averaged."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from mmseg_ftu.study.plan import Run
from mmseg_ftu.study.run_records import Points


def mean_curves(
    notes: Mapping[Run, Mapping[str, Any]], model: str
) -> dict[str, dict[str, Points]]:
    """Average the curves of a model over folds and seeds.

    Args:
        notes: Runs with their notes, which hold ``curves``.
        model: The model.

    Returns:
        Arm -> series -> points (epoch, mean). An epoch counts where all runs of the arm
        that have the series have it.
    """
    gathered: dict[str, dict[str, list[dict[float, float]]]] = {}
    for run, note in notes.items():
        if run.model == model:
            arm = gathered.setdefault(run.arm, {})
            for series, points in note.get('curves', {}).items():
                arm.setdefault(series, []).append(dict(points))
    return {
        arm: {name: _mean(curves) for name, curves in of.items()}
        for arm, of in gathered.items()
    }


def _mean(curves: list[dict[float, float]]) -> Points:
    shared = sorted(set.intersection(*(set(curve) for curve in curves)))
    return [(x, fmean(curve[x] for curve in curves)) for x in shared]
