"""ONNX files compute what the model computes, at any size, and say what they are."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_ftu import onnx_export
from mmseg_ftu.preparation.own_files import is_own_onnx, require_own

ROOT = Path(__file__).resolve().parents[1]
onnx = pytest.importorskip('onnx', reason='the extra [onnx] is not installed')
onnxruntime = pytest.importorskip('onnxruntime', reason='extra [onnx] not installed')

OTHER_SHAPES = ((1, 3, 64, 64), (3, 3, 129, 190))
# Slim versions of the seven; the operators are those of the full ones.
SLIM = dict(
    embed_dims=(16, 32, 40, 64),
    depths=(1, 1, 1, 1),
    num_heads=(1, 2, 5, 8),
    mlp_ratios=(2, 2, 2, 2),
)
COAT = dict(embed_dims=(16, *(24,) * 4), serial_depths=(1,) * 5, parallel_depth=1)
OVERRIDES = {
    'coat_daformer': (dict(arch=COAT), COAT['embed_dims']),
    'pvtv2_daformer': (dict(arch=SLIM), SLIM['embed_dims']),
    'mit_daformer': (dict(arch=SLIM), SLIM['embed_dims']),
    'enetb5_unet': (dict(arch='b0'), (24, 40, 112, 320)),
    'r101_unet': (dict(depth=50), (256, 512, 1024, 2048)),
    'enetb5_dlv3plus': (dict(arch='b0'), (24, 40, 112, 320)),
    'r101_dlv3plus': (dict(depth=50), (256, 512, 1024, 2048)),
}


def write_inputs(name: str, folder: Path) -> tuple[Path, Path]:
    """Write a slim config and a checkpoint with weights that give varied output."""
    cfg = Config.fromfile(ROOT / f'configs/ftu/{name}_aux.py')
    backbone, channels = OVERRIDES[name]
    cfg.model.backbone.update(backbone, init_cfg=None)
    head = cfg.model.decode_head
    if 'dlv3plus' in name:
        head.in_channels, head.c1_in_channels = channels[-1], channels[0]
    else:
        head.in_channels = list(channels)
    cfg.model.auxiliary_head.in_channels = list(channels)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        model.decode_head.conv_seg.weight.normal_()
        # The norms' statistics: without them a deep random network amplifies rounding.
        shapes = (*onnx_export.CHECKED_SHAPES, *OTHER_SHAPES)
        images = [onnx_export.example_image((2, *s[1:])) / 60 - 2 for s in shapes]
        for x in images:
            model.decode_head(model.backbone(x))
        model.eval()
        largest = max(model.decode_head(model.backbone(x)).std() for x in images)
        model.decode_head.conv_seg.weight /= 2 * largest
    cfg.dump(folder / 'config.py')
    meta = dict(dataset_meta=dict(stain='vahadane-1 resize-first'))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'model.pth')
    return folder / 'config.py', folder / 'model.pth'


@pytest.mark.slow
@pytest.mark.parametrize('name', list(OVERRIDES))
def test_each_of_the_seven_equals_pytorch(name, tmp_path):
    config, checkpoint = write_inputs(name, tmp_path)
    out = tmp_path / 'out' / 'model.onnx'
    difference = onnx_export.export_onnx(str(config), str(checkpoint), str(out))
    assert difference < 1e-4
    session = onnxruntime.InferenceSession(str(out))
    model = onnx_export.load_model(Config.fromfile(config), str(checkpoint))
    for shape in OTHER_SHAPES:
        image = onnx_export.example_image(shape)
        with torch.inference_mode():
            expected = model(image).numpy()
        (got,) = session.run(None, {'image': image.numpy()})
        assert got.shape == (shape[0], 1, *shape[2:])
        assert expected.std() > 0.01
        np.testing.assert_allclose(got, expected, atol=1e-4)
    assert sorted(p.name for p in out.parent.iterdir()) == ['model.onnx']


@pytest.mark.slow
def test_command_line_and_metadata(tmp_path):
    config, checkpoint = write_inputs('mit_daformer', tmp_path)
    out = tmp_path / 'model.onnx'
    command = [sys.executable, ROOT / 'tools/export_onnx.py', config, checkpoint, out]
    done = subprocess.run(
        [*command, '--cfg-options', 'img_scale=(512,512)'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'largest difference to PyTorch' in done.stdout + done.stderr
    props = {p.key: p.value for p in onnx.load(out).metadata_props}
    assert props['stain'] == 'vahadane-1 resize-first'
    assert json.loads(props['training_size']) == [512, 512]
    assert json.loads(props['threshold']) == 0.5
    assert props['input'].startswith('RGB')
    assert props['config'] == 'config.py'
    require_own(out, is_own_onnx)  # so the same command may be repeated


def test_a_model_that_predicts_as_the_segmentor_does(tmp_path):
    # The wrapper against the model's own predict: preprocessing and resizing included.
    config, checkpoint = write_inputs('mit_daformer', tmp_path)
    cfg = Config.fromfile(config)
    wrapper = onnx_export.load_model(cfg, str(checkpoint))
    segmentor = MODELS.build(cfg.model).eval()
    segmentor.load_state_dict(torch.load(checkpoint)['state_dict'])
    image = onnx_export.example_image((1, 3, 96, 100))
    bgr = image[0].flip(0).to(torch.uint8)
    data = segmentor.data_preprocessor(dict(inputs=[bgr], data_samples=None))
    with torch.inference_mode():
        expected = segmentor.predict(data['inputs'])[0].seg_logits.data
        torch.testing.assert_close(wrapper(image)[0], expected)


def test_a_graph_that_differs_is_not_written(tmp_path, monkeypatch):
    config, checkpoint = write_inputs('mit_daformer', tmp_path)
    monkeypatch.setattr(onnx_export, 'compare', lambda *_: 0.01)
    monkeypatch.setattr(torch.onnx, 'export', fake_export)
    out = tmp_path / 'model.onnx'
    with pytest.raises(ValueError, match=r'differs from PyTorch by 1\.0e-02'):
        onnx_export.export_onnx(str(config), str(checkpoint), str(out))
    assert not out.exists()


def fake_export(*_, **__):
    class Program:
        model_proto = onnx.ModelProto()

    return Program


def test_mistakes(tmp_path):
    config, checkpoint = write_inputs('mit_daformer', tmp_path)
    torch.save(dict(state_dict={'other.weight': torch.ones(1)}), tmp_path / 'o.pth')
    cfg = Config.fromfile(config)
    with pytest.raises(ValueError, match=r'o\.pth does not belong to this config'):
        onnx_export.load_model(cfg, str(tmp_path / 'o.pth'))
    cfg.model.data_preprocessor.bgr_to_rgb = False
    with pytest.raises(ValueError, match='bgr_to_rgb is not set'):
        onnx_export.load_model(cfg, str(checkpoint))
    cfg = Config.fromfile(config)
    cfg.model.type = 'EncoderDecoder'
    with pytest.raises(ValueError, match='only BinaryEncoderDecoder'):
        onnx_export.load_model(cfg, str(checkpoint))
