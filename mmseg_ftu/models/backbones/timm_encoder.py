"""Any encoder of timm: CNNs, pyramids of transformers, plain vision transformers.

CNNs and hierarchical transformers give their own maps. Plain ones (DINOv2, DINOv3,
pathology encoders) give those of four evenly spaced blocks, from which
``token_pyramid.py`` makes maps at strides 4, 8, 16 and 32. So decode heads, auxiliary
head and its switch apply to all of them, and a stage means the same: a loss on stage k
reaches the first k + 1 quarters of the blocks only.

timm's network is ``net`` here, with timm's names. The licences of weights differ from
that of timm's code: see docs/howto/encoders.md.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_ftu.models.backbones import lora as low_rank
from mmseg_ftu.models.backbones.checkpointing import (
    recompute_in_place,
    require_all_or_none,
)
from mmseg_ftu.models.backbones.hub_weights import published_cfg
from mmseg_ftu.models.backbones.pretrained import PretrainedBackbone
from mmseg_ftu.models.backbones.timm_layers import (
    find_blocks,
    frozen_names,
    layer_numbers,
)
from mmseg_ftu.models.backbones.timm_models import (
    by_stride,
    create_net,
    describe_stages,
    fix_padding,
    in_timms_order,
    load_by_timm,
    quarters,
    refuse_fixed_size,
    refuse_loading,
)
from mmseg_ftu.models.backbones.token_pyramid import STRIDES, TokenPyramid
from mmseg_ftu.models.backbones.weight_files import StateDict
from mmseg_ftu.models.mirrored_padding import mirror, round_up
from mmseg_ftu.models.normalisation import config_lines, contradiction, to_levels
from mmseg_ftu.models.ops.convolution import speed_up


@MODELS.register_module()
class TimmEncoder(PretrainedBackbone):
    """A model of timm as a backbone.

    Args:
        model_name: timm's name, such as ``convnext_tiny`` or, as the tag decides mean
            and deviation, ``vit_base_patch16_224.dino``.
        out_indices: Which maps to return. Of a CNN or a hierarchical transformer: those
            of timm's ``feature_info``, by default the last at each of the strides 4,
            8, 16 and 32 that it has. Of a plain transformer: four blocks, by default
            the last of each quarter.
        model_args: Further arguments of ``timm.create_model``, such as ``img_size``,
            ``drop_path_rate`` or ``init_values``; ``mlp_layer`` by its name in
            ``timm.layers``.
        pyramid_channels: Channels of each map of a plain transformer.
        in_channels: Channels of the image.
        mean: Mean of each colour that the weights were trained with, RGB, 0..255; by
            default what timm says of ``model_name``.
        std: Deviation of each colour, likewise.
        freeze: ``'none'``; ``'all'`` of timm's network, though not the pyramid; or a
            number: that many first stages, of a plain transformer blocks, and what
            comes before them. Frozen batch norms keep their statistics.
        lora: ``dict(rank=8, alpha=16)`` adapts the attention of a network that is
            frozen as a whole (see ``lora.py``).
        with_cp: Recompute each block in the backward pass, to save memory.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` with ``timm://<model>``,
            ``hf://<owner>/<repository>[/<file>]``, ``pip://<package>``, a path or a
            URL, see :class:`PretrainedBackbone`.

    Attributes:
        out_channels: Channels of the maps, shallow to deep.
        strides: Their strides in px.
        mean: What the data preprocessor has to subtract, RGB, 0..255.
        std: What it has to divide by. ``BinaryEncoderDecoder`` refuses another one.

    Raises:
        ValueError: timm does not know the model, it does not take images of any size or
            gives no maps, or arguments do not fit together.
    """

    def __init__(
        self,
        model_name: str,
        out_indices: Sequence[int] | None = None,
        model_args: Mapping[str, Any] | None = None,
        pyramid_channels: int = 256,
        in_channels: int = 3,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        freeze: str | int = 'none',
        lora: Mapping[str, Any] | None = None,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        require_all_or_none(with_cp)
        super().__init__(init_cfg)
        self.model_name = model_name
        self.model_args = dict(model_args or {}, in_chans=in_channels)
        refuse_loading(model_name, self.model_args)
        self.net: Any = create_net(model_name, **self.model_args)
        self._published = {k: v.shape for k, v in self.net.state_dict().items()}
        self._choose_maps(out_indices, pyramid_channels)
        self._needed = {k: v.shape for k, v in self.net.state_dict().items()}
        self._set_normalisation(mean, std, in_channels)
        refuse_fixed_size(self, in_channels)
        self._freeze(freeze, lora)
        for name in find_blocks(self._layers(coarse=False)) if with_cp else ():
            recompute_in_place(self.net.get_submodule(name))

    def _choose_maps(self, out_indices: Sequence[int] | None, channels: int) -> None:
        stages = describe_stages(self.net)
        reductions = [stage['reduction'] for stage in stages]
        is_plain = len(reductions) > 1 and len(set(reductions)) == 1
        if out_indices is None:
            out_indices = quarters(len(stages)) if is_plain else by_stride(reductions)
        if not out_indices:
            raise ValueError(
                f'TimmEncoder {self.model_name}: no map to return; its maps have the '
                f'strides {reductions}, choose by out_indices'
            )
        count = len(stages)
        if any(type(i) is not int or not -count <= i < count for i in out_indices):
            raise ValueError(
                f'TimmEncoder {self.model_name}: out_indices={list(out_indices)}: the '
                f'model has {count} maps, from 0'
            )
        self.out_indices = [range(count)[i] for i in out_indices]
        if self.out_indices != sorted(self.out_indices):
            raise ValueError(
                f'TimmEncoder {self.model_name}: out_indices={list(out_indices)}: name '
                'the maps from shallow to deep'
            )
        self.pyramid = None
        if is_plain:
            if len(set(self.out_indices)) != len(STRIDES):
                raise ValueError(
                    f'TimmEncoder {self.model_name}: a plain transformer needs '
                    f'{len(STRIDES)} blocks, got out_indices={list(out_indices)}; it '
                    f'has {len(stages)}'
                )
            width, patch = stages[0]['num_chs'], reductions[0]
            self.pyramid = TokenPyramid(width, channels, patch)
            self.out_channels, self.strides = [channels] * 4, list(STRIDES)
        else:
            self.out_channels = [stages[i]['num_chs'] for i in self.out_indices]
            self.strides = [reductions[i] for i in self.out_indices]
        # what follows the last map gets no gradient, and would be in checkpoints
        self.net.prune_intermediate_layers(self.out_indices, prune_norm=True)
        fix_padding(self.net)  # `forward` gives it multiples of the strides
        speed_up(self.net)

    def _set_normalisation(
        self,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        in_channels: int,
    ) -> None:
        cfg = self.net.pretrained_cfg
        self.mean: list[float] | None = None
        self.std: list[float] | None = None
        self._normalisation_given = mean is not None and std is not None
        if in_channels != 3 and not self._normalisation_given:
            return
        self.mean = to_levels(cfg['mean']) if mean is None else list(mean)
        self.std = to_levels(cfg['std']) if std is None else list(std)
        for name, given, least in (('mean', mean, -math.inf), ('std', std, 0)):
            if given is not None and not (
                len(given) == in_channels
                and all(math.isfinite(x) and x > least for x in given)
            ):
                raise ValueError(
                    f'TimmEncoder {self.model_name}: {name}={list(given)}: give '
                    f'{in_channels} numbers{" above 0" if name == "std" else ""}'
                )

    def _layers(self, coarse: bool) -> dict[str, int]:
        return layer_numbers(self.net, self.model_name, coarse)

    def _freeze(self, freeze: str | int, lora: Mapping[str, Any] | None) -> None:
        frozen = frozen_names(self.net, self.model_name, freeze)
        for name in frozen:
            self.net.get_parameter(name).requires_grad_(False)
        if lora is None:
            self.train()
            return
        if freeze != 'all':
            raise ValueError(
                f'TimmEncoder {self.model_name}: lora adapts a frozen network, set '
                f"freeze='all' (got {freeze!r})"
            )
        rank, alpha = lora.get('rank'), lora.get('alpha')
        if (
            {*lora} != {'rank', 'alpha'}
            or type(rank) is not int
            or rank < 1
            or not isinstance(alpha, int | float)
            or not 0 < alpha < math.inf
        ):
            raise ValueError(
                f'TimmEncoder {self.model_name}: lora={dict(lora)}: give '
                'dict(rank=8, alpha=16), a whole number from 1 and a number above 0'
            )
        if not low_rank.adapt(self.net, **lora):
            raise ValueError(
                f'TimmEncoder {self.model_name}: lora found no attention to adapt'
            )
        self.train()

    def train(self, mode: bool = True) -> 'TimmEncoder':
        """Set the mode; what is frozen as a whole stays in that of evaluation.

        So frozen batch norms keep their statistics, and frozen blocks drop nothing.
        """
        super().train(mode)
        for module in self.net.modules():
            parameters = list(module.parameters())
            if parameters and not any(p.requires_grad for p in parameters):
                module.eval()
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps of an image batch.

        Args:
            x: ``(N, C, H, W)``, any H and W.

        Returns:
            For each stage ``(N, out_channels[i], ceil(H / s), ceil(W / s))`` where
            ``s = strides[i]``.
        """
        height, width = x.shape[-2:]
        covered = [round_up(side, math.lcm(*self.strides)) for side in (height, width)]
        x = self._pad(x, covered)
        if self.pyramid is None:
            # in this memory format all convolutions are faster: docs/performance.md
            x = x.contiguous(memory_format=torch.channels_last)
        maps = self.net.forward_intermediates(
            x, indices=self.out_indices, intermediates_only=True
        )
        if self.pyramid is not None:
            maps = self.pyramid(maps, *covered)
        return [
            x[..., : (height + s - 1) // s, : (width + s - 1) // s]
            for x, s in zip(maps, self.strides, strict=True)
        ]

    def _pad(self, x: Tensor, covered: list[int]) -> Tensor:
        """Mirror an image to what the strides, and a transformer's patches, divide.

        The segmentor pads for the strides (``mirrored_padding.py``), so that is for
        direct use. Patches of 14 px need more: 256 px become 280.
        """
        divisor = 1 if self.pyramid is None else self.pyramid.divisor
        ragged = math.lcm(*self.strides) % divisor != 0
        for dim, side in zip((-2, -1), covered, strict=True):
            length = round_up(side, divisor)
            # a condition on a size would tie a captured graph to one size
            if (ragged and torch.compiler.is_compiling()) or length != x.shape[dim]:
                x = mirror(x, dim, length)
        return x

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return the depth of a parameter for a layer-wise learning rate.

        That is how mmpretrain's ``LearningRateDecayOptimWrapperConstructor`` asks.

        Args:
            param_name: Name of the parameter in the model.
            prefix: What the names of the backbone's begin with.

        Returns:
            The depth, 0 for what comes before the first block, and the number of
            depths; the last is that of the pyramid, the heads and all else.
        """
        last = max(self._depths.values()) + 1
        name = param_name.removeprefix(f'{prefix}net.')
        inside = param_name.startswith(f'{prefix}net.')
        return (self._depths[name] if inside else last), last + 1

    @cached_property
    def _depths(self) -> dict[str, int]:
        return self._layers(coarse=False)

    def merge_lora(self) -> int:
        """Add LoRA's changes to the weights for good.

        Afterwards the state dict is that of an encoder without ``lora``.

        Returns:
            Number of layers that had a change.
        """
        return low_rank.merge_lora(self.net)

    def init_random(self) -> None:
        """Keep timm's initialisation, which was drawn when the network was built."""
        if self.mean and self.std:
            print_log(
                f'TimmEncoder {self.model_name} expects data_preprocessor=dict('
                f'{config_lines(self.mean, self.std)})',
                'current',
            )

    def check_source(self, checkpoint: str, path: Path) -> None:
        """Compare what is published beside the weights with mean and deviation.

        Raises:
            ValueError: If they differ, unless the config gives them.
        """
        if not self.mean or not self.std:
            return
        cfg = published_cfg(checkpoint, path)
        text = contradiction(cfg, self.mean, self.std)
        if not cfg.get('mean') and not self._normalisation_given:
            print_log(
                f'{checkpoint}: nothing beside it says how its images were normalised; '
                f'TimmEncoder takes what timm says of {self.model_name}',
                'current',
                logging.WARNING,
            )
        if text is None:
            return
        text = f'{checkpoint} and TimmEncoder {self.model_name}: {text}'
        if not self._normalisation_given:
            raise ValueError(text)
        print_log(text, 'current', logging.WARNING)

    def map_pretrained(self, state: StateDict) -> StateDict:
        """Take timm's names; what is not published starts as it is.

        Args:
            state: Weights of timm's model with or without its head, of a release that
                timm can convert, of EfficientNet-PyTorch, or of this class.
        """
        own = self.state_dict()
        fresh = {k: v for k, v in own.items() if k.endswith(low_rank.PARTS)}
        if any(name.startswith('net.') for name in state):
            has_lora = any(name.endswith(low_rank.PARTS) for name in state)
            return state if has_lora else fresh | state
        state = self._in_timms_names(state)
        unused = self._published.keys() - self._needed.keys()
        fresh |= {k: v for k, v in own.items() if k.startswith('pyramid.')}
        return fresh | {f'net.{k}': v for k, v in state.items() if k not in unused}

    def _in_timms_names(self, state: StateDict) -> StateDict:
        fits = all(
            name in state and state[name].shape == shape
            for name, shape in self._needed.items()
        )
        if fits and state.keys() <= self._published.keys():
            return state
        renamed = in_timms_order(state, self._published)
        if renamed is not None:
            return renamed
        return load_by_timm(self.model_name, state, **self.model_args)
