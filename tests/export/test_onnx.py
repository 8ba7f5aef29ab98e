"""ONNX files compute what the model computes, at any size, and say what they are."""

import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from slim_models import CONFIGS, SEVEN, build_slim, slim_config

from mmseg_ftu.cli import main
from mmseg_ftu.export import onnx as export_onnx
from mmseg_ftu.io.own_files import is_own_onnx, require_own

ROOT = Path(__file__).resolve().parents[2]
onnx = pytest.importorskip('onnx', reason='the extra [onnx] is not installed')
onnxruntime = pytest.importorskip('onnxruntime', reason='extra [onnx] not installed')

# odd, not square, one less and one more than multiples of 64 px
OTHER_SHAPES = ((1, 3, 64, 64), (3, 3, 127, 193))
FOUR_SCALES = dict(
    embed_dims=(16, 24, 24, 24), serial_depths=(1, 1, 1, 1), parallel_depth=1
)


def write_inputs(cfg: Config, folder: Path) -> tuple[Path, Path]:
    """Write a config and a checkpoint with weights that give varied output."""
    shapes = (*export_onnx.CHECKED_SHAPES, *OTHER_SHAPES)
    shapes = [(2, 3, *(-(-side // 64) * 64 for side in s[2:])) for s in shapes]
    model = build_slim(cfg, [export_onnx.example_image(s) / 60 - 2 for s in shapes])
    cfg.dump(folder / 'config.py')
    meta = dict(dataset_meta=dict(stain='vahadane-1 resize-first'))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'model.pth')
    return folder / 'config.py', folder / 'model.pth'


def check(out: Path, config: Path, checkpoint: Path) -> None:
    """Compare a file with PyTorch at sizes that the export itself did not try."""
    session = onnxruntime.InferenceSession(str(out))
    model = export_onnx.load_for_export(Config.fromfile(config), str(checkpoint))
    for shape in OTHER_SHAPES:
        image = export_onnx.example_image(shape)
        with torch.inference_mode():
            expected = model(image).numpy()
        (got,) = session.run(None, {'image': image.numpy()})
        assert got.shape == (shape[0], 1, *shape[2:])
        assert expected.std() > 0.01
        np.testing.assert_allclose(got, expected, atol=1e-4)
    assert [p.name for p in out.parent.iterdir()] == ['model.onnx']


def four_scales():
    """Return the config of a slim CoaT as published: four scales, parallel blocks."""
    cfg = slim_config('coat_daformer')
    cfg.model.backbone.arch = FOUR_SCALES
    for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
        head.in_channels = list(FOUR_SCALES['embed_dims'])
    return cfg


@pytest.mark.slow
@pytest.mark.parametrize('name', [*SEVEN, 'coat_with_four_scales'])
def test_each_model_equals_pytorch(name, tmp_path):
    cfg = slim_config(name) if name in SEVEN else four_scales()
    config, checkpoint = write_inputs(cfg, tmp_path)
    out = tmp_path / 'out' / 'model.onnx'
    difference = export_onnx.export_onnx(str(config), str(checkpoint), str(out))
    assert difference < 1e-4
    check(out, config, checkpoint)


def timm_config(model_name: str, **model_args) -> Config:
    """Return the config of a slim U-Net on an encoder of timm."""
    cfg = Config.fromfile(CONFIGS / 'variants/efficientnet_lite0_unet_switch.py')
    cfg.model.decode_head.decoder_channels = [32, 16, 16, 8, 8]
    cfg.model.backbone.init_cfg = None
    if model_args:
        cfg.model.backbone.update(
            model_name=model_name, model_args=model_args, pyramid_channels=32
        )
        cfg.model.data_preprocessor.update(
            mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]
        )
        for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
            head.in_channels = [32] * 4
    return cfg


VIT = dict(embed_dim=48, depth=4, num_heads=4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'args'),
    [('tf_efficientnet_lite0', {}), ('vit_small_patch14_reg4_dinov2', VIT)],
)
def test_encoders_of_timm_equal_pytorch(name, args, tmp_path):
    config, checkpoint = write_inputs(timm_config(name, **args), tmp_path)
    out = tmp_path / 'out' / 'model.onnx'
    assert export_onnx.export_onnx(str(config), str(checkpoint), str(out)) < 1e-4
    check(out, config, checkpoint)


@pytest.mark.slow
def test_an_encoder_that_is_captured_for_one_size_is_refused(tmp_path):
    cfg = timm_config('vit_small_patch16_dinov3', **VIT)
    config, checkpoint = write_inputs(cfg, tmp_path)
    out = tmp_path / 'model.onnx'
    with pytest.raises(ValueError, match='does not run on an image of shape'):
        export_onnx.export_onnx(str(config), str(checkpoint), str(out))
    assert not out.exists()


@pytest.mark.slow
def test_the_quickstart_by_command_line_and_metadata(tmp_path):
    cfg = Config.fromfile(CONFIGS / 'tissue/coat_slim_daformer_switch.py')
    config, checkpoint = write_inputs(cfg, tmp_path)
    out = tmp_path / 'out' / 'model.onnx'
    command = [sys.executable, ROOT / 'tools/export_onnx.py', config, checkpoint, out]
    done = subprocess.run(
        [*command, '--cfg-options', 'img_scale=(512,512)'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'largest difference to PyTorch' in done.stdout + done.stderr
    check(out, config, checkpoint)
    props = {p.key: p.value for p in onnx.load(out).metadata_props}
    assert props['stain'] == 'vahadane-1 resize-first'
    assert json.loads(props['training_size']) == [512, 512]
    assert json.loads(props['threshold']) == 0.5
    assert props['input'].startswith('RGB')
    assert props['config'] == 'config.py'
    require_own(out, is_own_onnx)  # so the same command may be repeated


def test_an_archive_that_holds_a_graph_is_none(tmp_path):
    content = b'\x08\x08\x12\x10' + b'\x08producer\x12\x0fmmseg_ftu 0.1.0'
    assert is_own_onnx(content)
    with ZipFile(tmp_path / 'package.zip', 'w') as archive:
        archive.writestr('weights.onnx', content)
    assert not is_own_onnx((tmp_path / 'package.zip').read_bytes())


@pytest.mark.parametrize(
    ('out', 'message'),
    [('a.zip', 'ends with .onnx'), ('file/a.onnx', 'cannot be used')],
)
def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path, out, message):
    (tmp_path / 'file').touch()
    with pytest.raises(ValueError, match=message):
        export_onnx.export_onnx('none.py', 'none.pth', str(tmp_path / out))


def test_a_model_that_predicts_as_the_segmentor_does(tmp_path):
    # The wrapper against the model's own predict: preprocessing and resizing included.
    config, checkpoint = write_inputs(slim_config('mit_daformer'), tmp_path)
    cfg = Config.fromfile(config)
    wrapper = export_onnx.load_for_export(cfg, str(checkpoint))
    segmentor = MODELS.build(cfg.model).eval()
    segmentor.load_state_dict(torch.load(checkpoint)['state_dict'])
    image = export_onnx.example_image((1, 3, 61, 100))
    bgr = image[0].flip(0).to(torch.uint8)
    data = segmentor.data_preprocessor(dict(inputs=[bgr], data_samples=None))
    with torch.inference_mode():
        expected = segmentor.predict(data['inputs'])[0].seg_logits.data
        torch.testing.assert_close(wrapper(image)[0], expected)


@pytest.mark.slow
def test_a_graph_that_differs_is_not_written(tmp_path, monkeypatch):
    config, checkpoint = write_inputs(slim_config('mit_daformer'), tmp_path)
    monkeypatch.setattr(export_onnx, 'largest_difference', lambda *_: 0.01)
    monkeypatch.setattr(torch.onnx, 'export', fake_export)
    out = tmp_path / 'model.onnx'
    with pytest.raises(ValueError, match=r'differs from PyTorch by 1\.0e-02'):
        export_onnx.export_onnx(str(config), str(checkpoint), str(out))
    assert not out.exists()


def fake_export(*_, **__):
    class Program:
        model_proto = onnx.ModelProto()

    return Program


@pytest.mark.parametrize('place', [['out.onnx'], ['--out', 'out.onnx']])
def test_the_file_is_named_in_either_way(place, monkeypatch):
    given = {}
    monkeypatch.setattr(
        export_onnx, 'export_onnx', lambda **options: given.update(options)
    )
    assert main(['export', 'onnx', 'config.py', 'model.pth', *place]) == 0
    assert given['out'] == 'out.onnx'
    assert {*given} == {'config', 'checkpoint', 'out', 'cfg_options'}


def test_mistakes(tmp_path):
    config, checkpoint = write_inputs(slim_config('mit_daformer'), tmp_path)
    torch.save(dict(state_dict={'other.weight': torch.ones(1)}), tmp_path / 'o.pth')
    cfg = Config.fromfile(config)
    with pytest.raises(ValueError, match=r'o\.pth does not belong to this config'):
        export_onnx.load_for_export(cfg, str(tmp_path / 'o.pth'))
    cfg.model.data_preprocessor.bgr_to_rgb = False
    with pytest.raises(ValueError, match='bgr_to_rgb is not set'):
        export_onnx.load_for_export(cfg, str(checkpoint))
    cfg = Config.fromfile(config)
    cfg.model.type = 'EncoderDecoder'
    with pytest.raises(ValueError, match='only BinaryEncoderDecoder'):
        export_onnx.load_for_export(cfg, str(checkpoint))


@pytest.mark.slow
def test_a_graph_that_does_not_run_at_a_size_is_named(tmp_path):
    config, checkpoint = write_inputs(slim_config('mit_daformer'), tmp_path)
    model = export_onnx.load_for_export(Config.fromfile(config), str(checkpoint))
    kind, shape = onnx.TensorProto.FLOAT, [2, 3, 'height', 'width']
    given = onnx.helper.make_tensor_value_info('image', kind, shape)
    answer = onnx.helper.make_tensor_value_info('probability', kind, shape)
    node = onnx.helper.make_node('Sigmoid', ['image'], ['probability'])
    graph = onnx.helper.make_graph([node], 'sigmoid', [given], [answer])
    opset = [onnx.helper.make_opsetid('', export_onnx.OPSET)]
    proto = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    with pytest.raises(ValueError, match=r'not run on an image of shape \(1, 3, 256'):
        export_onnx.largest_difference(model, proto.SerializeToString())
