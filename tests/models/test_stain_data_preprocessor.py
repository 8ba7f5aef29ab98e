"""Stains on the batch's device: as StainNormalize within one grey level."""

import json

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmseg.registry import MODELS, TRANSFORMS
from mmseg.structures import SegDataSample

from mmseg_ftu.stain import VahadaneNormalizer
from mmseg_ftu.stain.policy import NO_TISSUE

STAINS = np.array([[0.65, 0.70, 0.29], [0.27, 0.57, 0.78]])


def section(seed: int, tint: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    amounts = rng.gamma(1.5, 0.35, (64, 64, 2)) * (rng.random((64, 64, 2)) < 0.7)
    return np.round(255 * np.exp(-amounts @ (STAINS**tint))).astype(np.uint8)


@pytest.mark.parametrize('bgr', [True, False])
def test_equals_the_transform(bgr, tmp_path):
    target = tmp_path / 'target.json'
    fitted = VahadaneNormalizer().fit(section(5, tint=1.4))
    target.write_text(json.dumps(fitted.state_dict()))
    preprocessor = MODELS.build(
        dict(
            type='StainDataPreProcessor',
            stain_target=str(target),
            mean=[0, 0, 0],
            std=[1, 1, 1],
            bgr_to_rgb=bgr,
            size_divisor=1,
        )
    )
    order = 'bgr' if bgr else 'rgb'
    transform = TRANSFORMS.build(
        dict(type='StainNormalize', target=str(target), channel_order=order)
    )
    images = [section(1), section(2), np.full((64, 64, 3), 255, np.uint8)]
    if bgr:
        images = [np.ascontiguousarray(image[..., ::-1]) for image in images]
    tensors = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
    before = [tensor.clone() for tensor in tensors]
    samples = [SegDataSample(metainfo=dict(img_id=f'i{i}')) for i in range(3)]
    assert preprocessor(dict(inputs=tensors, data_samples=None))['data_samples'] is None
    done = preprocessor(dict(inputs=tensors, data_samples=samples))
    reasons = [sample.stain_failure for sample in done['data_samples']]
    assert reasons == [None, None, NO_TISSUE]
    out = done['inputs']
    for tensor, copy in zip(tensors, before, strict=True):
        assert torch.equal(tensor, copy)
    for got, image in zip(out, images, strict=True):
        expected = transform(dict(img=image))['img']
        expected = expected[..., ::-1] if bgr else expected
        got = got.permute(1, 2, 0).numpy()
        assert np.abs(got - expected.astype(float)).max() <= 1
    original = images[0][..., ::-1] if bgr else images[0]
    assert np.abs(out[0].permute(1, 2, 0).numpy() - original).mean() > 3


def test_failures_are_counted_in_the_log(tmp_path, caplog):
    target = tmp_path / 'target.json'
    target.write_text(json.dumps(VahadaneNormalizer().fit(section(5)).state_dict()))
    preprocessor = MODELS.build(
        dict(type='StainDataPreProcessor', stain_target=str(target), size_divisor=1)
    )
    white = torch.full((3, 16, 16), 255, dtype=torch.uint8)
    samples = [SegDataSample(metainfo=dict(img_id=f'w{i}')) for i in range(12)]
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        preprocessor(dict(inputs=[white] * 12, data_samples=samples))
    finally:
        logger.removeHandler(caplog.handler)
    lines = [r.message for r in caplog.records if 'StainDataPre' in r.message]
    assert len(lines) == 2
    assert '10 of 10 images could not be fitted' in lines[1]
    assert lines[1].endswith('the last was w9')
