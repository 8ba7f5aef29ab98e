"""Albumentations 2 in an mmseg pipeline, without its silent failures.

mmseg's own ``Albu`` takes any arguments, and Albumentations 2 only warns about those
that it ignores. Here whatever Albumentations would ignore, adjust or fail on later is
an error when the config is built. Further deviations: randomness comes from the
sample's generator, all seg maps are transformed, labels are never interpolated.
"""

import difflib
import inspect
import random
import warnings
from typing import Any

import albumentations as A
import cv2
import numpy as np
from albumentations.core.type_definitions import Targets
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS
from pydantic import ValidationError

from mmseg_ftu.datasets.transforms.elastic_deformation import ElasticDeformation

# SelectiveChannelTransform leaves the mask behind when it moves pixels, ReplayCompose
# adds keys, and an inner Compose takes options that do not apply to pipelines.
COMPOSITES = ('OneOf', 'RandomOrder', 'Sequential', 'SomeOf')
OWN = {'ElasticDeformation': ElasticDeformation}
NEAREST = (cv2.INTER_NEAREST, cv2.INTER_NEAREST_EXACT)


@TRANSFORMS.register_module()
class StrictAlbu(BaseTransform):
    """Apply Albumentations transforms to ``img`` and to all seg maps.

    Use it for training only: it does not record flips for test-time augmentation.
    Images are BGR in the pipeline and RGB inside Albumentations. Pixels that come from
    outside the image get ``fill_mask`` in the seg maps, which Albumentations sets to 0,
    the background, where ``border_mode`` is constant: say ``fill_mask=255`` (ignored).

    Args:
        transforms: ``dict(type=<name in albumentations>, **arguments)``, applied in
            order, also ``ElasticDeformation`` from here; ``OneOf``, ``SomeOf``,
            ``RandomOrder`` and ``Sequential`` nest by ``transforms=[...]``. Without
            ``p`` a transform has Albumentations' own default, mostly 0.5.

    Raises:
        ValueError: When built, for an unknown transform, an unknown, invalid or
            ignored argument, seg maps that would be interpolated, and transforms that
            cannot apply to an image and its mask. When called, for images that are not
            (H, W, 3) uint8, seg maps that are not (H, W) uint8, and transforms whose
            output is not either.
    """

    def __init__(self, transforms: list[dict[str, Any]]) -> None:
        self.compose = A.Compose(build_transforms(transforms, 'StrictAlbu'))

    @cache_randomness
    def _draw_seed(self, rng: np.random.Generator | None) -> int:
        if rng is None:
            return int(np.random.randint(2**31))
        return int(rng.integers(2**63))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return ``results`` with new ``img``, seg maps, ``img_shape``, ``pad_shape``.

        Args:
            results: Has ``img`` (H, W, 3) BGR, the seg maps (H, W) that ``seg_fields``
                names and, if the sampler seeds the samples, ``rng``.
        """
        fields = list(results.get('seg_fields', ()))
        _check_arrays(results, fields, 'input')
        # One shared stream: set_random_seed would give every transform the same seed,
        # so that all with p=0.5 fire together.
        rng = np.random.default_rng(self._draw_seed(results.get('rng')))
        self.compose.set_random_state(rng, random.Random(int(rng.integers(2**63))))

        targets = {'masks': [results[field] for field in fields[1:]]}
        if fields:  # `mask` is what MaskDropout and its like look at
            targets['mask'] = results[fields[0]].copy()
        rgb = cv2.cvtColor(results['img'], cv2.COLOR_BGR2RGB)
        data = self.compose(image=rgb, **targets)
        seg_maps = [data['mask'], *data['masks']] if fields else []
        maps = dict(zip(fields, seg_maps, strict=True))
        results = {**results, 'img': data['image'], **maps}
        _check_arrays(results, fields, 'output')
        results['img'] = cv2.cvtColor(results['img'], cv2.COLOR_RGB2BGR)
        results['img_shape'] = results['pad_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.compose.transforms})'


def build_transforms(configs: object, place: str) -> list[Any]:
    """Build Albumentations transforms, refusing all that would be ignored.

    Args:
        configs: One dict for each transform, see :class:`StrictAlbu`.
        place: Place of the list in the config, for messages.

    Raises:
        ValueError: For any of the reasons that :class:`StrictAlbu` lists.
    """
    if not isinstance(configs, (list, tuple)) or not configs:
        raise ValueError(f'{place}: transforms must be a non-empty list of dicts')
    return [build_one(c, f'{place}.transforms[{i}]') for i, c in enumerate(configs)]


def build_one(config: object, place: str) -> Any:
    """Build one Albumentations transform, see :func:`build_transforms`."""
    if not isinstance(config, dict) or 'type' not in config:
        raise ValueError(f'{place}: {config!r} is not a dict with the key `type`')
    kwargs = dict(config)
    name = kwargs.pop('type')
    place = f'{place} ({name})'
    cls = _find_class(name, place)
    _check_arguments(cls, kwargs, place)
    if name in COMPOSITES:
        kwargs['transforms'] = build_transforms(kwargs.get('transforms'), place)
    with warnings.catch_warnings():
        # Albumentations only warns when it ignores or adjusts an argument, and when a
        # validator fails and it takes the defaults of all arguments instead.
        warnings.simplefilter('error', UserWarning)
        try:
            built = cls(**kwargs)
        except (TypeError, ValueError, ArithmeticError, UserWarning) as error:
            raise ValueError(f'{place}: {_reason(error)}') from error
    if name not in COMPOSITES:
        _check_segmentable(built, place)
    return built


def _check_segmentable(transform: A.BasicTransform, place: str) -> None:
    needs = set(transform.targets_as_params) - {'image', 'mask'}
    if needs:
        raise ValueError(f'{place}: needs {sorted(needs)}, which the pipeline lacks')
    interpolation = getattr(transform, 'mask_interpolation', cv2.INTER_NEAREST)
    if interpolation not in NEAREST:
        raise ValueError(
            f'{place}: mask_interpolation={interpolation} mixes labels; leave it out '
            '(cv2.INTER_NEAREST)'
        )


def _reason(error: Exception) -> str:
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return str(error)
    return '; '.join(
        f'{".".join(str(part) for part in fault["loc"])}: {fault["msg"]}'
        for fault in cause.errors()
    )


def _find_class(name: str, place: str) -> type:
    cls: type | None = OWN.get(name) or getattr(A, str(name), None)
    known = (*OWN, *COMPOSITES) + tuple(
        n for n in dir(A) if _applies_to_masked_image(n)
    )
    if cls is not None and name in known:
        return cls
    if inspect.isclass(cls) and issubclass(cls, (A.BasicTransform, A.BaseCompose)):
        raise ValueError(
            f'{place}: this transform cannot be applied to an image and its mask '
            f'alone; of the transforms that hold others, {COMPOSITES} are supported'
        )
    close = difflib.get_close_matches(str(name), known, n=3)
    hint = f'did you mean {" or ".join(close)}?' if close else 'check its spelling'
    raise ValueError(
        f'{place}: albumentations {A.__version__} has no such transform; {hint}'
    )


def _applies_to_masked_image(name: str) -> bool:
    cls = getattr(A, name)
    if not (inspect.isclass(cls) and issubclass(cls, A.BasicTransform)):
        return False
    targets = getattr(cls, '_targets', ())
    targets = targets if isinstance(targets, tuple) else (targets,)
    return Targets.IMAGE in targets and (
        Targets.MASK in targets or not issubclass(cls, A.DualTransform)
    )


def _check_arguments(cls: type, kwargs: dict[str, Any], place: str) -> None:
    valid = sorted(set(inspect.signature(cls).parameters) - {'self', 'strict'})
    for key in kwargs:
        if key not in valid:
            raise ValueError(
                f'{place}: unknown argument {key!r}; albumentations {A.__version__} '
                f'takes {", ".join(valid)}'
            )


def _check_arrays(results: dict[str, Any], fields: list[str], what: str) -> None:
    """Check that image and seg maps have one size and the types mmseg works with."""
    arrays = {'img': results['img'], **{field: results[field] for field in fields}}
    shape = getattr(results['img'], 'shape', ())[:2]
    for key, array in arrays.items():
        want = (*shape, 3) if key == 'img' else shape
        kind = getattr(array, 'dtype', type(array).__name__)
        got = getattr(array, 'shape', ())
        if not isinstance(array, np.ndarray) or kind != np.uint8 or got != want:
            raise ValueError(
                f'StrictAlbu: {what} {key} must be a uint8 array of shape {want}, got '
                f'{kind} {tuple(got)}'
            )
