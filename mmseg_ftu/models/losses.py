"""Losses for one output channel, beside cross entropy.

mmseg's ``DiceLoss`` is inverted for ``out_channels=1``, its ``TverskyLoss`` returns 0
and its ``FocalLoss`` raises. ``BinaryLoss`` brings those of segmentation_models_pytorch
under mmseg's contract: they are right, and that package needs nothing which this one
does not need anyway. mmseg's ``LovaszLoss(loss_type='binary')`` is right and gives the
same.
"""

from typing import Any

from mmseg.registry import MODELS
from segmentation_models_pytorch import losses as smp
from torch import Tensor, nn

KINDS = {
    'dice': smp.DiceLoss,
    'jaccard': smp.JaccardLoss,
    'tversky': smp.TverskyLoss,
    'focal': smp.FocalLoss,
    'lovasz': smp.LovaszLoss,
}


@MODELS.register_module()
class BinaryLoss(nn.Module):
    """Dice, Jaccard, Tversky, focal or Lovasz loss of one-channel logits.

    Computed in float32, also under automatic mixed precision. A batch without a pixel
    of foreground gives 0 for ``dice``, ``jaccard`` and ``tversky``, so combine these
    with cross entropy or ``focal``. The pixels of the batch are treated as one image,
    but for ``lovasz`` with ``per_image=True``.

    Args:
        kind: Kind of loss: ``dice``, ``jaccard``, ``tversky``, ``focal`` or ``lovasz``.
        loss_weight: Factor in the total loss.
        loss_name: Name in the log; must begin with ``loss_`` to count as a loss.
        **kwargs: Arguments of the loss in segmentation_models_pytorch: ``smooth``,
            ``log_loss`` (dice, jaccard, tversky), ``alpha`` and ``beta``, weights of
            false positives and false negatives, and ``gamma`` (tversky), ``alpha`` and
            ``gamma`` (focal), ``per_image`` (lovasz).

    Raises:
        ValueError: Unknown kind or argument.

    Example:
        >>> loss_decode = [
        ...     dict(type='CrossEntropyLoss', use_sigmoid=True, loss_name='loss_bce'),
        ...     dict(type='BinaryLoss', kind='lovasz', loss_weight=3.0),
        ... ]
    """

    def __init__(
        self,
        kind: str,
        loss_weight: float = 1.0,
        loss_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f'BinaryLoss kind={kind!r}: expected one of {list(KINDS)}')
        try:
            self.loss = KINDS[kind](mode='binary', **kwargs)
        except TypeError as error:
            raise ValueError(f'BinaryLoss kind={kind!r}: {error}') from error
        self.loss_weight = loss_weight
        self.loss_name = loss_name or f'loss_{kind}'

    def forward(
        self,
        logits: Tensor,
        mask: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
        **_: object,
    ) -> Tensor:
        """Compute the weighted loss of a batch, a scalar.

        Args:
            logits: Logits of the batch, float (N, 1, H, W).
            mask: Mask of labels 0, 1 or ``ignore_index``, integers of shape (N, H, W).
            weight: Weights of pixels; must be None (a pixel sampler's weights cannot be
                used here).
            ignore_index: Label of pixels that do not count.

        Raises:
            ValueError: Several channels, or pixel weights.
        """
        if logits.shape[1] != 1 or weight is not None:
            raise ValueError(
                f'BinaryLoss takes one channel and no pixel weights, got '
                f'{logits.shape[1]} channels'
                + ('' if weight is None else ' and a weight: remove the sampler')
            )
        logits = logits.float()
        if (mask == ignore_index).all():
            return logits.sum() * 0
        self.loss.ignore_index = ignore_index
        loss: Tensor = self.loss(logits, mask[:, None])
        return self.loss_weight * loss
