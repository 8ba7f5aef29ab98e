"""The mean and deviation that an encoder's weights were trained with.

A network that sees colours normalised in another way still trains, only worse, and
nothing says so. So an encoder says what it expects; the segmentor compares that with
its data preprocessor, and the encoder with what is published beside its weights.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

TOLERANCE = 0.01  # grey levels


def check_preprocessor(segmentor: Any) -> None:
    """Refuse a data preprocessor that does not normalise as the backbone expects.

    Backbones that expect nothing (they have no ``mean`` and ``std``) are not checked.

    Raises:
        ValueError: If mean, deviation or order of the colours are different; the
            message holds the lines for the config.
    """
    backbone, preprocessor = segmentor.backbone, segmentor.data_preprocessor
    mean, std = getattr(backbone, 'mean', None), getattr(backbone, 'std', None)
    if mean is None or std is None:
        return
    found = [_numbers(preprocessor, name) for name in ('mean', 'std')]
    is_rgb = bool(getattr(preprocessor, '_channel_conversion', False))
    if is_rgb and _equal(found[0], mean) and _equal(found[1], std):
        return
    order = 'RGB' if is_rgb else 'BGR'
    raise ValueError(
        f'data_preprocessor normalises {order} images by mean={found[0]} and '
        f'std={found[1]}, but {type(backbone).__name__} expects other numbers. Set\n'
        f'    data_preprocessor=dict({config_lines(mean, std)})\n'
        'in the config of the model, or, if that is meant, the same numbers in the '
        "backbone's own mean=... and std=..."
    )


def config_lines(mean: list[float], std: list[float]) -> str:
    """Return the arguments of a data preprocessor."""
    return f'mean={mean}, std={std}, bgr_to_rgb=True'


def contradiction(
    cfg: dict[str, Any], mean: list[float], std: list[float]
) -> str | None:
    """Say how published numbers and those of an encoder differ.

    Args:
        cfg: timm's ``pretrained_cfg``, with ``mean`` and ``std`` in 0..1.
        mean: What the encoder expects, 0..255.
        std: The same for the deviation.

    Returns:
        A text, or None if they are equal or nothing is published.
    """
    if not cfg.get('mean') or not cfg.get('std'):
        return None
    published = [to_levels(cfg[name]) for name in ('mean', 'std')]
    if _equal(published[0], mean) and _equal(published[1], std):
        return None
    return (
        f'the weights were trained with mean={published[0]}, std={published[1]}, and '
        f'the encoder expects mean={mean}, std={std}. Give model_name the tag of the '
        'weights, or set the numbers of the weights in the backbone, and in '
        'data_preprocessor in any case'
    )


def to_levels(numbers: Iterable[float]) -> list[float]:
    """Bring numbers from 0..1 to grey levels."""
    return [round(255 * number, 3) for number in numbers]


def _numbers(preprocessor: Any, name: str) -> list[float] | None:
    numbers = getattr(preprocessor, name, None)
    return (
        None if numbers is None else [round(n, 3) for n in numbers.flatten().tolist()]
    )


def _equal(found: list[float] | None, expected: list[float]) -> bool:
    return found is not None and np.allclose(found, expected, rtol=0, atol=TOLERANCE)
