"""One-channel segmentation that is right: segmentor and test-time augmentation.

MMSegmentation 1.x handles ``out_channels=1`` (one sigmoid logit, foreground against
background) with four slips which these two classes mend by overriding just that:

- ``SegTTAModel`` applies the sigmoid to what is a probability already, so a model that
  says p = .018 everywhere is reported as 100 % foreground;
- it returns the metainfo of the last (flipped) view and that view's ``seg_logits``;
- ``acc_seg`` takes the arg-max of a single channel, so it always equals the share of
  background;
- ``decode_head.threshold`` silently defaults to 0.3.

mmseg's contract is kept: the ``seg_logits.data`` of a one-channel model's result holds
*probabilities*, float of shape (1, H, W).
"""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder, SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_ftu.models.mirrored_padding import check_training_size, take_over_padding
from mmseg_ftu.models.normalisation import check_preprocessor
from mmseg_ftu.switched_aux_loss import downsample_mask, weighted_bce

CLAMP = 2**-24  # 1 - 2**-24 is the largest float32 below 1; 16.6 nats
ONE_IMAGE = (
    'a training batch holds one image, and this decode head needs two: batch norm '
    'after global pooling (as in DeepLabv3+) has one value a channel. Train on at '
    'least two images for each process, with train_dataloader.batch_size=2 or more, '
    'or choose another norm_cfg, such as dict(type="GN", num_groups=32)'
)


@MODELS.register_module()
class BinaryEncoderDecoder(EncoderDecoder):
    """Encoder-decoder with one output channel.

    It predicts images of any size: they are mirrored up to a multiple of the backbone's
    largest stride, and the logits are cropped (``mirrored_padding.py``). Training
    images must be such multiples.

    Each result of an image with a mask carries ``val_loss_bce``, the pixel-mean binary
    cross entropy of the main head on that image (a float, from the logits, so exact
    where a probability saturates); ``FTUDiceMetric`` averages it for the learning-rate
    schedule.

    Raises:
        ValueError: If the decode head has several channels or no threshold, if the
            data preprocessor does not normalise as the backbone expects, or in
            training, if a side of an image is not a multiple of the largest stride.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.padding = take_over_padding(self)
        check_preprocessor(self)

    def get_layer_depth(self, param_name: str) -> tuple[int, int]:
        """Return the depth of a parameter, as the backbone says.

        For mmpretrain's ``LearningRateDecayOptimWrapperConstructor``.
        """
        depth: tuple[int, int]
        depth = self.backbone.get_layer_depth(param_name, 'backbone.')
        return depth

    def _init_decode_head(self, decode_head: dict[str, Any]) -> None:
        if decode_head.get('threshold') is None:
            raise ValueError(
                'decode_head.threshold is not set (mmseg would silently take 0.3): '
                'write threshold=0.5 in the config'
            )
        super()._init_decode_head(decode_head)
        if self.out_channels != 1:
            raise ValueError(
                f'decode_head.out_channels={self.out_channels}: BinaryEncoderDecoder '
                "is for out_channels=1; use mmseg's EncoderDecoder for more"
            )

    def encode_decode(
        self, inputs: Tensor, batch_img_metas: list[dict[str, Any]]
    ) -> Tensor:
        """Compute logits (N, 1, H, W) of images (N, C, H, W) of any size."""

        def network(images: Tensor) -> Tensor:
            # mmseg's heads read the size of the logits from either of these
            size = dict(img_shape=images.shape[2:], pad_shape=images.shape[2:])
            metas = [{**meta, **size} for meta in batch_img_metas]
            logits: Tensor = super(BinaryEncoderDecoder, self).encode_decode(
                images, metas
            )
            return logits

        return self.padding(network, inputs)

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Any]:
        """Compute the losses of images (N, C, H, W), by name.

        They are 0, with gradients of 0 for all parameters, if every pixel of the batch
        is ignored. mmseg's cross entropy would raise.
        """
        height, width = inputs.shape[2:]
        check_training_size((height, width), self.backbone)
        maps = self.extract_feat(inputs)
        # after the encoder was queued, since a GPU has to finish what it was given
        counts = self._some_pixel_counts(data_samples)
        samples = data_samples if counts else as_background(data_samples)
        losses = self._decode_head_forward_train(maps, samples)
        if self.with_auxiliary_head:
            losses.update(self._auxiliary_head_forward_train(maps, samples))
        return losses if counts else {name: loss * 0 for name, loss in losses.items()}

    def _some_pixel_counts(self, data_samples: list[SegDataSample]) -> bool:
        ignored = self.decode_head.ignore_index
        return any((s.gt_sem_seg.data != ignored).any() for s in data_samples)

    def _decode_head_forward_train(self, *args: Any) -> dict[str, Any]:
        losses: dict[str, Any]
        try:
            losses = super()._decode_head_forward_train(*args)
        except ValueError as error:  # of torch's batch norm
            if 'more than 1 value per channel' not in str(error):
                raise
            raise ValueError(ONE_IMAGE) from error
        losses.pop('decode.acc_seg')
        return losses

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Turn logits (N, 1, H, W) into probabilities and masks at ``ori_shape``."""
        samples = data_samples or [SegDataSample() for _ in seg_logits]
        for logits, sample in zip(seg_logits, samples, strict=True):
            logits = restore(logits, sample.metainfo, self.align_corners)
            if 'gt_sem_seg' in sample and not sample.get('flip'):
                ignore_index = self.decode_head.ignore_index
                loss = mean_bce(logits, sample.gt_sem_seg.data, ignore_index)
                sample.set_field(loss, 'val_loss_bce', field_type='metainfo')
            probability = logits.sigmoid()
            mask = (probability > self.decode_head.threshold).to(probability)
            sample.seg_logits = PixelData(data=probability)
            sample.pred_sem_seg = PixelData(data=mask)
        return samples


