"""From an image of any size to a probability map, a mask and files."""

from typing import Any

__all__ = ['FTUPredictor', 'Prediction']


def __getattr__(name: str) -> Any:
    """Import the predictor, and with it torch, when it is asked for."""
    if name in __all__:
        from mmseg_ftu.inference import predictor

        return getattr(predictor, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
