"""From an image of any size to a probability map, a mask and files."""

from .predictor import FTUPredictor, Prediction

__all__ = ['FTUPredictor', 'Prediction']