def mean_bce(logits: Tensor, mask: Tensor, ignore_index: int) -> float | None:
    """Average the binary cross entropy of an image over its pixels, in nats.

    Args:
        logits: Logits of the image, float (1, H, W).
        mask: Labels 0, 1 or ``ignore_index``, integers of the same shape.
        ignore_index: Label of pixels that are left out.

    Returns:
        The mean, 0 if all pixels are left out; None if the shapes differ.
    """
    if logits.shape != mask.shape:
        return None
    target, weight = downsample_mask(
        mask[None], mask.shape[-2:], ignore_index=ignore_index
    )
    return weighted_bce(logits[None], target, weight).item()


def as_background(data_samples: list[SegDataSample]) -> list[SegDataSample]:
    """Return samples whose masks are 0 all over."""
    return [
        SegDataSample(
            metainfo=sample.metainfo,
            gt_sem_seg=PixelData(data=torch.zeros_like(sample.gt_sem_seg.data)),
        )
        for sample in data_samples
    ]


def restore(
    logits: Tensor, metainfo: dict[str, Any], align_corners: bool = False
) -> Tensor:
    """Undo padding, flip and resizing of an image's logits.

    Args:
        logits: Logits of the image as the network saw it, float (C, H, W).
        metainfo: Metainfo with mmseg's keys ``padding_size`` or ``img_padding_size``
            (left, right, top, bottom; px), ``flip``, ``flip_direction`` and
            ``ori_shape``, each optional.
        align_corners: Option of ``torch.nn.functional.interpolate``.

    Returns:
        Float of shape (C, *ori_shape).
    """
    padding = metainfo.get('img_padding_size', metainfo.get('padding_size', [0] * 4))
    left, right, top, bottom = padding
    height, width = logits.shape[-2:]
    logits = logits[:, top : height - bottom, left : width - right]
    if metainfo.get('flip'):
        dims = {'horizontal': [2], 'vertical': [1], 'diagonal': [1, 2]}
        logits = logits.flip(dims[metainfo['flip_direction']])
    size = tuple(metainfo.get('ori_shape', logits.shape[-2:])[:2])
    if size == logits.shape[-2:]:
        return logits
    return F.interpolate(
        logits[None], size, mode='bilinear', align_corners=align_corners
    )[0]


@MODELS.register_module()
class BinarySegTTAModel(SegTTAModel):
    """Average the probabilities of the views of an image.

    The result has ``seg_logits`` (the merged probabilities), ``pred_sem_seg`` (merged,
    then thresholded), the mask, the metainfo of the un-flipped image, and, where there
    is a mask, ``val_loss_bce``: the cross entropy of the merged probabilities, brought
    into ``CLAMP`` .. 1 - ``CLAMP`` before, since probabilities that saturate have none.
    """

    def merge_preds(
        self, data_samples_list: list[list[SegDataSample]]
    ) -> list[SegDataSample]:
        """Merge the views of each image.

        Args:
            data_samples_list: Views of each image, already flipped back.

        Returns:
            One sample for each image.
        """
        return [self._merge(views) for views in data_samples_list]

    def _merge(self, views: list[SegDataSample]) -> SegDataSample:
        probability = torch.zeros_like(views[0].seg_logits.data)
        for view in views:
            probability += view.seg_logits.data
        probability /= len(views)
        merged = SegDataSample(metainfo=views[0].metainfo)
        merged.set_metainfo(dict(flip=False, flip_direction=None))
        head = self.module.decode_head
        if 'gt_sem_seg' in views[0]:
            merged.gt_sem_seg = views[0].gt_sem_seg
            logits = probability.float().logit(eps=CLAMP)
            loss = mean_bce(logits, merged.gt_sem_seg.data, head.ignore_index)
            merged.set_field(loss, 'val_loss_bce', field_type='metainfo')
        threshold = head.threshold
        merged.seg_logits = PixelData(data=probability)
        merged.pred_sem_seg = PixelData(data=(probability > threshold).to(probability))
        return merged
