"""Paint predictions made at the original resolution onto the prepared image."""

from typing import Any

import numpy as np
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import VISUALIZERS
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer


@VISUALIZERS.register_module()
class FTULocalVisualizer(SegLocalVisualizer):
    """mmseg's visualizer for masks that are larger or smaller than the image.

    ``tools/test.py`` scores at the original resolution while the prepared image has the
    training size; mmseg's visualizer fails on such a pair.
    """

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: SegDataSample | None = None,
        **kwargs: Any,
    ) -> None:
        """Draw a sample; masks are brought to the image's size.

        Args:
            name: Name of the picture.
            image: RGB uint8 of shape (H, W, 3).
            data_sample: Sample with ``gt_sem_seg`` and ``pred_sem_seg``, each of shape
                (1, h, w) and optional; left as it is.
            **kwargs: Arguments of mmseg's ``SegLocalVisualizer.add_datasample``.
        """
        if data_sample is not None:
            shown = SegDataSample(metainfo=data_sample.metainfo)
            for key in ('gt_sem_seg', 'pred_sem_seg'):
                if key in data_sample:
                    labels = data_sample.get(key).data
                    if labels.shape[-2:] != image.shape[:2]:
                        labels = F.interpolate(labels[None].float(), image.shape[:2])[0]
                    shown.set_data({key: PixelData(data=labels)})
            data_sample = shown
        super().add_datasample(name, image, data_sample, **kwargs)
