"""Per-image Dice by organ and data source, thresholds, the colour baseline."""

from .ftu_dice_metric import FTUDiceMetric
from .thresholds import PAPER_THRESHOLDS, threshold_for

__all__ = ['PAPER_THRESHOLDS', 'FTUDiceMetric', 'threshold_for']
