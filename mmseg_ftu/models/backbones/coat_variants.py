"""The numbers of CoaT's variants, and how to recognise them in a weight file.

Source: src/models/coat.py of https://github.com/mlpc-ucsd/CoaT; ``small_plus1`` is
explained in ``coat.py``.
"""

import re
from collections.abc import Mapping
from typing import Any

from mmseg_ftu.models.backbones.coat_blocks import NUM_HEADS
from mmseg_ftu.models.backbones.weight_files import StateDict

ARCH_KEYS = ('embed_dims', 'serial_depths', 'mlp_ratios', 'parallel_depth')
ARCHS = {
    'tiny': ((152, 152, 152, 152), (2, 2, 2, 2), (4, 4, 4, 4), 6),
    'mini': ((152, 216, 216, 216), (2, 2, 2, 2), (4, 4, 4, 4), 6),
    'small': ((152, 320, 320, 320), (2, 2, 2, 2), (4, 4, 4, 4), 6),
    'small_plus1': ((152, 320, 320, 320, 320), (2, 2, 2, 2, 2), (4, 4, 4, 4, 4), 6),
    'lite_tiny': ((64, 128, 256, 320), (2, 2, 2, 2), (8, 8, 4, 4), 0),
    'lite_mini': ((64, 128, 320, 512), (2, 2, 2, 2), (8, 8, 4, 4), 0),
    'lite_small': ((64, 128, 320, 512), (3, 4, 6, 3), (8, 8, 4, 4), 0),
    'lite_medium': ((128, 256, 320, 512), (3, 6, 10, 8), (4, 4, 4, 4), 0),
}
# In files of the official release and of timm, but of no use for maps.
UNUSED = ('norm1.', 'norm2.', 'norm3.', 'norm4.', 'aggregate.', 'head.')

FIFTH_SCALE = re.compile(
    r'^((?:parallel_blocks\.\d+\.)?'
    r'(?:patch_embed|cls_token|cpe|crpe|serial_blocks|norm1|norm2|factoratt_crpe|mlp))'
    r'5(?=\.|$)'
)


def resolve_arch(arch: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return the complete numbers of a variant.

    Args:
        arch: Variant, by name or numbers, as :class:`CoaT` takes it.

    Raises:
        ValueError: Unknown name or key, or numbers that do not fit together.
    """
    if isinstance(arch, str) and arch in ARCHS:
        return dict(zip(ARCH_KEYS, ARCHS[arch], strict=True))
    needed = set(ARCH_KEYS[:2])
    if isinstance(arch, str) or not needed <= set(arch) <= set(ARCH_KEYS):
        raise ValueError(
            f'CoaT arch={arch!r}: expected one of {", ".join(ARCHS)}, or a dict with '
            f'the keys {", ".join(ARCH_KEYS)} (the first two are required)'
        )
    dims = tuple(arch['embed_dims'])
    depths = tuple(arch['serial_depths'])
    ratios = tuple(arch.get('mlp_ratios', (4,) * len(dims)))
    parallel_depth = arch.get('parallel_depth', 0)
    if not 1 <= len(dims) == len(depths) == len(ratios):
        problem = 'one width, depth and ratio per scale'
    elif any(dim % NUM_HEADS for dim in dims):
        problem = f'widths that are multiples of {NUM_HEADS}'
    elif parallel_depth and (len({*dims[1:]}) != 1 or len({*ratios[1:]}) != 1):
        problem = 'with parallel blocks one width and ratio from the second scale on'
    else:
        return dict(zip(ARCH_KEYS, (dims, depths, ratios, parallel_depth), strict=True))
    raise ValueError(f'CoaT arch={arch!r}: expected {problem}')


def fourth_scale_name(name: str) -> str:
    """Return the name of the fourth scale's tensor for one of the fifth scale.

    Other names are returned as they are.
    """
    return FIFTH_SCALE.sub(r'\g<1>4', name)


def read_arch(state: StateDict) -> dict[str, Any]:
    """Return the numbers of the variant whose names and shapes ``state`` has."""
    dims: list[int] = []
    depths: list[int] = []
    ratios: list[float] = []
    while f'patch_embed{len(dims) + 1}.proj.weight' in state:
        k = len(dims) + 1
        dims.append(len(state[f'patch_embed{k}.proj.weight']))
        blocks = [n for n in state if re.match(rf'serial_blocks{k}\.\d+\.mlp.fc1.w', n)]
        depths.append(len(blocks))
        ratios.extend(len(state[name]) / dims[-1] for name in blocks[:1])
    parallel = [n for n in state if re.match(r'parallel_blocks\.\d+\.norm12.w', n)]
    numbers = (tuple(dims), tuple(depths), tuple(ratios), len(parallel))
    return dict(zip(ARCH_KEYS, numbers, strict=True))
