"""Two-class models of plain mmseg, trained elsewhere: a SegFormer made here."""

import json
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import init_default_scope
from mmseg.apis import inference_model
from mmseg.registry import MODELS
from quick_and_slow import mostly_slow
from small_models import noise

from mmseg_ftu.cli import run_command

IMAGE = noise(128, 192)
CONFIG = """
crop_size = (64, 64)
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=crop_size,
    ),
    pretrained=None,
    backbone=dict(
        type='MixVisionTransformer',
        embed_dims=8,
        num_stages=4,
        num_layers=[1, 1, 1, 1],
        num_heads=[1, 2, 5, 8],
        init_cfg=dict(type='Pretrained', checkpoint='https://nowhere.invalid/b5.pth'),
    ),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[8, 16, 40, 64],
        in_index=[0, 1, 2, 3],
        channels=16,
        num_classes=2,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=[
            dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            dict(type='DiceLoss', loss_name='loss_dice', loss_weight=3.0),
        ],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode={mode!r}, crop_size=crop_size, stride=(48, 48)),
)
default_scope = 'mmseg'
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(
    dataset=dict(
        type='TheirDataset', data_root='/home/them/data', pipeline=test_pipeline
    )
)
"""


def write_model(folder: Path, mode: str) -> tuple[Path, Path]:
    """Write config and checkpoint as the training of another project leaves them."""
    config, checkpoint = folder / f'{mode}.py', folder / f'{mode}.pth'
    config.write_text(CONFIG.replace('{mode!r}', repr(mode)))
    model = build(config)
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    background, foreground = inference_model(model, IMAGE).seg_logits.data
    with torch.no_grad():  # so that half of the image is foreground
        model.decode_head.conv_seg.bias[0] += (foreground - background).median()
    buffer = HistoryBuffer([0.5, 0.4], [1, 1])
    torch.save(
        dict(
            meta=dict(
                epoch=0,
                iter=40000,
                mmengine_version='0.8.4',
                dataset_meta=dict(classes=('background', 'glomerulus'), palette=None),
            ),
            state_dict=model.state_dict(),
            message_hub=dict(log_scalars={'train/loss': buffer}),
            optimizer={},
        ),
        checkpoint,
    )
    return config, checkpoint


def build(config: Path):
    init_default_scope('mmseg')
    cfg = Config.fromfile(config, import_custom_modules=False)
    cfg.model.backbone.init_cfg = None
    cfg.model.decode_head.norm_cfg.type = 'BN'
    model = MODELS.build(cfg.model)
    model.cfg = cfg
    return model.eval()


@pytest.mark.parametrize('mode', mostly_slow(['whole', 'slide'], ['whole']))
def test_a_segformer_of_plain_mmseg(mode, tmp_path, capsys):
    config, checkpoint = write_model(tmp_path, mode)
    (tmp_path / 'images').mkdir()
    cv2.imwrite(str(tmp_path / 'images' / 'a.png'), IMAGE)
    out = tmp_path / 'out'
    words = [str(config), str(checkpoint), '--input', str(tmp_path / 'images')]
    words += ['--output', str(out), '--threshold', '0.5', '--views', 'identity']
    assert run_command('predict', words) == 0, capsys.readouterr().err
    mask = cv2.imread(str(out / 'masks' / 'a.png'), -1) > 0
    model = build(config)
    model.load_state_dict(torch.load(checkpoint, weights_only=False)['state_dict'])
    theirs = inference_model(model, IMAGE).pred_sem_seg.data[0].numpy() == 1
    assert 0.3 < theirs.mean() < 0.7
    assert (mask == theirs).mean() > 0.999
    before = (out / 'masks' / 'a.png').stat().st_mtime_ns
    assert run_command('predict', words) == 0
    assert (out / 'masks' / 'a.png').stat().st_mtime_ns == before
    said = json.loads((out / 'prediction.json').read_text())
    assert said['views'] == ['identity']


def test_a_real_slide(tmp_path, shared_data):
    config, checkpoint = write_model(tmp_path, 'whole')
    slide = shared_data('stain_images') / 'cmu_small_region.svs'
    words = [str(config), str(checkpoint), '--input', str(slide), '--output']
    words += [str(tmp_path / 'out'), '--threshold', '0.5', '--views', 'identity']
    words += ['--save', 'masks', 'geojson', '--mode', 'tiles', '--tile', '256']
    assert run_command('predict', [*words, '--training-pixel-size', '4']) == 0
    mask = cv2.imread(str(tmp_path / 'out' / 'masks' / 'cmu_small_region.png'), -1)
    assert mask.shape == (2967, 2220)
    assert 0 < (mask > 0).mean() < 1
