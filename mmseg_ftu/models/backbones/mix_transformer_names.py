"""Names of MiT's and PVTv2's tensors in published files, and ours.

Sources: the official releases of SegFormer and PVTv2 (segmentation_models_pytorch keeps
their names), timm's PVTv2, whose stages are named as ours, and mmseg's MiT.
"""

import re

from mmseg_ftu.models.backbones.weight_files import StateDict

# Tried in this order on each name.
RENAMES = (
    (r'^patch_embed(\d)\.', lambda m: f'stages.{int(m[1]) - 1}.patch_embed.'),
    (r'^block(\d)\.', lambda m: f'stages.{int(m[1]) - 1}.blocks.'),
    (r'^norm(\d)\.', lambda m: f'stages.{int(m[1]) - 1}.norm.'),
    (r'\.dwconv\.dwconv\.', '.dwconv.'),
    (r'^patch_embed\.', 'stages.0.patch_embed.'),
    (r'^(stages\.\d)\.downsample\.', r'\1.patch_embed.'),
    (r'^layers\.(\d)\.0\.projection\.', r'stages.\1.patch_embed.proj.'),
    (r'^layers\.(\d)\.0\.norm\.', r'stages.\1.patch_embed.norm.'),
    (r'^layers\.(\d)\.1\.', r'stages.\1.blocks.'),
    (r'^layers\.(\d)\.2\.', r'stages.\1.norm.'),
    (r'\.attn\.attn\.out_proj\.', '.attn.proj.'),
    (r'\.ffn\.layers\.0\.', '.mlp.fc1.'),
    (r'\.ffn\.layers\.1\.', '.mlp.dwconv.'),
    (r'\.ffn\.layers\.4\.', '.mlp.fc2.'),
)


def rename(state: StateDict) -> StateDict:
    """Return published weights under the names of ``MixTransformer``.

    Args:
        state: Weights by name; those of a classification head are dropped. Queries,
            keys and values in one tensor (mmseg) are split into ``q`` and ``kv``, and
            1 x 1 convolutions (mmseg) become linear layers.
    """
    renamed = {}
    for name, value in state.items():
        if name.startswith('head.'):
            continue
        for pattern, replacement in RENAMES:
            name = re.sub(pattern, replacement, name)
        if re.search(r'mlp\.fc[12]\.weight$', name) and value.ndim == 4:
            value = value.flatten(1)
        if '.attn.attn.in_proj_' in name:
            stem, kind = name.split('.attn.in_proj_')
            width = len(value) // 3
            renamed[f'{stem}.q.{kind}'] = value[:width]
            renamed[f'{stem}.kv.{kind}'] = value[width:]
        else:
            renamed[name] = value
    return renamed
