"""Images of any size for networks whose maps have strides.

A map has ``ceil(size / stride)`` cells. Where the stride does not divide the size, the
cells cover more than the image, those of each map another area, and heads resize the
maps to each other and to the image as if all covered the same. This moves deep features
by up to a tenth of the image and cost .03 to .05 Dice on 261 x 387 px (GlaS).

So the image is mirrored at the bottom and the right up to a multiple of the largest
stride, the network runs at that size, and its answer is cropped. Zeros do not look like
tissue, hence the mirror: it shows the network nothing that is not in the image.

This is the only place that pads for prediction: ``BinaryEncoderDecoder`` runs through
it in validation, in ``tools/test.py`` and in mmseg's own functions,
``inference.network`` brings mmseg's other segmentors, and ``export.onnx`` puts it into
the graph.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

UNKNOWN_STRIDE = 32  # px, the largest of nearly all backbones in mmseg


class MirroredPadding(NamedTuple):
    """The sizes that a network takes; others are mirrored up to them.

    Attributes:
        divisor: Height and width become multiples of it, px.
        least: Height and width, px, to which a smaller image is brought exactly.
    """

    divisor: int
    least: tuple[int, int] = (0, 0)

    def __call__(self, network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Run a network on mirrored images and crop its answer to the images.

        Nothing is copied if the size fits. The result is equal whether images are
        normalised before or after, as mirroring only repeats pixels.

        Args:
            network: Maps ``(N, C, H', W')`` to ``(N, K, H', W')``.
            images: ``(N, C, H, W)``, any size from 1 px.

        Returns:
            ``(N, K, H, W)``.
        """
        height, width = images.shape[-2:]
        answer = network(self.pad(images))
        return answer[..., :height, :width]

    def pad(self, images: Tensor) -> Tensor:
        """Mirror images ``(N, C, H, W)`` at the bottom and the right."""
        # a condition on a size would tie a captured graph to one size
        capturing = torch.compiler.is_compiling() or is_traced()
        padded = images
        for dim, least in zip((-2, -1), self.least, strict=True):
            side = images.shape[dim]
            length = least if side < least else round_up(side, self.divisor)
            if capturing or length != side:
                padded = mirror(padded, dim, length)
        memory_format = torch.channels_last
        if not capturing and images.is_contiguous(memory_format=memory_format):
            return padded.contiguous(memory_format=memory_format)
        return padded


def is_traced() -> bool:
    """Tell whether ``torch.jit.trace`` is recording."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def round_up(side: int, divisor: int) -> int:
    """Return the smallest multiple that is not smaller."""
    # this form lets torch.export see that what is rounded up can be divided
    return (side + divisor - 1) // divisor * divisor


def mirror(x: Tensor, dim: int, length: int) -> Tensor:
    """Continue a dimension to a length as ``numpy.pad(mode='reflect')`` does.

    The border itself is not repeated, but for a side of 1. Where the image is too short
    it goes to and fro. ``torch.nn.functional.pad`` refuses that.
    """
    side = x.shape[dim]
    index = torch.arange(length, device=x.device)
    period = index.new_full((), max(2 * (side - 1), 1))  # ONNX divides by tensors only
    index = index % period
    return x.index_select(dim, torch.minimum(index, period - index))


def take_over_padding(segmentor: nn.Module) -> MirroredPadding:
    """Return the padding that a segmentor needs, and switch off mmseg's own.

    The divisor is the least common multiple of the strides that the backbone declares,
    see `declared_strides`; else 32. mmseg would pad test images with zeros as
    ``data_preprocessor.test_cfg`` says. Its ``size`` and ``size_divisor`` are taken
    over; ``size_divisor`` is also how to name another divisor than 32 for a backbone
    that declares nothing.
    """
    preprocessor: Any = segmentor.data_preprocessor  # mmseg's
    zeros = getattr(preprocessor, 'test_cfg', None) or {}
    if zeros:
        preprocessor.test_cfg = None
    strides = declared_strides(getattr(segmentor, 'backbone', None))
    given = zeros.get('size_divisor')
    if strides:
        divisor = math.lcm(*strides, given or 1)
    else:
        divisor = given or UNKNOWN_STRIDE
    return MirroredPadding(divisor, tuple(zeros.get('size') or (0, 0)))


def declared_strides(backbone: nn.Module | None) -> list[int]:
    """Return the strides of a backbone's maps, px; empty if it does not tell.

    Our backbones have two lists of one length, ``out_channels`` and ``strides``. The
    ``strides`` of mmseg's ResNet, MiT and U-Net, which have no ``out_channels``, are
    those from stage to stage.
    """
    strides = getattr(backbone, 'strides', ())
    widths = getattr(backbone, 'out_channels', ())
    if isinstance(widths, list | tuple) and len(widths) == len(strides):
        return list(strides)
    return []


def check_training_size(size: tuple[int, int], backbone: nn.Module) -> None:
    """Refuse training images whose size the backbone's strides do not divide.

    Args:
        size: Height and width, px.
        backbone: One that declares no strides is not checked.

    Raises:
        ValueError: If a side is not a multiple of the largest stride.
    """
    divisor = math.lcm(*declared_strides(backbone))
    if any(side % divisor for side in size):
        raise ValueError(
            f'training images are {size[0]} x {size[1]} px (height x width), but '
            f'{type(backbone).__name__} needs multiples of {divisor} px, its largest '
            'stride: set crop_size (or img_scale) in the config of the data to such a '
            'size, or mirror whole images by a last transform PadIfNeeded, as '
            'docs/howto/training.md shows for train_pipeline'
        )
