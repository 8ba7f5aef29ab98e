"""Stain normalisation: numpy and OpenCV only; torch where batches are asked for."""

from typing import TYPE_CHECKING, Any

from mmseg_ftu.stain.histogram import ColourHistogram
from mmseg_ftu.stain.mosaic import (
    choose_images,
    join_tiles,
    typical_tile,
    typical_tiles,
)
from mmseg_ftu.stain.normalizer import Normalizer
from mmseg_ftu.stain.optical_density import concentrations, optical_density, tissue_mask
from mmseg_ftu.stain.policy import FailureCount, StainFitError
from mmseg_ftu.stain.reinhard import ReinhardNormalizer
from mmseg_ftu.stain.stain_fit import Fit, LabFit, StainFit
from mmseg_ftu.stain.target import METHODS, load_target, normalizer_of, stain_id
from mmseg_ftu.stain.two_stains import MacenkoNormalizer, VahadaneNormalizer

if TYPE_CHECKING:
    from mmseg_ftu.stain.torch_apply import apply_torch, fit_sources_torch

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
        from mmseg_ftu.stain import torch_apply

        return getattr(torch_apply, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
