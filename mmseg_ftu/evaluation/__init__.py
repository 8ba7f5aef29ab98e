"""Per-image Dice by organ and data source, thresholds, the colour baseline."""

from typing import Any

from mmseg_ftu.thresholds import (
    PAPER_THRESHOLDS,
    load_thresholds,
    threshold_for,
)

__all__ = ['PAPER_THRESHOLDS', 'FTUDiceMetric', 'load_thresholds', 'threshold_for']


def __getattr__(name: str) -> Any:
    """Import the metric, and with it OpenMMLab, when it is asked for."""
    if name == 'FTUDiceMetric':
        from mmseg_ftu.evaluation.ftu_dice_metric import FTUDiceMetric

        return FTUDiceMetric
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
