"""Normalise stains on the batch's device, before everything else."""

import torch
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS

from ..stain import apply_torch, fit_sources_torch, load_target


@MODELS.register_module()
class StainDataPreProcessor(SegDataPreProcessor):
    """mmseg's data preprocessor with stain normalisation before it.

    For data that weren't normalised when they were prepared. Each image is fitted and
    painted on the device; the result is that of ``StainNormalize`` within one grey
    level. Use one of the two, not both.

    Args:
        stain_target: File made by ``tools/make_stain_target.py``.
        on_failure: ``'identity'``, ``'target'`` or ``'raise'``; None: as in the file.
        **kwargs: Of mmseg's ``SegDataPreProcessor``; images are taken for BGR if
            ``bgr_to_rgb`` is set, else for RGB.
    """

    def __init__(
        self, stain_target: str, on_failure: str | None = None, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.normalizer = load_target(stain_target, on_failure)
        self.is_bgr = bool(kwargs.get('bgr_to_rgb'))

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise the stains of ``data['inputs']``, then do what mmseg does.

        Args:
            data: ``inputs``: images (3, H, W), uint8; and ``data_samples``.
            training: Whether for training.
        """
        data = self.cast_data(data)
        inputs = [self._normalize(image) for image in data['inputs']]
        return super().forward(dict(data, inputs=inputs), training)

    def _normalize(self, image: torch.Tensor) -> torch.Tensor:
        rgb = image.flip(0) if self.is_bgr else image
        batch = rgb[None]
        sources = fit_sources_torch(batch, self.normalizer)
        out = apply_torch(batch, self.normalizer, sources)[0]
        return out.flip(0) if self.is_bgr else out
