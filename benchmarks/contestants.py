"""The paper's seven models and what a user would take instead, with equal encoders.

Each contestant is a module that maps images (N, 3, H, W) to logits (N, 1, H, W) and
starts from random weights. Peers are built as their documentation shows, with a decoder
of the same kind and width.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.backbones import MixVisionTransformer
from mmseg.models.backbones import ResNet as MMSegResNet
from mmseg.models.decode_heads import SegformerHead
from mmseg.registry import MODELS
from timm.models.coat import CoaT as TimmCoaT
from torch import Tensor, nn

from mmseg_ftu.models.backbones import CoaT, MiT
from mmseg_ftu.models.backbones.coat_variants import resolve_arch
from mmseg_ftu.models.backbones.mit import ARCHS as MIT_ARCHS
from mmseg_ftu.models.decode_heads import DAFormerHead

CONFIGS = Path(__file__).parents[1] / 'configs/ftu'
B2 = MIT_ARCHS['b2']
SEGFORMER_WIDTH = 256  # of the decoder in mmseg's and smp's SegFormer
HEAD = dict(num_classes=2, out_channels=1, threshold=0.5, align_corners=False)


class Network(nn.Module):
    """A backbone and a head; logits are resized to the image."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor) -> Tensor:
        maps = self.backbone(x)
        return resize(self.head(list(maps)), x)


class Logits(nn.Module):
    """A whole network of another library; logits are resized to the image."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        out = self.network(x)
        return resize(getattr(out, 'logits', out), x)


class TimmCoaTMaps(nn.Module):
    """timm's CoaT, fixed to one image size, as a list of maps."""

    def __init__(self, arch: str, size: int) -> None:
        super().__init__()
        self.net = TimmCoaT(
            img_size=size,
            patch_size=4,
            return_interm_layers=True,
            out_features=[f'x{i}_nocls' for i in (1, 2, 3, 4)],
            **resolve_arch(arch),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.net(x).values())


def resize(logits: Tensor, x: Tensor) -> Tensor:
    if logits.shape[2:] == x.shape[2:]:
        return logits
    return F.interpolate(logits, x.shape[2:], mode='bilinear', align_corners=False)


def config_model(name: str) -> Config:
    config = Config.fromfile(CONFIGS / f'{name}.py')
    config.model.backbone.init_cfg = None
    return config.model


def ours(name: str) -> nn.Module:
    """Build the model of a config file."""
    model = config_model(name)
    return Network(MODELS.build(model.backbone), MODELS.build(model.decode_head))


def segformer_ours() -> nn.Module:
    """SegFormer, whose head is a DAFormer head with a 1 x 1 fusion."""
    head = DAFormerHead(
        list(B2.embed_dims),
        embed='mlp',
        embed_channels=SEGFORMER_WIDTH,
        channels=SEGFORMER_WIDTH,
        fusion='conv1x1',
        **HEAD,
    )
    return Network(MiT('b2'), head)


def segformer_mmseg() -> nn.Module:
    backbone = MixVisionTransformer(
        embed_dims=64, num_layers=list(B2.depths), num_heads=list(B2.num_heads)
    )
    head = SegformerHead(
        in_channels=list(B2.embed_dims),
        in_index=[0, 1, 2, 3],
        channels=SEGFORMER_WIDTH,
        norm_cfg=dict(type='BN'),
        **HEAD,
    )
    return Network(backbone, head)


def segformer_transformers() -> nn.Module:
    # here, since mmpretrain cannot be imported beside transformers 5
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        depths=list(B2.depths),
        hidden_sizes=list(B2.embed_dims),
        num_attention_heads=list(B2.num_heads),
        decoder_hidden_size=SEGFORMER_WIDTH,
        num_labels=1,
        drop_path_rate=0.0,
    )
    return Logits(SegformerForSemanticSegmentation(config))


def from_smp(kind: str, encoder: str, **kwargs) -> nn.Module:
    """Build a network of smp; its encoders drop no paths, as those of the others."""
    network = getattr(smp, kind)(encoder, encoder_weights=None, **kwargs)
    for module in network.modules():
        if type(module).__name__ == 'DropPath':
            module.drop_prob = 0.0
    return Logits(network)


def deeplab_smp(encoder: str) -> nn.Module:
    return from_smp('DeepLabV3Plus', encoder, encoder_output_stride=16)


