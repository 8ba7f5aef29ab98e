"""Stain normalisation while images are prepared: once, and kept.

The order matters: fitted at 3000 px and at 768 px, stain vectors differ by up to a
degree. By default an image is resized first and then normalised, as in the paper's
inference, where only the resized image is at hand.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmseg_ftu.io.images import read_image
from mmseg_ftu.io.resizing import resize_image
from mmseg_ftu.preparation.records import PreparationError
from mmseg_ftu.stain import METHODS, load_target, normalizer_of, stain_id
from mmseg_ftu.stain.normalizer import Normalizer

ORDERS = ('resize-first', 'stain-first')
POLICIES = ('identity', 'target')


def take_stain_options(options: dict) -> dict:
    """Replace the four options in a mapping by one ``stain`` for the preparation.

    Raises:
        PreparationError: One is given without the other, or the target can't be used.
    """
    names = ('stain', 'stain_target', 'stain_order', 'stain_failure')
    method, target, order, failure = (options.pop(name) for name in names)
    if method is None and target is None:
        return options
    if method is None or target is None:
        raise PreparationError('--stain and --stain-target belong together: give both')
    return dict(options, stain=stain_settings(method, target, order, failure))


def stain_settings(
    method: str, target: Path, order: str = ORDERS[0], on_failure: str = POLICIES[0]
) -> dict:
    """Return what the manifest says about the normalisation; small, and fit for JSON.

    Args:
        method: A key of ``METHODS``.
        target: JSON state of a fitted normaliser, or an image to fit.
        order: One of ``ORDERS``.
        on_failure: One of ``POLICIES``.

    Raises:
        PreparationError: The target is of another method, or can't be used.
    """
    kind = METHODS[method]
    try:
        if Path(target).suffix.lower() == '.json':
            normalizer = load_target(target, on_failure)
        else:
            normalizer = kind(on_failure).fit(read_image(Path(target)))
    except (OSError, ValueError) as error:
        raise PreparationError(f'--stain-target: {error}') from error
    if not isinstance(normalizer, kind):
        raise PreparationError(
            f'--stain {method}: {target} was made for {type(normalizer).__name__}; '
            'give the mosaic image, or make another target with --method'
        )
    return stain_entry(normalizer, order)


def stain_entry(normalizer: Normalizer, order: str = ORDERS[0]) -> dict:
    """Return the manifest's entry for a fitted normaliser."""
    return dict(id=stain_id(normalizer), order=order, state=normalizer.state_dict())


def finisher(
    stain: dict | None,
) -> Callable[[np.ndarray, tuple[int, int]], tuple[np.ndarray, str | None]]:
    """Return the function that resizes and normalises an image.

    Args:
        stain: From `stain_settings`; None resizes only.

    Returns:
        A function of an image ``(H, W, 3)`` uint8 RGB and a height and width. It
        returns the image, and why it couldn't be normalised, if so.
    """
    if stain is None:
        return lambda image, shape: (resize_image(image, shape), None)
    normalizer = normalizer_of(stain['state'], f'stains {stain["id"]}')
    resize_first = stain['order'] == ORDERS[0]

    def finish(
        image: np.ndarray, shape: tuple[int, int]
    ) -> tuple[np.ndarray, str | None]:
        if resize_first:
            image = resize_image(image, shape)
        source = normalizer.fit_source(image)
        image = normalizer.apply(image, source)
        return resize_image(image, shape), source.reason

    return finish


def stain_summary(settings: dict, failures: dict[str, str]) -> str:
    """Say how the images were normalised, and count those that couldn't be."""
    stain = settings.get('stain')
    if not stain:
        return ''
    text = f'\nStains normalised ({stain["id"]}, {stain["order"]}).'
    if failures:
        reasons = Counter(failures.values())
        counted = '; '.join(f'{n} x {reason}' for reason, n in reasons.most_common())
        text += (
            f' {len(failures)} could not be fitted ({counted}), see stain_failures in '
            'manifest.json.'
        )
    return text
