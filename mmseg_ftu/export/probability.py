"""What every export holds: a network from RGB images to probabilities.

Whoever runs it needs neither this package nor the normalisation's numbers: mean and
standard deviation, the mirrored padding to any size and the sigmoid are inside. The
size, the stains and the thresholds of training stay outside.
"""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from mmseg_ftu.engine.check_weights_hook import (
    finite_fault,
    match_weights,
    plain,
    without_auxiliary,
)
from mmseg_ftu.engine.safe_checkpoints import dataset_meta_of, weights_of
from mmseg_ftu.inference.network import build_model
from mmseg_ftu.models import BinaryEncoderDecoder
from mmseg_ftu.models.stain_data_preprocessor import StainDataPreProcessor
from mmseg_ftu.recipe import UNKNOWN_STAINS, name_stains

MIN_SIZE = 64  # px, of height and width
# Other sizes than those that graphs are captured at, odd ones among them.
CHECKED_SHAPES = ((1, 3, 256, 256), (2, 3, 200, 301), (1, 3, MIN_SIZE, 97))


class Probability(nn.Module):
    """Images ``(N, 3, H, W)``, RGB, 0..255, to probabilities ``(N, 1, H, W)``.

    Args:
        model: Trained segmentor.
        meta: What its checkpoint says of the training data, its ``dataset_meta``.
        written: When the checkpoint was written, as mmengine says it; '' if unknown.

    Attributes:
        stain: Name of the stain normalisation that it was trained on; outside.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, model: BinaryEncoderDecoder, meta: dict[str, Any], written: str = ''
    ) -> None:
        super().__init__()
        self.meta, self.written = meta, written
        self.stain = _stain_of(model, meta)
        self.backbone = model.backbone
        self.decode_head = model.decode_head
        self.align_corners = model.align_corners
        self.padding = model.padding
        preprocessor = model.data_preprocessor
        self.register_buffer('mean', preprocessor.mean.clone())
        self.register_buffer('std', preprocessor.std.clone())

    def forward(self, image: Tensor) -> Tensor:
        """Compute the probability of foreground."""
        x = (image - self.mean) / self.std
        return self.padding(self._logits, x).sigmoid()

    def _logits(self, x: Tensor) -> Tensor:
        logits = self.decode_head(self.backbone(x))
        return F.interpolate(
            logits, x.shape[2:], mode='bilinear', align_corners=self.align_corners
        )


def load_for_export(cfg: Config, checkpoint: str) -> Probability:
    """Build the config's model with a checkpoint's weights, for evaluation.

    Raises:
        ValueError: The model is not one of this package, or its weights are of another
            model or not finite.
    """
    init_default_scope('mmseg')
    cfg.model.backbone.init_cfg = None
    model = build_model(cfg.model)
    if not isinstance(model, BinaryEncoderDecoder):
        raise ValueError(
            f'model.type is {type(model).__name__}, but only BinaryEncoderDecoder (one '
            'output channel) can be exported'
        )
    if not cfg.model.data_preprocessor.get('bgr_to_rgb'):
        raise ValueError(
            'model.data_preprocessor.bgr_to_rgb is not set: the exported graph takes '
            'RGB, and this model was trained on BGR'
        )
    loaded = CheckpointLoader.load_checkpoint(checkpoint, 'cpu')
    weights = without_auxiliary(plain(weights_of(loaded, checkpoint)))
    faults, _ = match_weights(weights, without_auxiliary(model.state_dict()))
    if faults:
        raise ValueError(
            f'{checkpoint} does not belong to this config: {"; ".join(faults)}'
        )
    if fault := finite_fault(weights, model):
        raise ValueError(f'{checkpoint}: of its weights {fault}')
    model.load_state_dict(weights, strict=False)
    written = str((loaded.get('meta') or {}).get('time', ''))
    return Probability(model, dataset_meta_of(loaded), written).eval()


def _stain_of(model: BinaryEncoderDecoder, meta: dict[str, Any]) -> str:
    preprocessor = model.data_preprocessor
    if isinstance(preprocessor, StainDataPreProcessor):
        return name_stains(None, [preprocessor.normalizer])
    return str(meta.get('stain', UNKNOWN_STAINS))


def example_image(shape: tuple[int, ...]) -> Tensor:
    """Draw an image with structure at several scales, RGB 0..255."""
    generator = torch.Generator().manual_seed(0)
    image = torch.zeros(shape)
    for cells in (4, 16, 64):
        noise = torch.rand(*shape[:2], cells, cells, generator=generator)
        image += F.interpolate(noise, shape[2:], mode='bilinear') / 3
    return (image * 255).round()
