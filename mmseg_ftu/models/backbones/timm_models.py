"""Build networks of timm for images of any size, and bring weights to their names."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn

from mmseg_ftu.io.listing import some_of
from mmseg_ftu.models.backbones.weight_files import StateDict
from mmseg_ftu.models.ops.depthwise_conv import conv2d

PROBE = (128, 192)  # px, height and width; multiples of all strides in use
STRIDES = (4, 8, 16, 32)  # px, of the maps by default
# How the constructors of timm call it that images may have any size.
ANY_SIZE: tuple[dict[str, Any], ...] = (
    dict(dynamic_img_size=True),
    dict(strict_img_size=False),
    {},
)


LOADING = ('pretrained', 'checkpoint_path', 'pretrained_cfg', 'cache_dir')


def refuse_loading(model_name: str, model_args: Mapping[str, Any]) -> None:
    """Raise ValueError where arguments of a model would load weights unchecked."""
    if loading := sorted({*model_args} & {*LOADING}):
        raise ValueError(
            f'TimmEncoder {model_name}: model_args has {", ".join(loading)}, which '
            "loads weights unchecked; take init_cfg=dict(type='Pretrained', ...)"
        )


def create_net(model_name: str, **kwargs: Any) -> nn.Module:
    """Build a model of timm, for images of any size where it can.

    Args:
        model_name: timm's name, with or without a tag.
        **kwargs: Arguments of ``timm.create_model``. A text ``mlp_layer`` names a class
            in ``timm.layers``, as a config cannot hold the class.

    Raises:
        ValueError: timm does not know the model, its tag or an argument.
    """
    if not timm.is_model(model_name.split('.')[0]):
        similar = get_close_matches(model_name, timm.list_models(), n=6)
        raise ValueError(
            f'TimmEncoder model_name={model_name!r}: timm {timm.__version__} has no '
            f'such model; similar: {some_of(similar)}'
        )
    if isinstance(layer := kwargs.get('mlp_layer'), str):
        if not hasattr(timm.layers, layer):
            raise ValueError(
                f'TimmEncoder {model_name}: timm.layers has no mlp_layer {layer!r}'
            )
        kwargs['mlp_layer'] = getattr(timm.layers, layer)
    for any_size in ANY_SIZE:
        try:
            return timm.create_model(model_name, **any_size, **kwargs)
        except RuntimeError as error:  # of a tag that the model does not have
            raise ValueError(f'TimmEncoder {model_name}: {error}') from error
        except TypeError as error:  # of a constructor that lacks the argument
            if not any_size or next(iter(any_size)) not in str(error):
                raise ValueError(
                    f'TimmEncoder {model_name}: model_args do not suit it ({error})'
                ) from error
    raise AssertionError('the last way passes no argument')


class PaddedConvolution(Conv2dSame):
    """TensorFlow's padding for sizes that the stride divides: a constant.

    timm computes it from the size in each layer, and sizes that depend on one another
    in this way cannot be captured for ONNX.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Do what timm's layer does at such sizes."""
        totals = [
            max((size - 1) * dilation + 1 - stride, 0)
            for size, stride, dilation in zip(
                self.kernel_size, self.stride, self.dilation, strict=True
            )
        ]
        padding = tuple(total // 2 for total in totals)
        if any(total % 2 for total in totals):
            above, left = padding
            x = F.pad(x, (left, totals[1] - left, above, totals[0] - above))
            padding = 0, 0
        return conv2d(
            x,
            self.weight,
            self.bias,
            self.stride,
            padding,
            self.dilation,
            self.groups,
        )


def fix_padding(net: nn.Module) -> None:
    """Replace padding that depends on the size, in place.

    For images whose sides are multiples of the strides of all layers.
    """
    for module in net.modules():
        if type(module) is Conv2dSame:
            module.__class__ = PaddedConvolution


def describe_stages(net: Any) -> list[dict[str, Any]]:
    """Return ``num_chs`` and ``reduction`` (px) of each map that a model can give."""
    info = net.feature_info
    return [dict(stage) for stage in getattr(info, 'info', info)]


@torch.no_grad()
def refuse_fixed_size(encoder: Any, in_channels: int) -> None:
    """Try an encoder on an image of another size than its model was made for.

    Args:
        encoder: With ``model_name``, ``out_channels`` and ``strides``.
        in_channels: Channels of the image.

    Raises:
        ValueError: If it fails, or its maps are not what it declares.
    """
    expected = [
        (channels, *(side // stride for side in PROBE))
        for channels, stride in zip(encoder.out_channels, encoder.strides, strict=True)
    ]
    encoder.eval()
    try:
        shapes = [
            tuple(x.shape[1:]) for x in encoder(torch.zeros(1, in_channels, *PROBE))
        ]
        reason = f'maps of the shapes {shapes} instead of {expected}'
    except Exception as error:  # of any model
        shapes, reason = [], f'{type(error).__name__}: {error}'
    encoder.train()
    if shapes != expected:
        raise ValueError(
            f'TimmEncoder {encoder.model_name} does not take images of any size; one '
            f'of {PROBE[0]} x {PROBE[1]} px gives {reason}. Choose another model, such '
            'as a CNN, ConvNeXt, Swin, PVTv2 or a ViT'
        )


def quarters(number: int) -> list[int]:
    """Return the last block of each quarter: 2, 5, 8, 11 of 12."""
    return [number * k // 4 - 1 for k in (1, 2, 3, 4)]


def by_stride(reductions: Sequence[int]) -> list[int]:
    """Return the last map of each of the strides 4 to 32 that there is."""
    last = {stride: i for i, stride in enumerate(reductions)}
    return [last[stride] for stride in STRIDES if stride in last]


def load_by_timm(model_name: str, state: StateDict, **kwargs: Any) -> StateDict:
    """Let timm bring weights of an older or another release to its own names.

    It knows how for the models it publishes, and resizes position embeddings.

    Args:
        model_name: timm's name.
        state: Weights under the names of the file.
        **kwargs: Arguments of `create_net`.

    Returns:
        Weights under timm's names; ``state`` if timm cannot do it completely.
    """
    cfg = timm.models.get_pretrained_cfg(model_name)
    classifiers = (cfg and cfg.classifier) or ()
    names = [classifiers] if isinstance(classifiers, str) else classifiers
    head = tuple(f'{name}.' for name in names)
    given = {k: v for k, v in state.items() if not (head and k.startswith(head))}
    try:
        net = create_net(
            model_name,
            pretrained=True,
            pretrained_strict=True,
            pretrained_cfg_overlay=dict(state_dict=given, num_classes=0),
            num_classes=0,
            **kwargs,
        )
    except Exception:  # of a conversion that expects other names
        return state
    return net.state_dict()


def in_timms_order(
    state: StateDict, published: Mapping[str, torch.Size]
) -> StateDict | None:
    """Rename a file of EfficientNet-PyTorch, which has timm's order.

    Its tensors are those of timm's model one by one, under other names
    (``_blocks.0._depthwise_conv.weight`` is ``blocks.0.0.conv_dw.weight``).

    Args:
        state: Weights under the names of the file.
        published: Names and shapes of timm's model with its head, in its order.

    Returns:
        Weights under timm's names, or None if the file is something else.
    """
    same = len(state) == len(published) and all(
        given.rpartition('.')[2] == own.rpartition('.')[2] and weight.shape == shape
        for (given, weight), (own, shape) in zip(
            state.items(), published.items(), strict=True
        )
    )
    numbers = [int(n) for n in re.findall(r'\b_blocks\.(\d+)\.', ' '.join(state))]
    if not same or '_conv_stem.weight' not in state or numbers != sorted(numbers):
        return None
    return dict(zip(published, state.values(), strict=True))
