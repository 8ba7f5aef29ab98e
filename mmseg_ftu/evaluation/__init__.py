"""Per-image Dice by organ and data source, thresholds, the colour baseline."""

from .ftu_dice_metric import FTUDiceMetric
from .thresholds import PAPER_THRESHOLDS, load_thresholds, threshold_for

__all__ = ['PAPER_THRESHOLDS', 'FTUDiceMetric', 'load_thresholds', 'threshold_for']
