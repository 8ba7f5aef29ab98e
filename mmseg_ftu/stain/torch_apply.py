"""Stain normalisation of a batch of tensors, on any device, within one grey level."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg_ftu.stain.histogram import CELLS, ColourHistogram
from mmseg_ftu.stain.normalizer import Normalizer
from mmseg_ftu.stain.optical_density import APPLY_PENALTY, code_system
from mmseg_ftu.stain.stain_fit import Fit, StainFit
from mmseg_ftu.stain.two_stains import paint_of

FLOOR = 0.001  # as the numpy version: 255 * exp(0) stays 255


def fit_sources_torch(batch: Tensor, normalizer: Normalizer[Any]) -> list[Fit]:
    """Fit each image of a batch; colours are counted on its device.

    Args:
        batch: ``(N, 3, H, W)``, RGB, uint8 or float in 0..255.
        normalizer: Normaliser with a target.

    Returns:
        N fits, equal to those of ``normalizer.fit_source``.

    Raises:
        ValueError: If the batch has another shape or type.
    """
    levels = _check_batch(batch).clamp(0, 255).to(torch.int64) >> 1
    index = (levels[:, 0] * CELLS + levels[:, 1]) * CELLS + levels[:, 2]
    fits = []
    for image in index.flatten(1):
        counts = torch.bincount(image, minlength=CELLS**3).cpu().numpy()
        histogram = ColourHistogram.of_counts(counts.reshape((CELLS,) * 3))
        fits.append(normalizer.fit_source(histogram))
    return fits


def apply_torch(
    batch: Tensor, normalizer: Normalizer[Any], sources: Fit | Sequence[Fit]
) -> Tensor:
    """Give each image of a batch the target's colours.

    Args:
        batch: ``(N, 3, H, W)``, RGB, uint8 or float in 0..255, on any device. Not
            modified.
        normalizer: Normaliser with a target. Reinhard's works on the CPU, whatever the
            device.
        sources: Fits by ``normalizer.fit_source``, one for all images or one each.

    Returns:
        The same shape, type and device; whole grey levels.

    Raises:
        ValueError: If the batch has another shape or type, or the count of sources
            differs from that of images.
    """
    _check_batch(batch)
    sources = [sources] * len(batch) if isinstance(sources, Fit) else list(sources)
    if len(sources) != len(batch):
        raise ValueError(
            f'{len(sources)} sources for {len(batch)} images: expected one for each'
        )
    out = batch.clone()
    for image, source in zip(out, sources, strict=True):
        if not source.found:
            continue
        if isinstance(source, StainFit) and isinstance(normalizer.target, StainFit):
            image.copy_(_recolour(image, source, normalizer.target))
        else:
            image.copy_(_apply_numpy(image, normalizer, source))
    return out


def _check_batch(batch: Tensor) -> Tensor:
    """Return the batch, or say why it cannot be used."""
    if batch.ndim != 4 or batch.shape[1] != 3:
        raise ValueError(
            f'batch has shape {tuple(batch.shape)}: expected (N, 3, H, W), RGB'
        )
    if batch.dtype != torch.uint8 and not batch.is_floating_point():
        raise ValueError(f'batch is of {batch.dtype}: expected uint8, or float 0..255')
    return batch


def _recolour(image: Tensor, source: StainFit, target: StainFit) -> Tensor:
    """Return an image (3, H, W) with other stains, float32.

    Sums are written out: a matrix product may run in TF32 or half precision.
    """
    solve, shift, gram = code_system(source.values[0], APPLY_PENALTY)
    density = -(image.float().clamp(1, 255) / 255).log()
    free = [
        sum(float(s) * x for s, x in zip(row, density, strict=True)) - float(offset)
        for row, offset in zip(solve, shift, strict=True)
    ]
    first = (free[0] + gram * free[1].clamp(max=0)).clamp(min=0)
    second = (free[1] + gram * free[0].clamp(max=0)).clamp(min=0)
    paint = paint_of(source, target).tolist()
    light = [
        first * -p + second * -q  # optical density, with its sign
        for p, q in zip(*paint, strict=True)
    ]
    return (255 * torch.stack(light).exp() + FLOOR).floor()


def _apply_numpy(image: Tensor, normalizer: Normalizer[Any], source: Fit) -> Tensor:
    """Return an image (3, H, W) that was normalised on the CPU, uint8."""
    pixels = image.clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    out = normalizer.apply(np.ascontiguousarray(pixels), source)
    return torch.from_numpy(out).permute(2, 0, 1).to(image.device)
