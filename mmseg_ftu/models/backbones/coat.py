"""CoaT, the co-scale conv-attentional transformer, with one map per scale.

Paper: Xu et al., "Co-Scale Conv-Attentional Image Transformers",
https://arxiv.org/abs/2104.06399; official code https://github.com/mlpc-ucsd/CoaT.
Built on timm's blocks (``timm.models.coat``), with the same state-dict names and, for
the same weights and input, the same maps. Deviations from timm:

* any input from 32 x 32 up: where the last stride does not divide it, it is mirrored
  and the maps are cropped. This is for direct use: ``BinaryEncoderDecoder`` gives
  multiples only (``mirrored_padding.py``);
* every scale comes back as a map, un-normed as in the official feature mode; the
  norms, aggregation and head for classification are left out;
* the parallel blocks take any number of scales;
* activation checkpointing (``with_cp``).

``small_plus1`` is what the switched-auxiliary-loss paper (arXiv 2308.10994) calls
CoaT: CoaT-Small and a fifth scale at stride 64, 26,733,864 parameters. That is also
the number in its authors' public code; what is different from that code:

* there the fifth scale borrows the fourth's patch embedding, relative encoding and
  parallel attention, so its own (2,885,760 parameters) never get a gradient; here
  they are used and trained. The MLP of a parallel block is shared by all scales, as
  in the official code;
* there only some scales are added up: 2 takes 3 and 4, 3 takes 2 and 4, 4 takes 2 and
  5, 5 takes 2 and 4. Here each takes all others, which is the official rule;
* there the fifth scale's serial blocks start at random, here as copies of the fourth's.
"""

from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmseg.registry import MODELS
from timm.layers import DropPath, Mlp, PatchEmbed
from timm.models.coat import (
    ConvPosEnc,
    ConvRelPosEnc,
    FactorAttnConvRelPosEnc,
    SerialBlock,
)
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmseg_ftu.models.backbones.coat_variants import (
    ARCHS,
    NUM_HEADS,
    UNUSED,
    fourth_scale_name,
    read_arch,
    resolve_arch,
)
from mmseg_ftu.models.backbones.pretrained import PretrainedBackbone
from mmseg_ftu.models.backbones.weight_files import StateDict
from mmseg_ftu.models.mirrored_padding import mirror, round_up

Size = tuple[int, int]
T = TypeVar('T')

# The same in all official variants.
CRPE_WINDOW = {3: 2, 5: 3, 7: 3}  # window -> number of heads
PATCH_SIZE = 4
MIN_SIZE = 32  # px, the deepest stride of the official variants
LAYER_NORM: Any = partial(nn.LayerNorm, eps=1e-6)  # timm's hints want a class


