"""One-channel segmentation: no double sigmoid, merged views, exact validation loss."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import METRICS, MODELS
from mmseg.structures import SegDataSample
from tiny_run import Squares, tiny_config

from mmseg_ftu.models.binary_segmentor import restore


def build_model(tmp_path, **overrides):
    cfg = tiny_config(tmp_path, **overrides).model
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    return model.eval()


def set_constant(model, probability):
    """Make the model say the same probability everywhere."""
    head = model.decode_head.conv_seg
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.constant_(head.bias, torch.logit(torch.tensor(probability)).item())


def views_of(image, sample):
    """Return the batch of a TTA loader: identity, horizontal and vertical flip."""
    inputs, samples = [], []
    for direction in (None, 'horizontal', 'vertical'):
        view = copy.deepcopy(sample)
        view.set_metainfo(dict(flip=direction is not None, flip_direction=direction))
        dims = {None: [], 'horizontal': [2], 'vertical': [1]}[direction]
        inputs.append([image.flip(dims)])
        samples.append([view])
    return dict(inputs=inputs, data_samples=samples)


def tta_of(model):
    return MODELS.build(dict(type='BinarySegTTAModel', module=model)).eval()


def test_constant_low_probability_stays_background_under_tta(tmp_path):
    model = build_model(tmp_path)
    set_constant(model, 0.018)
    item = Squares()[0]
    tta = tta_of(model)
    result = tta.test_step(views_of(item['inputs'], item['data_samples']))[0]
    assert result.pred_sem_seg.data.sum() == 0
    torch.testing.assert_close(
        result.seg_logits.data, torch.full((1, 32, 32), 0.018), atol=1e-6, rtol=0
    )
    # and what is mended: mmseg's own model calls all of it foreground
    theirs = MODELS.build(dict(type='SegTTAModel', module=model)).eval()
    wrong = theirs.test_step(views_of(item['inputs'], item['data_samples']))[0]
    assert wrong.pred_sem_seg.data.float().mean() == 1


def test_tta_is_the_mean_of_the_flipped_back_probabilities(tmp_path):
    model = build_model(tmp_path)
    item = Squares()[3]
    image, sample = item['inputs'], item['data_samples']
    result = tta_of(model).test_step(views_of(image, sample))[0]
    with torch.no_grad():
        maps = []
        for dims in ([], [3], [2]):
            x = model.data_preprocessor(dict(inputs=[image]))['inputs'].flip(dims)
            logits = F.interpolate(model(x), (32, 32), mode='bilinear')
            maps.append(logits.sigmoid().flip(dims))
    expected = torch.stack(maps).mean(0)[0]
    torch.testing.assert_close(result.seg_logits.data, expected)
    assert torch.equal(result.pred_sem_seg.data, (expected > 0.5).float())
    assert torch.equal(result.gt_sem_seg.data, sample.gt_sem_seg.data)
    assert (result.flip, result.flip_direction) == (False, None)
    assert (result.img_id, result.organ) == ('3', 'kidney')


def test_the_loss_under_tta_is_that_of_the_merged_probabilities(tmp_path):
    model = build_model(tmp_path)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=20.0)
    item = Squares(ignore=True)[3]
    mask = item['data_samples'].gt_sem_seg.data
    batch = views_of(item['inputs'], item['data_samples'])
    views = [copy.deepcopy(samples[0]) for samples in batch['data_samples']]
    result = tta_of(model).test_step(batch)[0]
    known = mask != 255
    p, y = result.seg_logits.data[known].double(), mask[known].double()
    expected = -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()
    assert result.val_loss_bce == pytest.approx(expected, rel=1e-5)
    one = dict(inputs=batch['inputs'][0], data_samples=views[:1])
    assert abs(model.test_step(one)[0].val_loss_bce - expected) > 0.05  # of one view
    metric = METRICS.build(dict(type='FTUDiceMetric'))
    metric.process({}, [result.to_dict()])
    assert metric.evaluate(1)['val_loss_bce'] == pytest.approx(expected, rel=1e-5)


def test_saturated_probabilities_have_a_finite_loss_under_tta(tmp_path):
    model = build_model(tmp_path)
    torch.nn.init.zeros_(model.decode_head.conv_seg.weight)
    torch.nn.init.constant_(model.decode_head.conv_seg.bias, 200.0)
    item = Squares()[3]
    background = (item['data_samples'].gt_sem_seg.data == 0).double().mean().item()
    batch = views_of(item['inputs'], item['data_samples'])
    result = tta_of(model).test_step(batch)[0]
    assert (result.seg_logits.data == 1).all()
    expected = 24 * math.log(2) * background
    assert result.val_loss_bce == pytest.approx(expected, rel=1e-4)


def test_tta_without_a_mask_or_at_another_size_has_no_loss(tmp_path):
    model = build_model(tmp_path)
    item = Squares()[3]
    sample = item['data_samples']
    sample.gt_sem_seg = PixelData(data=torch.ones(1, 8, 8, dtype=torch.int64))
    result = tta_of(model).test_step(views_of(item['inputs'], sample))[0]
    assert result.val_loss_bce is None
    del sample.gt_sem_seg
    result = tta_of(model).test_step(views_of(item['inputs'], sample))[0]
    assert 'val_loss_bce' not in result


def test_plain_prediction_holds_probabilities_and_a_thresholded_mask(tmp_path):
    model = build_model(tmp_path)
    item = Squares()[0]
    batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
    result = model.test_step(batch)[0]
    x = model.data_preprocessor(dict(inputs=[item['inputs']]))['inputs']
    with torch.no_grad():
        expected = F.interpolate(model(x), (32, 32), mode='bilinear').sigmoid()[0]
    torch.testing.assert_close(result.seg_logits.data, expected)
    assert torch.equal(result.pred_sem_seg.data, (expected > 0.5).float())


def test_validation_loss_is_the_bce_of_the_logits(tmp_path):
    model = build_model(tmp_path)
    torch.nn.init.constant_(model.decode_head.conv_seg.bias, 40.0)  # saturated sigmoid
    item = Squares(ignore=True)[0]
    mask = item['data_samples'].gt_sem_seg.data[0]
    batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
    loss = model.val_step(batch)[0].val_loss_bce
    x = model.data_preprocessor(dict(inputs=[item['inputs']]))['inputs']
    with torch.no_grad():
        logits = F.interpolate(model(x), (32, 32), mode='bilinear')[0, 0]
    known = mask != 255
    expected = F.binary_cross_entropy_with_logits(logits[known], mask[known].float())
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    assert loss > 17  # more than probabilities in float32 could tell


def test_validation_loss_is_taken_at_the_size_of_the_mask(tmp_path):
    model = build_model(tmp_path)
    item = Squares()[0]
    sample = item['data_samples']
    mask = torch.zeros(1, 64, 48, dtype=torch.int64)
    mask[:, 20:40, 20:40] = 1
    sample.gt_sem_seg = PixelData(data=mask)
    sample.set_metainfo(dict(ori_shape=(64, 48)))
    result = model.val_step(dict(inputs=[item['inputs']], data_samples=[sample]))[0]
    x = model.data_preprocessor(dict(inputs=[item['inputs']]))['inputs']
    with torch.no_grad():
        logits = F.interpolate(model(x), (32, 32), mode='bilinear')
        logits = F.interpolate(logits, (64, 48), mode='bilinear')[0]
    expected = F.binary_cross_entropy_with_logits(logits, mask.float())
    assert result.val_loss_bce == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(result.seg_logits.data, logits.sigmoid())


@pytest.mark.parametrize(
    ('metainfo', 'expected'),
    [
        ({}, lambda x: x),
        (dict(padding_size=[1, 2, 3, 0]), lambda x: x[:, 3:, 1:-2]),
        (dict(img_padding_size=[0, 1, 0, 2]), lambda x: x[:, :-2, :-1]),
        (dict(flip=True, flip_direction='horizontal'), lambda x: x[:, :, ::-1]),
        (dict(flip=True, flip_direction='vertical'), lambda x: x[:, ::-1]),
        (dict(flip=True, flip_direction='diagonal'), lambda x: x[:, ::-1, ::-1]),
        (dict(flip=False, flip_direction=None), lambda x: x),
        (
            dict(padding_size=[0, 4, 0, 0], flip=True, flip_direction='horizontal'),
            lambda x: x[:, :, :-4][:, :, ::-1],
        ),
    ],
)
def test_restore_undoes_padding_and_flip(metainfo, expected):
    logits = torch.rand(1, 12, 10)
    before = logits.clone()
    result = restore(logits, metainfo)
    assert result.tolist() == expected(logits.numpy()).tolist()
    assert torch.equal(logits, before)


def test_misleading_accuracy_is_not_logged(tmp_path):
    model = build_model(tmp_path)
    item = Squares()[0]
    losses = model.loss(item['inputs'][None].float(), [item['data_samples']])
    assert set(losses) == {'decode.loss_bce', 'aux.loss_bce'}


def test_prediction_without_samples(tmp_path):
    model = build_model(tmp_path)
    results = model.predict(torch.randn(2, 3, 32, 32))
    assert [type(r) for r in results] == [SegDataSample] * 2
    assert results[0].seg_logits.data.shape == (1, 32, 32)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(threshold=None), r'decode_head\.threshold is not set'),
        (dict(out_channels=2), r'decode_head\.out_channels=2'),
    ],
)
def test_unfit_decode_head_is_refused(tmp_path, change, message):
    cfg = tiny_config(tmp_path).model
    cfg.decode_head.update(change)
    with pytest.raises(ValueError, match=message):
        MODELS.build(cfg)
