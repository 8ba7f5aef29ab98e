"""Stain normalisation: numpy and OpenCV only; torch where batches are asked for."""

from typing import Any

from .histogram import ColourHistogram
from .mosaic import choose_images, join_tiles, typical_tile, typical_tiles
from .normalizer import Normalizer
from .optical_density import concentrations, optical_density, tissue_mask
from .policy import FailureCount, StainFitError
from .reinhard import ReinhardNormalizer
from .stain_fit import Fit, LabFit, StainFit
from .target import METHODS, load_target, normalizer_of, stain_id
from .two_stains import MacenkoNormalizer, VahadaneNormalizer

__all__ = [
    'METHODS',
    'ColourHistogram',
    'FailureCount',
    'Fit',
    'LabFit',
    'MacenkoNormalizer',
    'Normalizer',
    'ReinhardNormalizer',
    'StainFit',
    'StainFitError',
    'VahadaneNormalizer',
    'apply_torch',
    'choose_images',
    'concentrations',
    'fit_sources_torch',
    'join_tiles',
    'load_target',
    'normalizer_of',
    'optical_density',
    'stain_id',
    'tissue_mask',
    'typical_tile',
    'typical_tiles',
]


def __getattr__(name: str) -> Any:
    """Import what works on batches, and with it torch, when it is asked for."""
    if name in ('apply_torch', 'fit_sources_torch'):
        from . import torch_apply

        return getattr(torch_apply, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
