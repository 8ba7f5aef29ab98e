"""Normalise stains on the batch's device, before everything else."""

import logging
from typing import Any

from mmengine.logging import print_log
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_ftu.stain import FailureCount, apply_torch, fit_sources_torch, load_target


@MODELS.register_module()
class StainDataPreProcessor(SegDataPreProcessor):
    """mmseg's data preprocessor with stain normalisation before it.

    For data that were not normalised when they were prepared. Each image is fitted and
    painted on the device; the result is that of ``StainNormalize`` within one grey
    level. Use one of the two, not both.

    Sets ``stain_failure`` in the metainfo of each sample to the reason why the image
    could not be fitted (None if it could), and counts failures in the log, at the 1st,
    10th, 100th, ... of a process.

    Args:
        stain_target: File made by ``tools/make_stain_target.py``.
        on_failure: ``'identity'``, ``'target'`` or ``'raise'``; None: as in the file.
        **kwargs: Arguments of mmseg's ``SegDataPreProcessor``; images are taken for BGR
            if ``bgr_to_rgb`` is set, else for RGB.
    """

    def __init__(
        self, stain_target: str, on_failure: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.normalizer = load_target(stain_target, on_failure)
        self.failures = FailureCount()
        self.is_bgr = bool(kwargs.get('bgr_to_rgb'))

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalise the stains of ``data['inputs']``, then do what mmseg does.

        Args:
            data: ``inputs``: images (3, H, W), uint8; and ``data_samples``.
            training: Whether the batch is for training.
        """
        data = self.cast_data(data)
        samples = data.get('data_samples') or [None] * len(data['inputs'])
        inputs = [
            self._normalize(image, sample)
            for image, sample in zip(data['inputs'], samples, strict=True)
        ]
        batch: dict[str, Any] = super().forward(dict(data, inputs=inputs), training)
        return batch

    def _normalize(self, image: Tensor, sample: SegDataSample | None) -> Tensor:
        rgb = image.flip(0) if self.is_bgr else image
        (source,) = fit_sources_torch(rgb[None], self.normalizer)
        self._record(source.reason, sample)
        out = apply_torch(rgb[None], self.normalizer, source)[0]
        return out.flip(0) if self.is_bgr else out

    def _record(self, reason: str | None, sample: SegDataSample | None) -> None:
        name = 'an image'
        if sample is not None:
            sample.set_metainfo(dict(stain_failure=reason))
            name = sample.get('img_id') or sample.get('img_path', name)
        line = self.failures.add(reason, name)
        if line is not None:
            policy = self.normalizer.on_failure
            text = f'StainDataPreProcessor ({policy}): {line}'
            print_log(text, 'current', logging.WARNING)
