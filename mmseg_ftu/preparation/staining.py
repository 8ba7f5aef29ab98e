"""The options of stain normalisation, when images are prepared, and what came of it."""

from collections import Counter
from pathlib import Path
from typing import Any

from mmseg_ftu.io.images import read_image
from mmseg_ftu.preparation.records import PreparationError
from mmseg_ftu.recipe import ORDERS, StainStep
from mmseg_ftu.stain import METHODS, load_target

POLICIES = ('identity', 'target')


def take_stain_options(options: dict[str, Any]) -> dict[str, Any]:
    """Replace the four options in a mapping by one ``stain`` for the preparation.

    Raises:
        PreparationError: One is given without the other, or the target cannot be used.
    """
    names = ('stain', 'stain_target', 'stain_order', 'stain_failure')
    method, target, order, failure = (options.pop(name) for name in names)
    if method is None and target is None:
        return options
    if method is None or target is None:
        raise PreparationError('--stain and --stain-target belong together: give both')
    return dict(options, stain=fit_stain_step(method, target, order, failure))


def fit_stain_step(
    method: str, target: Path, order: str = ORDERS[0], on_failure: str = POLICIES[0]
) -> StainStep:
    """Return the stain step that the options ask for.

    Args:
        method: Method of normalisation, a key of ``METHODS``.
        target: JSON state of a fitted normaliser, or an image to fit.
        order: Order of the two steps, one of ``ORDERS``.
        on_failure: Word for images that cannot be fitted, one of ``POLICIES``.

    Raises:
        PreparationError: The target is of another method, or cannot be used.
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
    return StainStep.of(normalizer, order)


def stain_summary(stain: StainStep | None, failures: dict[str, str]) -> str:
    """Say how the images were normalised, and count those that could not be."""
    if stain is None:
        return ''
    text = f'\nStains normalised ({stain.id}, {stain.order}).'
    if failures:
        reasons = Counter(failures.values())
        counted = '; '.join(f'{n} x {reason}' for reason, n in reasons.most_common())
        text += (
            f' {len(failures)} could not be fitted ({counted}), see stain_failures in '
            'manifest.json.'
        )
    return text
