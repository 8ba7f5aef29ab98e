"""Stain normalisation and stain augmentation, on the fly.

Cheaper, and the default, is to normalise once when the data are prepared
(``tools/prepare_hubmap.py --stain``). These two are for data that were not, and for
augmentation. The arithmetic is that of ``mmseg_ftu.stain``.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmengine.logging import print_log
from mmseg.registry import TRANSFORMS

from mmseg_ftu.stain import FailureCount, StainFit, VahadaneNormalizer, load_target

CHANNEL_ORDERS = ('bgr', 'rgb')


@TRANSFORMS.register_module()
class StainNormalize(BaseTransform):
    """Give an image the colours of a target.

    Sets ``stain_failure`` to the reason why the image could not be fitted (None if it
    could), which the ``meta_keys`` of our configs keep. Failures are counted in the
    log, at the 1st, 10th, 100th, ... of a process.

    Required key and modified key: ``img``, (H, W, 3) uint8.

    Args:
        target: File made by ``tools/make_stain_target.py``.
        on_failure: ``'identity'``, ``'target'`` or ``'raise'``; None: as in the file.
        channel_order: Order of the image's channels: ``'bgr'`` as ``LoadImageFromFile``
            gives it, or ``'rgb'``.

    Raises:
        FileNotFoundError: There is no such target.
        ValueError: The target or an argument cannot be used.
    """

    def __init__(
        self,
        target: str,
        on_failure: str | None = None,
        channel_order: str = 'bgr',
    ) -> None:
        self.normalizer = load_target(target, on_failure)
        self.reverse = _reverses(channel_order)
        self.target = str(target)
        self.failures = FailureCount()

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Normalise ``results['img']``."""
        image = _to_rgb(results['img'], self.reverse)
        source = self.normalizer.fit_source(image)
        results['img'] = _to_rgb(self.normalizer.apply(image, source), self.reverse)
        results['stain_failure'] = source.reason
        name = results.get('img_id') or results.get('img_path', 'an image')
        line = self.failures.add(source.reason, name)
        if line is not None:
            policy = self.normalizer.on_failure
            print_log(f'StainNormalize ({policy}): {line}', 'current', logging.WARNING)
        return results

    def __repr__(self) -> str:
        return f'StainNormalize(target={self.target!r})'


@TRANSFORMS.register_module()
class StainAugment(BaseTransform):
    """Vary the stains of an image as scanners and laboratories do.

    With ``transfer_prob`` it gets the stains of a random one of ``targets`` (as the
    winners of the competition did), else it keeps its own. Then both are varied: each
    stain vector is moved by normal noise, each concentration scaled. An image that
    cannot be fitted stays as it is. Randomness is numpy's global one, as in all of
    mmcv's transforms, which our datasets seed by (seed, epoch, index).

    Required key and modified key: ``img``, (H, W, 3) uint8.

    Args:
        targets: Files made by ``tools/make_stain_target.py``.
        transfer_prob: Probability of taking a target's stains, 0..1.
        vector_std: Standard deviation of the noise on a stain vector's components
            (unit vectors in optical density).
        strength_range: Lowest and highest factor of a stain's concentration.
        prob: Probability of varying anything, 0..1.
        channel_order: Order of the image's channels, ``'bgr'`` or ``'rgb'``.

    Raises:
        ValueError: A number is out of range, or a transfer without targets.
    """

    def __init__(
        self,
        targets: Sequence[str] = (),
        transfer_prob: float = 0.0,
        vector_std: float = 0.03,
        strength_range: tuple[float, float] = (0.8, 1.25),
        prob: float = 1.0,
        channel_order: str = 'bgr',
    ) -> None:
        low, high = strength_range
        if not (0 <= transfer_prob <= 1 and 0 <= prob <= 1):
            raise ValueError(
                f'StainAugment: transfer_prob={transfer_prob} and prob={prob} must be '
                'in 0..1'
            )
        if vector_std < 0 or not 0 < low <= high:
            raise ValueError(
                f'StainAugment: vector_std={vector_std} must be >= 0 and '
                f'strength_range={strength_range} two positive numbers, low first'
            )
        if transfer_prob and not targets:
            raise ValueError('StainAugment: transfer_prob needs targets=[...]')
        self.targets = [load_target(target, 'identity') for target in targets]
        if not all(isinstance(kind.target, StainFit) for kind in self.targets):
            raise ValueError(
                'StainAugment: targets must be of two stains, not Reinhard'
            )
        self.transfer_prob, self.vector_std = transfer_prob, vector_std
        self.strength_range, self.prob = (low, high), prob
        self.reverse = _reverses(channel_order)

    @cache_randomness
    def draw(self) -> dict[str, Any]:
        """Draw what happens to an image."""
        transfers = np.random.rand() < self.transfer_prob
        low, high = np.log(self.strength_range)
        return dict(
            varies=np.random.rand() < self.prob,
            target=np.random.randint(len(self.targets)) if transfers else None,
            noise=np.random.normal(0, self.vector_std, (2, 3)),
            strengths=np.exp(np.random.uniform(low, high, 2)),
        )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Vary ``results['img']``."""
        drawn = self.draw()
        if not drawn['varies']:
            return results
        image = _to_rgb(results['img'], self.reverse)
        target = None if drawn['target'] is None else self.targets[drawn['target']]
        # strengths are measured as those of the target were
        painter = VahadaneNormalizer(compatible=bool(target and target.compatible))
        source = painter.measure(image)
        if source.found:
            chosen = target.target if target else source
            painter.target = vary(chosen, drawn['noise'], drawn['strengths'])
            image = painter.apply(image, source)
            results['img'] = _to_rgb(image, self.reverse)
        return results

    def __repr__(self) -> str:
        return (
            f'StainAugment({len(self.targets)} targets, '
            f'transfer_prob={self.transfer_prob}, vector_std={self.vector_std}, '
            f'strength_range={self.strength_range}, prob={self.prob})'
        )


def vary(fit: StainFit, noise: np.ndarray, strengths: np.ndarray) -> StainFit:
    """Return other stains near those of a fit.

    Args:
        fit: Fit of an image or a target.
        noise: ``(2, 3)``, added to the unit vectors, which stay non-negative and unit.
        strengths: ``(2,)``, factors of the concentrations.
    """
    stains, own_strengths = fit.values
    stains = np.clip(stains + noise, 1e-3, None)
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    return replace(fit, stains=stains, strengths=own_strengths * strengths)


def _reverses(channel_order: str) -> bool:
    if channel_order not in CHANNEL_ORDERS:
        raise ValueError(f'channel_order={channel_order!r}: choose {CHANNEL_ORDERS}')
    return channel_order == 'bgr'


def _to_rgb(image: np.ndarray, reverse: bool) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if reverse else image
