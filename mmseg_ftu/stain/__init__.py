"""Stain normalisation: numpy, OpenCV and torch only."""

from .histogram import ColourHistogram
from .normalizer import Normalizer
from .optical_density import concentrations, optical_density, tissue_mask
from .policy import StainFitError
from .reinhard import ReinhardNormalizer
from .stain_fit import Fit, LabFit, StainFit
from .torch_apply import apply_torch, fit_sources_torch
from .two_stains import MacenkoNormalizer, VahadaneNormalizer

__all__ = [
    'ColourHistogram',
    'Fit',
    'LabFit',
    'MacenkoNormalizer',
    'Normalizer',
    'ReinhardNormalizer',
    'StainFit',
    'StainFitError',
    'VahadaneNormalizer',
    'apply_torch',
    'concentrations',
    'fit_sources_torch',
    'optical_density',
    'tissue_mask',
]
