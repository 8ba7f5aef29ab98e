"""Make mmseg bring predictions back to the size that an image had before preparing."""

from typing import Any

from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RestoreOriginalShape(BaseTransform):
    """Set ``ori_shape`` to the sample's ``original_shape`` (h, w), if it has one.

    mmseg resizes logits to ``ori_shape``, which ``LoadImageFromFile`` sets to the size
    of the file; put this after it. Prepared images are smaller than the masks that a
    test compares with. Images without ``original_shape`` (``MMSegInferencer``) pass
    unchanged.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return ``results`` with ``ori_shape`` (h, w) replaced."""
        if 'original_shape' not in results:
            return results
        return {**results, 'ori_shape': tuple(results['original_shape'])}

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
