"""UNetHead against segmentation_models_pytorch, on any pyramid, with clear errors."""

import pytest
import torch
from mmseg.registry import MODELS
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.base.initialization import initialize_head
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

from mmseg_ftu.models.decode_heads import UNetHead

HEAD = dict(num_classes=2, out_channels=1, threshold=0.5, dropout_ratio=0)
CHANNELS = [8, 12, 16, 20]


def pyramid(size=(50, 70), channels=CHANNELS, first=4):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, c, *(-(-s // (first * 2**i)) for s in size), generator=generator)
        for i, c in enumerate(channels)
    ]


def test_equals_smps_decoder():
    channels, blocks = [4, 8, 12, 16, 20], [16, 12, 10, 8]
    maps = pyramid((64, 96), channels, first=1)
    torch.manual_seed(0)
    theirs = UnetDecoder(channels, blocks, n_blocks=4)
    ours = UNetHead(channels[1:], decoder_channels=blocks, **HEAD)
    own = dict(zip(ours.blocks.state_dict(), theirs.blocks.state_dict(), strict=True))
    weights = theirs.blocks.state_dict()
    ours.blocks.load_state_dict({name: weights[other] for name, other in own.items()})
    ours.conv_seg = torch.nn.Identity()
    torch.testing.assert_close(ours.train()(maps[1:]), theirs.train()(maps))


def test_first_weights_of_the_last_layer_are_those_of_smp():
    theirs = SegmentationHead(64, 2, kernel_size=1)
    initialize_head(theirs)
    ours = UNetHead(CHANNELS, decoder_channels=[64] * 4, **HEAD | dict(out_channels=2))
    ours.init_weights()
    spread = float(theirs[0].weight.std())
    assert float(ours.conv_seg.weight.std()) == pytest.approx(spread, rel=0.2)
    assert ours.conv_seg.bias.tolist() == theirs[0].bias.tolist() == [0, 0]


@pytest.mark.parametrize(
    ('blocks', 'size'),
    [((16, 12, 8), (13, 18)), ((16, 12, 8, 8), (26, 36)), ((9, 8, 7, 6, 5), (52, 72))],
)
def test_blocks_beyond_the_skips_double_the_size(blocks, size):
    head = MODELS.build(
        dict(type='UNetHead', in_channels=CHANNELS, decoder_channels=blocks, **HEAD)
    )
    assert head(pyramid()).shape == (2, 1, *size)


def test_in_index_selects_maps():
    head = UNetHead([8, 20], in_index=[0, 3], decoder_channels=[6], **HEAD)
    assert head(pyramid()).shape == (2, 1, 13, 18)


def test_every_parameter_gets_a_gradient():
    head = UNetHead(CHANNELS, **HEAD)
    head(pyramid()).square().mean().backward()
    assert [n for n, p in head.named_parameters() if p.grad is None] == []


def test_mistakes():
    with pytest.raises(ValueError, match='4 maps need at least 3 blocks'):
        UNetHead(CHANNELS, decoder_channels=[8, 8], **HEAD)
    with pytest.raises(ValueError, match='needs threshold'):
        UNetHead(CHANNELS, num_classes=2, out_channels=1)


def test_weights_lie_in_memory_as_maps_do():
    """Else each step would turn weights and gradients: .92 of the speed."""
    head = UNetHead([8, 16], decoder_channels=[16, 8], **HEAD)
    weights = [p for p in head.parameters() if p.dim() == 4]
    assert len(weights) == 5
    for weight in weights:
        assert weight.is_contiguous(memory_format=torch.channels_last)