def coat_lite_small(backbone: nn.Module) -> nn.Module:
    cfg = config_model('coat_daformer').decode_head
    cfg.in_channels = list(resolve_arch('lite_small')['embed_dims'])
    return Network(backbone, MODELS.build(cfg))


def mmseg_deeplab(name: str) -> nn.Module:
    """Build mmseg's own head with the arguments of our config."""
    cfg = config_model(name).decode_head
    return MODELS.build(dict(cfg, type='DepthwiseSeparableASPPHead'))


def light_deeplab(name: str) -> nn.Module:
    """Build our model with the lighter decoder."""
    model = config_model(name)
    head = MODELS.build(dict(model.decode_head, light=True))
    return Network(MODELS.build(model.backbone), head)


def resnet_mmseg() -> nn.Module:
    """Build mmseg's own ResNet and head, as its users would."""
    dilated = dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2))
    return Network(MMSegResNet(101, **dilated), mmseg_deeplab('r101_dlv3plus'))


def efficientnet_timm() -> nn.Module:
    backbone = timm.create_model(
        'efficientnet_b5',
        features_only=True,
        out_indices=(1, 2, 3, 4),
        output_stride=16,
    )
    return Network(backbone, mmseg_deeplab('enetb5_dlv3plus'))


def pvtv2_timm() -> nn.Module:
    backbone = timm.create_model('pvt_v2_b2', features_only=True)
    return Network(backbone, MODELS.build(config_model('pvtv2_daformer').decode_head))


# model -> contestant -> builder; ours first
Builder = Callable[[int], nn.Module]
GROUPS: dict[str, dict[str, Builder]] = {
    'MiT-B2 + SegFormer head': {
        'ours': lambda size: segformer_ours(),
        'mmseg': lambda size: segformer_mmseg(),
        'transformers': lambda size: segformer_transformers(),
        'smp': lambda size: from_smp('Segformer', 'mit_b2'),
    },
    # the paper's own two: nobody else has them, so ours alone, for its cost
    'CoaT-Small, 5 scales + DAFormer': {'ours': lambda size: ours('coat_daformer')},
    'MiT-B2 + DAFormer': {'ours': lambda size: ours('mit_daformer')},
    'PVTv2-B2 + DAFormer': {
        'ours': lambda size: ours('pvtv2_daformer'),
        'timm + our head': lambda size: pvtv2_timm(),
    },
    'CoaT-Lite-Small + DAFormer': {
        'ours': lambda size: coat_lite_small(CoaT('lite_small')),
        'timm + our head': lambda size: coat_lite_small(
            TimmCoaTMaps('lite_small', size)
        ),
    },
    'EfficientNet-B5 + U-Net': {
        'ours': lambda size: ours('enetb5_unet'),
        'smp': lambda size: from_smp('Unet', 'tu-efficientnet_b5'),
    },
    'ResNet-101 + U-Net': {
        'ours': lambda size: ours('r101_unet'),
        'smp': lambda size: from_smp('Unet', 'resnet101'),
    },
    'EfficientNet-B5 + DeepLabv3+': {
        'ours': lambda size: ours('enetb5_dlv3plus'),
        'timm + mmseg head': lambda size: efficientnet_timm(),
        'smp, lighter decoder': lambda size: deeplab_smp('tu-efficientnet_b5'),
    },
    'ResNet-101 + DeepLabv3+': {
        'ours': lambda size: ours('r101_dlv3plus'),
        'mmseg': lambda size: resnet_mmseg(),
        'smp, lighter decoder': lambda size: deeplab_smp('resnet101'),
    },
    'ResNet-101 + light DeepLabv3+': {
        'ours': lambda size: light_deeplab('r101_dlv3plus'),
        'smp': lambda size: deeplab_smp('resnet101'),
    },
}


def encoder(model: nn.Module) -> nn.Module:
    """Return the part of a contestant that comes before the decoder.

    Raises:
        ValueError: It is not one of ours, mmseg's, timm's or smp's.
    """
    if isinstance(model, Network):
        return model.backbone
    found = getattr(model.network, 'encoder', None)
    if found is None:
        raise ValueError(f'{type(model.network).__name__}: no encoder to time alone')
    return found


def build_group(name: str, size: int, only: Sequence[str]) -> dict[str, nn.Module]:
    """Build some contestants of a model, each on one seed."""
    init_default_scope('mmseg')
    models = {}
    for contestant, builder in GROUPS[name].items():
        if contestant in only:
            torch.manual_seed(0)
            models[contestant] = builder(size)
    return models
