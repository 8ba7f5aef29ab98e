"""CoaT, the co-scale conv-attentional transformer, with one map per scale.

Paper: Xu et al., "Co-Scale Conv-Attentional Image Transformers",
https://arxiv.org/abs/2104.06399; official code https://github.com/mlpc-ucsd/CoaT.
With the state-dict names of the official release and timm and, for the same weights and
input, timm's maps and gradients. The blocks are in ``coat_blocks.py``, written for
speed. Deviations from timm:

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

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmseg_ftu.models.backbones.checkpointing import stages_to_recompute
from mmseg_ftu.models.backbones.coat_blocks import (
    ConvPosEnc,
    ConvRelPosEnc,
    ParallelBlock,
    PatchEmbed,
    Scale,
    SerialBlock,
    Size,
    to_map,
)
from mmseg_ftu.models.backbones.coat_variants import (
    ARCHS,
    UNUSED,
    fourth_scale_name,
    read_arch,
    resolve_arch,
)
from mmseg_ftu.models.backbones.pretrained import PretrainedBackbone
from mmseg_ftu.models.backbones.weight_files import StateDict
from mmseg_ftu.models.mirrored_padding import mirror, round_up

T = TypeVar('T')

PATCH_SIZE = 4
MIN_SIZE = 32  # px, the deepest stride of the official variants


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
        with_cp: Recompute each block in the backward pass, to save memory; or the
            scales (from 0) whose own blocks are recomputed: the first has most of the
            memory. Parallel blocks, which mix scales, are recomputed with True only.
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
        with_cp: bool | Sequence[int] = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        numbers = resolve_arch(arch)
        dims = numbers['embed_dims']
        self.recomputed = stages_to_recompute(with_cp, len(dims))
        self.recomputes_parallel = with_cp is True
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
            in_channels if i == 0 else dims[i - 1],
            dims[i],
            PATCH_SIZE if i == 0 else 2,
        )
        cpe, crpe = ConvPosEnc(dims[i]), ConvRelPosEnc(dims[i])
        blocks = nn.ModuleList(
            SerialBlock(dims[i], numbers['mlp_ratios'][i], drop_path_rate, cpe, crpe)
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
            ``s = strides[i]``, in channels-last memory.

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
        scales = self._serial(x, sizes)
        if self.parallel_blocks:
            scales[1:] = self._parallel(scales[1:], sizes[1:])
        return [
            to_map(scale.tokens, size)[
                ..., : (height + s - 1) // s, : (width + s - 1) // s
            ].contiguous(memory_format=torch.channels_last)
            for scale, size, s in zip(scales, sizes, self.strides, strict=True)
        ]

    def _serial(self, x: Tensor, sizes: list[Size]) -> list[Scale]:
        """Return the tokens of each scale after its own blocks."""
        scales: list[Scale] = []
        for k, size in enumerate(sizes, start=1):
            tokens = getattr(self, f'patch_embed{k}')(x)
            cls_token = getattr(self, f'cls_token{k}').expand(x.shape[0], -1, -1)
            # in autocast on a CPU norms give bfloat16: what blocks add up must not be
            scale = Scale(tokens.to(cls_token.dtype), cls_token)
            for block in getattr(self, f'serial_blocks{k}'):
                scale = run(k - 1 in self.recomputed, block, scale, size)
            scales.append(scale)
            x = to_map(scale.tokens, size)
        return scales

    def _parallel(self, scales: list[Scale], sizes: list[Size]) -> list[Scale]:
        """Let the scales from the second on exchange what they know."""
        cpes = [getattr(self, f'cpe{k}') for k in range(2, len(scales) + 2)]

        def step(block: nn.Module, scales: list[Scale]) -> list[Scale]:
            placed = [
                Scale(cpe(scale.tokens, size), scale.cls_token)
                for cpe, scale, size in zip(cpes, scales, sizes, strict=True)
            ]
            mixed: list[Scale] = block(placed, sizes)
            return mixed

        for block in self.parallel_blocks:
            scales = run(self.recomputes_parallel, step, block, scales)
        return scales

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


def run(recompute: bool, function: Callable[..., T], *args: object) -> T:
    """Call a function, and if wanted once more in the backward pass."""
    out: T
    if recompute and torch.is_grad_enabled():
        out = checkpoint(function, *args, use_reentrant=False)
    else:
        out = function(*args)
    return out
