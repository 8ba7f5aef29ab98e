"""Base class of our backbones: load published weights completely or not at all.

mmengine's own ``Pretrained`` initialiser loads with ``strict=False``: a wrong file
leaves a warning in the log, and training starts from random weights. Here the names
are mapped by the backbone (``map_pretrained``), and after that a missing name, an
unknown name or another shape is a ``ValueError``. Files: see ``weight_files.py``.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from mmengine.logging import print_log
from mmengine.model import BaseModule, initialize
from timm.layers import trunc_normal_
from torch import nn

from mmseg_ftu.io.listing import some_of
from mmseg_ftu.models.backbones.weight_files import (
    StateDict,
    find_checkpoint,
    read_state_dict,
)

INIT_CFG_KEYS = ('type', 'checkpoint', 'prefix')


class PretrainedBackbone(BaseModule):
    """Initialise a backbone at random, then from a published file if one is given.

    ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix=...)``; ``prefix`` names
    the sub-module to take from the file and is seldom needed, as ``module.`` and
    ``backbone.`` are recognised. Further entries of a list are mmengine's
    initialisers and are applied before.
    """

    is_init: bool  # mmengine's

    def init_weights(self) -> None:
        """Initialise once; mmengine calls this before ``load_from`` or resume.

        Raises:
            FileNotFoundError: The weights are neither here nor can be downloaded.
            ValueError: ``init_cfg`` or the file does not fit this backbone.
        """
        name = type(self).__name__
        if self.is_init:
            print_log(f'{name} is initialised already', 'current', logging.WARNING)
            return
        self.init_random()
        cfgs = self.init_cfg or []
        pretrained = None
        for cfg in [cfgs] if isinstance(cfgs, dict) else cfgs:
            if cfg['type'] == 'Pretrained':
                pretrained = cfg
            else:
                initialize(self, cfg)
        if pretrained is None:
            print_log(
                f'{name}: no pretrained weights, random initialisation', 'current'
            )
        else:
            self._init_pretrained(pretrained)
        self.is_init = True

    def init_random(self) -> None:
        """Draw linear layers and class tokens as ViT does: truncated normal, 0.02."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for name, parameter in self.named_parameters():
            if name.startswith('cls_token'):
                trunc_normal_(parameter, std=0.02)

    def check_source(self, checkpoint: str, path: Path) -> None:
        """Raise ValueError if what is known of a file contradicts this backbone."""

    def map_pretrained(self, state: StateDict) -> StateDict:
        """Return ``state`` under this backbone's names, without unused entries."""
        return state

    def describe_pretrained(self, state: StateDict) -> str:
        """Say in a sentence what ``state`` seems to be, for error messages."""
        return f'The file holds {some_of(state)}.'

    def _init_pretrained(self, cfg: Mapping[str, str]) -> None:
        unknown = sorted(set(cfg) - set(INIT_CFG_KEYS))
        if unknown or 'checkpoint' not in cfg:
            raise ValueError(
                f'init_cfg of {type(self).__name__}: expected the keys {INIT_CFG_KEYS} '
                f'with a checkpoint, got {dict(cfg)}'
            )
        path = find_checkpoint(cfg['checkpoint'])
        self.check_source(cfg['checkpoint'], path)
        state = read_state_dict(path, cfg.get('prefix'))
        load_complete(self, state, cfg['checkpoint'])
        print_log(
            f'{type(self).__name__}: all weights loaded from {cfg["checkpoint"]}',
            'current',
        )


def load_complete(
    backbone: PretrainedBackbone, state: StateDict, source: str | Path
) -> None:
    """Copy ``state`` into ``backbone`` if it fits completely.

    A tensor that the backbone holds under several names (CoaT shares its position
    encodings) may be given under any of them: safetensors files keep only one.

    Args:
        backbone: Module to load into; untouched when an error is raised.
        state: Weights under the names of the file.
        source: Origin of ``state``, for messages.

    Raises:
        ValueError: Missing or unknown names, shapes that differ, or values that are not
            finite.
    """
    mapped = backbone.map_pretrained(state)
    own = backbone.state_dict(keep_vars=True)
    given = {id(own[name]) for name in mapped if name in own}
    missing = [name for name, tensor in own.items() if id(tensor) not in given]
    unknown = [name for name in mapped if name not in own]
    shapes = [
        f'{name}: file {tuple(mapped[name].shape)}, model {tuple(tensor.shape)}'
        for name, tensor in own.items()
        if name in mapped and mapped[name].shape != tensor.shape
    ]
    broken = [
        name
        for name, tensor in mapped.items()
        if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    problems = [
        f'{what}: {some_of(names)}'
        for what, names in (
            ('other shape', shapes),
            ('missing in the file', missing),
            ('unknown to the model', unknown),
            ('not finite', broken),
        )
        if names
    ]
    if problems:
        raise ValueError(
            f'the weights of {str(source)!r} do not fit this '
            f'{type(backbone).__name__}. '
            f'{"; ".join(problems)}. {backbone.describe_pretrained(state)}'
        )
    backbone.load_state_dict(mapped, strict=False)