@MODELS.register_module()
class CoaT(PretrainedBackbone):
    """CoaT or CoaT-Lite backbone.

    Args:
        arch: Name of a variant (see ``coat_variants.ARCHS``), or its numbers: a dict
            with, for each scale, ``embed_dims`` (multiples of 8), ``serial_depths`` and
            optionally ``mlp_ratios`` (default 4), and with ``parallel_depth`` (default
            0: CoaT-Lite). With parallel blocks all scales but the first have one width
            and ratio.
        in_channels: Channels of the image.
        drop_path_rate: Stochastic depth, 0..1; the same in all blocks, as in the
            official code.
        with_cp: Recompute each block in the backward pass, to save memory.
        init_cfg: ``dict(type='Pretrained', checkpoint='timm://coat_small.in1k')``, or
            with a path or URL (see :class:`PretrainedBackbone`). ``small_plus1`` takes
            CoaT-Small's weights and starts its fifth scale as a copy of the fourth.

    Attributes:
        out_channels: Channels of the maps, shallow to deep.
        strides: Strides of the maps, px: 4, 8, 16, 32 and, with five scales, 64.

    Raises:
        ValueError: ``arch`` is unknown or its numbers do not fit together.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'small_plus1',
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        numbers = resolve_arch(arch)
        dims = numbers['embed_dims']
        self.with_cp = with_cp
        self.out_channels = list(dims)
        self.strides = [PATCH_SIZE * 2**i for i in range(len(dims))]
        for i in range(len(dims)):
            self._add_scale(i, numbers, in_channels, drop_path_rate)
        crpes = [getattr(self, f'crpe{k}') for k in range(2, len(dims) + 1)]
        self.parallel_blocks = nn.ModuleList(
            ParallelBlock(dims[-1], numbers['mlp_ratios'][-1], crpes, drop_path_rate)
            for _ in range(numbers['parallel_depth'])
        )

    def _add_scale(
        self, i: int, numbers: dict[str, Any], in_channels: int, drop_path_rate: float
    ) -> None:
        """Add the modules of scale ``i``; published names count from 1."""
        dims, k = numbers['embed_dims'], i + 1
        embed = PatchEmbed(
            img_size=None,  # any size
            patch_size=PATCH_SIZE if i == 0 else 2,
            in_chans=in_channels if i == 0 else dims[i - 1],
            embed_dim=dims[i],
            norm_layer=nn.LayerNorm,
        )
        cpe = ConvPosEnc(dims[i])
        crpe = ConvRelPosEnc(dims[i] // NUM_HEADS, NUM_HEADS, CRPE_WINDOW)
        blocks = nn.ModuleList(
            SerialBlock(
                dims[i],
                NUM_HEADS,
                numbers['mlp_ratios'][i],
                qkv_bias=True,
                drop_path=drop_path_rate,
                norm_layer=LAYER_NORM,
                shared_cpe=cpe,
                shared_crpe=crpe,
            )
            for _ in range(numbers['serial_depths'][i])
        )
        token = nn.Parameter(torch.zeros(1, 1, dims[i]))
        self.register_parameter(f'cls_token{k}', token)
        self.add_module(f'patch_embed{k}', embed)
        self.add_module(f'cpe{k}', cpe)
        self.add_module(f'crpe{k}', crpe)
        self.add_module(f'serial_blocks{k}', blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps of an image batch.

        Args:
            x: ``(N, C, H, W)``, H and W at least 32.

        Returns:
            For each scale ``(N, out_channels[i], ceil(H / s), ceil(W / s))`` where
            ``s = strides[i]``.

        Raises:
            ValueError: The image is smaller than 32 x 32.
        """
        height, width = x.shape[-2:]
        if min(height, width) < MIN_SIZE:
            raise ValueError(
                f'CoaT needs images of at least {MIN_SIZE} x {MIN_SIZE} px, got height '
                f'{height} and width {width}: resize or pad them in the pipeline'
            )
        for dim in (2, 3):
            length = round_up(x.shape[dim], self.strides[-1])
            if length != x.shape[dim]:
                x = mirror(x, dim, length)
        sizes = [(x.shape[-2] // s, x.shape[-1] // s) for s in self.strides]
        tokens = self._serial(x, sizes)
        if self.parallel_blocks:
            tokens[1:] = self._parallel(tokens[1:], sizes[1:])
        return [
            to_map(t, size)[
                ..., : (height + s - 1) // s, : (width + s - 1) // s
            ].contiguous()
            for t, size, s in zip(tokens, sizes, self.strides, strict=True)
        ]

    def _serial(self, x: Tensor, sizes: list[Size]) -> list[Tensor]:
        """Return the tokens ``(N, 1 + h * w, C)`` of each scale, class token first."""
        tokens: list[Tensor] = []
        for k, size in enumerate(sizes, start=1):
            x = getattr(self, f'patch_embed{k}')(x)
            cls_token = getattr(self, f'cls_token{k}').expand(x.shape[0], -1, -1)
            x = torch.cat((cls_token, x), dim=1)
            for block in getattr(self, f'serial_blocks{k}'):
                x = self._run(block, x, size)
            tokens.append(x)
            x = to_map(x, size)
        return tokens

    def _parallel(self, tokens: list[Tensor], sizes: list[Size]) -> list[Tensor]:
        """Let the scales from the second on exchange what they know."""
        cpes = [getattr(self, f'cpe{k}') for k in range(2, len(tokens) + 2)]

        def step(block: nn.Module, tokens: list[Tensor]) -> list[Tensor]:
            placed = [cpe(t, s) for cpe, t, s in zip(cpes, tokens, sizes, strict=True)]
            mixed: list[Tensor] = block(placed, sizes)
            return mixed

        for block in self.parallel_blocks:
            tokens = self._run(step, block, tokens)
        return tokens

    def _run(self, function: Callable[..., T], *args: object) -> T:
        out: T
        if self.with_cp and torch.is_grad_enabled():
            out = checkpoint(function, *args, use_reentrant=False)
        else:
            out = function(*args)
        return out

    def stage_of(self, param_name: str) -> int | None:
        """Return the stage (0-based) that a parameter belongs to.

        Args:
            param_name: Name of the parameter in this module.

        Returns:
            The scale whose serial part it is in; None for the parallel blocks, in which
            the scales mix.
        """
        if param_name.startswith('parallel_blocks.'):
            return None
        return int(param_name.split('.')[0][-1]) - 1  # published names count from 1

    def map_pretrained(self, state: StateDict) -> StateDict:
        """Drop the classification parts; start a fifth scale from the fourth.

        Args:
            state: Weights of the official release, timm or this class.
        """
        state = {k: v for k, v in state.items() if not k.startswith(UNUSED)}
        if len(self.out_channels) == 5 and 'patch_embed5.proj.weight' not in state:
            copies = {k: fourth_scale_name(k) for k in self.state_dict()}
            copies = {k: v for k, v in copies.items() if k != v and v in state}
            state |= {name: state[source] for name, source in copies.items()}
            print_log(
                f'CoaT: the file has four scales; {len(copies)} tensors of the fifth '
                'start as copies of the fourth',
                'current',
            )
        return state

    def describe_pretrained(self, state: StateDict) -> str:
        """Name the variant whose numbers the file has."""
        found = read_arch(state)
        if not found['embed_dims']:
            return f'It is not a CoaT: {super().describe_pretrained(state)}'
        names = [
            name
            for name in ARCHS
            if all(resolve_arch(name)[key] == found[key] for key in found)
        ]
        return f'The file looks like arch={names[0] if names else found!r}.'


class ParallelBlock(nn.Module):
    """Attend within each scale, then add up all scales, then one MLP for all.

    Args:
        dim: Channels of each scale.
        mlp_ratio: Hidden width of the MLP in units of ``dim``.
        crpes: Relative position encoding of each scale; its length is the number of
            scales, which are named from 2 as in published files.
        drop_path_rate: Stochastic depth, 0..1.
    """

    def __init__(
        self,
        dim: int,
        mlp_ratio: float,
        crpes: list[ConvRelPosEnc],
        drop_path_rate: float,
    ) -> None:
        super().__init__()
        self.scales = range(2, len(crpes) + 2)
        mlp = Mlp(dim, int(dim * mlp_ratio))
        for k, crpe in zip(self.scales, crpes, strict=True):
            attention = FactorAttnConvRelPosEnc(
                dim, NUM_HEADS, qkv_bias=True, shared_crpe=crpe
            )
            self.add_module(f'norm1{k}', LAYER_NORM(dim))
            self.add_module(f'factoratt_crpe{k}', attention)
            self.add_module(f'norm2{k}', LAYER_NORM(dim))
            self.add_module(f'mlp{k}', mlp)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, tokens: list[Tensor], sizes: list[Size]) -> list[Tensor]:
        """Map the tokens of each scale to tokens of the same shape."""
        attended = []
        for k, x, size in zip(self.scales, tokens, sizes, strict=True):
            normed = getattr(self, f'norm1{k}')(x)
            attended.append(getattr(self, f'factoratt_crpe{k}')(normed, size))
        out = []
        mixed = mix_scales(attended, sizes)
        for k, x, update in zip(self.scales, tokens, mixed, strict=True):
            x = x + self.drop_path(update)
            update = getattr(self, f'mlp{k}')(getattr(self, f'norm2{k}')(x))
            out.append(x + self.drop_path(update))
        return out


def to_map(tokens: Tensor, size: Size) -> Tensor:
    """Drop the class token: ``(N, 1 + h * w, C)`` to ``(N, C, h, w)``, a view."""
    view: Tensor = tokens[:, 1:].transpose(1, 2).unflatten(2, size)
    return view


def mix_scales(tokens: list[Tensor], sizes: list[Size]) -> list[Tensor]:
    """Add to each scale all others, bilinearly resized; class tokens as they are.

    Args:
        tokens: ``(N, 1 + h * w, C)`` per scale, with the same N and C.
        sizes: Sizes ``(h, w)`` of the scales.
    """
    cls_token = reduce(torch.add, [t[:, :1] for t in tokens])
    maps = [to_map(t, size) for t, size in zip(tokens, sizes, strict=True)]
    mixed = []
    for own, size in zip(maps, sizes, strict=True):
        others = [
            F.interpolate(other, size, mode='bilinear', align_corners=False)
            for other in maps
            if other is not own
        ]
        total = reduce(torch.add, others, own).flatten(2).transpose(1, 2)
        mixed.append(torch.cat((cls_token, total), dim=1))
    return mixed
