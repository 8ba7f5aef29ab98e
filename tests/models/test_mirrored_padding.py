"""A result at any size is that of the image mirrored to a multiple, cropped."""

import copy
import math
import re

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.structures import PixelData
from mmseg.apis import inference_model
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from quick_and_slow import mostly_slow
from slim_models import COAT, CONFIGS, NAMES, build_slim, slim_config
from small_models import noise, save

from mmseg_ftu.inference.network import VIEWS, Network, undo_view
from mmseg_ftu.models.mirrored_padding import (
    MirroredPadding,
    declared_strides,
    mirror,
    take_over_padding,
)

LARGEST = dict.fromkeys(NAMES, 32) | dict(
    coat_daformer=64, enetb5_dlv3plus=16, r101_dlv3plus=16
)
QUICK = ['pvtv2_daformer', 'r101_dlv3plus']
some_models = pytest.mark.parametrize('name', mostly_slow(NAMES, QUICK))
_built = {}


def slim(name):
    """Return a model in eval mode, built once."""
    if name not in _built:
        x = torch.randn(2, 3, 128, 192, generator=torch.Generator().manual_seed(0))
        _built[name] = build_slim(slim_config(name), [x]).requires_grad_(False)
    return _built[name]


def sizes(stride):
    """One less and one more than a multiple, a multiple, odd, tiny."""
    return [
        (2 * stride - 1, 2 * stride + 1),
        (2 * stride, 3 * stride),
        (77, 131),
        (stride // 2 - 1, 70),
        (1, 1),
        (1, stride + 1),
    ]


def mirrored(image, divisor):
    """Pad an image ``(h, w, 3)`` by numpy."""
    lack = [(0, -side % divisor) for side in image.shape[:2]]
    return np.pad(image, [*lack, (0, 0)], mode='reflect')


def item(image):
    """Return an image as mmseg's loaders do: BGR, and its sample."""
    size = image.shape[:2]
    sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size))
    sample.set_metainfo(dict(pad_shape=size))
    bgr = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))
    return torch.from_numpy(bgr), sample


def predict(model, image):
    """Return the probability ``(h, w)`` of an RGB image."""
    bgr, sample = item(image)
    (result,) = model.test_step(dict(inputs=[bgr], data_samples=[sample]))
    return result.seg_logits.data[0].numpy()


def expected(model, image, divisor):
    """Return the probability at the mirrored multiple, cropped."""
    return predict(model, mirrored(image, divisor))[: image.shape[0], : image.shape[1]]


@pytest.mark.parametrize('side', [1, 2, 3, 5, 8])
@pytest.mark.parametrize('length', [8, 9, 64])
def test_mirror_is_that_of_numpy(side, length):
    x = torch.arange(2 * side).reshape(2, side)
    by_numpy = np.pad(x.numpy(), [(0, 0), (0, length - side)], mode='reflect')
    assert mirror(x, 1, length).tolist() == by_numpy.tolist()
    assert mirror(x.T, 0, length).tolist() == by_numpy.T.tolist()


@some_models
def test_each_model_is_padded_to_its_largest_stride(name):
    assert slim(name).padding == MirroredPadding(LARGEST[name])


@some_models
def test_any_size_equals_the_mirrored_multiple(name):
    model = slim(name)
    for height, width in sizes(LARGEST[name]):
        image = noise(height, width)
        answer = predict(model, image)
        assert answer.shape == (height, width)
        reference = expected(model, image, LARGEST[name])
        np.testing.assert_allclose(answer, reference, atol=1e-4)
        if min(height, width) > 1:
            assert answer.std() > 0.01


def test_nothing_is_copied_where_the_size_fits():
    seen = []

    def network(images):
        seen.append(images)
        return images[:, :1]

    x = torch.rand(1, 3, 64, 96)
    answer = MirroredPadding(32)(network, x)
    assert seen[0] is x
    assert answer.data_ptr() == x.data_ptr()
    odd = x[..., :70].contiguous(memory_format=torch.channels_last)
    MirroredPadding(32)(network, odd)
    assert seen[1].shape == (1, 3, 64, 96)
    assert seen[1].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('name', ['coat_daformer', 'r101_dlv3plus'])
def test_images_of_a_batch_are_as_if_alone(name):
    model = slim(name)
    images = [noise(75, 90, seed) for seed in (0, 1)]
    inputs, samples = zip(*map(item, images), strict=True)
    mask = torch.ones(1, 75, 90, dtype=torch.long)
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=mask)
    results = model.val_step(dict(inputs=list(inputs), data_samples=list(samples)))
    for image, result in zip(images, results, strict=True):
        probability = expected(model, image, LARGEST[name])
        np.testing.assert_allclose(
            result.seg_logits.data[0].numpy(), probability, atol=1e-4
        )
        assert result.val_loss_bce == pytest.approx(
            -np.log(probability).mean(), abs=1e-3
        )


@some_models
def test_views_and_scales_of_mmsegs_test_time_augmentation(name):
    model = slim(name)
    image = noise(101, 75)
    tta = MODELS.build(dict(type='BinarySegTTAModel', module=model)).eval()
    inputs, samples, total = [], [], np.zeros(image.shape[:2])
    for factor, flip in ((1, None), (1, 'horizontal'), (0.7, None), (1.3, 'vertical')):
        size = tuple(round(side * factor) for side in image.shape[:2])
        small = cv2.resize(image, size[::-1])
        seen = {None: small, 'horizontal': small[:, ::-1], 'vertical': small[::-1]}
        bgr, sample = item(np.ascontiguousarray(seen[flip]))
        sample.set_metainfo(dict(ori_shape=image.shape[:2], flip=flip is not None))
        sample.set_metainfo(dict(flip_direction=flip))
        inputs.append([bgr])
        samples.append([sample])
        logit = torch.logit(
            torch.from_numpy(expected(model, seen[flip], LARGEST[name])).double()
        )
        logit = logit.flip(dict(horizontal=[1], vertical=[0]).get(flip, []))
        logit = F.interpolate(logit[None, None], image.shape[:2], mode='bilinear')
        total += logit.sigmoid()[0, 0].numpy() / 4
    (result,) = tta.test_step(dict(inputs=inputs, data_samples=samples))
    np.testing.assert_allclose(result.seg_logits.data[0].numpy(), total, atol=1e-4)


def by_views_and_scales(predict_one, image, views, scales):
    """Average as `Network` does, by hand."""
    total = torch.zeros(image.shape[:2])
    for scale in scales:
        size = tuple(max(1, round(side * scale)) for side in image.shape[:2])
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(image, size[::-1], interpolation=how)
        for name in views:
            swap, dims = VIEWS[name]
            seen = small.swapaxes(0, 1) if swap else small
            seen = np.flip(seen, [dim + 2 for dim in dims])
            answer = torch.from_numpy(predict_one(np.ascontiguousarray(seen)))
            answer = undo_view(answer, name)[None, None]
            total += F.interpolate(answer, image.shape[:2], mode='bilinear')[0, 0]
    return (total / len(views) / len(scales)).numpy()


@some_models
@pytest.mark.parametrize('shape', [(65, 127), (20, 33)])
def test_views_and_scales_of_predict(name, shape, tmp_path):
    model, image = slim(name), noise(*shape)
    views, scales = ('identity', 'vflip', 'rot90'), (0.75, 1, 1.25)
    path = save(model, tmp_path / 'slim.pth')
    net = Network(slim_config(name), [path], views=views, scales=scales)
    by_hand = by_views_and_scales(
        lambda seen: expected(model, seen, LARGEST[name]), image, views, scales
    )
    np.testing.assert_allclose(net([image])[0], by_hand, atol=1e-4)


def test_mmsegs_own_function():
    model, image = copy.deepcopy(slim('coat_daformer')), noise(150, 97)
    pipeline = [dict(type='LoadImageFromNDArray'), dict(type='PackSegInputs')]
    model.cfg = Config(dict(test_pipeline=pipeline))
    result = inference_model(model, np.ascontiguousarray(image[..., ::-1]))
    np.testing.assert_allclose(
        result.seg_logits.data[0].numpy(), expected(model, image, 64), atol=1e-4
    )


@pytest.mark.parametrize('crop', [64, 96])
def test_slide_mode_pads_each_window(crop):
    model, image = copy.deepcopy(slim('coat_daformer')), noise(90, 150)
    model.test_cfg = Config(dict(mode='slide', crop_size=(crop,) * 2, stride=(40, 40)))
    total, count = np.zeros((90, 150)), np.zeros((90, 150))
    tops = sorted({min(y, max(90 - crop, 0)) for y in range(0, 90, 40)})
    lefts = sorted({min(x, max(150 - crop, 0)) for x in range(0, 150, 40)})
    whole = slim('coat_daformer')
    for top in tops:
        for left in lefts:
            place = np.s_[top : top + crop, left : left + crop]
            probability = expected(whole, image[place], 64).astype(float)
            total[place] += np.log(probability / (1 - probability))
            count[place] += 1
    by_hand = 1 / (1 + np.exp(-total / count))
    np.testing.assert_allclose(predict(model, image), by_hand, atol=1e-4)


# --- models of mmseg ------------------------------------------------------------------


def foreign_config(channels=2, mode=None, **padding):
    """Return the config of mmseg's own ResNet-18 and FCN head."""
    cfg = slim_config('r101_dlv3plus')
    cfg.model.type = 'EncoderDecoder'
    cfg.model.pop('auxiliary_head')
    cfg.model.backbone = dict(type='ResNet', depth=18)
    cfg.model.decode_head = dict(
        type='FCNHead',
        in_channels=512,
        in_index=3,
        channels=16,
        num_convs=1,
        num_classes=2,
        out_channels=channels,
        threshold=0.5,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=channels == 1),
    )
    cfg.model.data_preprocessor.test_cfg = padding or None
    cfg.model.test_cfg = mode or dict(mode='whole')
    return cfg


def by_mmseg(model, image):
    """Return the probability ``(h, w)`` that mmseg's own model gives for an image."""
    bgr, sample = item(image)
    (result,) = model.test_step(dict(inputs=[bgr], data_samples=[sample]))
    data = result.seg_logits.data  # mmseg holds probabilities only of one channel
    return (data[0] if len(data) == 1 else data.softmax(0)[1]).detach().numpy()


@pytest.mark.parametrize('channels', [1, 2])
@pytest.mark.parametrize(
    ('padding', 'divisor', 'least'),
    [
        ({}, 32, 0),
        (dict(size_divisor=48), 48, 0),
        (dict(size=(100, 100)), 32, 100),
    ],
)
def test_a_model_of_mmseg_is_padded_outside(
    channels, padding, divisor, least, tmp_path
):
    plain = foreign_config(channels)
    model = build_slim(plain, [torch.randn(2, 3, 96, 96)])
    path = save(model, tmp_path / 'foreign.pth')
    net = Network(foreign_config(channels, **padding), [path], views=['rot90'])
    for shape in ((95, 66), (97, 161), (5, 1)):
        image = noise(*shape)
        seen = np.rot90(image)
        lack = [
            (0, least - side if side < least else -side % divisor)
            for side in seen.shape[:2]
        ]
        larger = np.pad(seen, [*lack, (0, 0)], mode='reflect')
        answer = by_mmseg(model, larger)[: seen.shape[0], : seen.shape[1]]
        (got,) = net([image])
        np.testing.assert_allclose(got, np.rot90(answer, -1), atol=1e-4)
        assert min(shape) == 1 or got.std() > 0.005


def test_a_model_of_mmseg_in_slide_mode(tmp_path):
    slide = dict(mode='slide', crop_size=(64, 64), stride=(40, 40))
    cfg = foreign_config(mode=slide)
    model = build_slim(cfg, [torch.randn(2, 3, 96, 96)])
    net = Network(cfg, [save(model, tmp_path / 'foreign.pth')])
    for shape in ((90, 131), (50, 70)):
        image = noise(*shape)
        by_hand = by_mmseg(model, mirrored(image, 32))[: shape[0], : shape[1]]
        np.testing.assert_allclose(net([image])[0], by_hand, atol=1e-4)


@pytest.mark.parametrize(
    ('backbone', 'strides'),
    [
        (dict(type='CoaT', arch=COAT), [4, 8, 16, 32, 64]),
        (dict(type='FTUResNet', depth=18, output_stride=8), [4, 8, 8, 8]),
        (dict(type='EfficientNet', arch='b0', out_indices=(0, 1, 2)), [2, 4, 8]),
        (dict(type='ResNet', depth=18), []),
        (dict(type='MixVisionTransformer'), []),
        (dict(type='mmpretrain.ResNet', depth=18), []),
    ],
)
def test_only_strides_of_maps_are_believed(backbone, strides):
    assert declared_strides(MODELS.build(backbone)) == strides


def test_zeros_of_the_preprocessor_are_switched_off():
    cfg = slim_config('mit_daformer')
    cfg.model.data_preprocessor.test_cfg = dict(size_divisor=48)
    model = build_slim(cfg, [torch.randn(2, 3, 96, 96)]).requires_grad_(False)
    assert model.padding.divisor == math.lcm(32, 48)
    image = noise(75, 90)
    np.testing.assert_allclose(
        predict(model, image), expected(model, image, 96), atol=1e-4
    )
    assert take_over_padding(model).divisor == 32  # nothing is left to take over


# --- training -------------------------------------------------------------------------


def training_batch(size):
    """Return what ``loss`` takes."""
    mask = torch.zeros(1, *size, dtype=torch.long)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=mask)) for _ in range(2)]
    return torch.randn(2, 3, *size), samples


@some_models
def test_crops_that_the_largest_stride_does_not_divide_are_refused(name):
    model, stride = copy.deepcopy(slim(name)).train(), LARGEST[name]
    kind = type(model.backbone).__name__
    for size in ((2 * stride, 3 * stride - 1), (stride + 8, stride)):
        said = f'{size[0]} x {size[1]} px.*{kind} needs multiples of {stride} px'
        with pytest.raises(ValueError, match=f'{said}.*crop_size.*train_pipeline'):
            model.loss(*training_batch(size))
    losses = model.loss(*training_batch((2 * stride, stride)))
    assert all(torch.isfinite(loss) for loss in losses.values())


def crops(cfg):
    """Return the sizes that the crops of a train pipeline have."""
    albu = next(t for t in cfg.train_pipeline if t['type'] == 'StrictAlbu')
    sizes = [t['size'] for t in albu['transforms'] if 'size' in t]
    return sizes + [
        (t['height'], t['width']) for t in albu['transforms'] if 'height' in t
    ]


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.glob('[!_]*/*.py')), ids=lambda path: path.stem
)
def test_crops_of_the_shipped_configs_are_multiples(path):
    cfg = Config.fromfile(path)
    cfg.model.backbone.init_cfg = None
    # mmpretrain's ConvNeXt asks for values while it is built
    with torch.device('cpu' if 'convnext' in path.stem else 'meta'):
        strides = declared_strides(MODELS.build(cfg.model.backbone))
    largest = max(strides or [32])  # as `take_over_padding` assumes of foreign ones
    (size,) = crops(cfg)
    assert [side % largest for side in size] == [0, 0]


def test_whole_images_are_mirrored_by_the_pipeline_of_the_docs(shared_data):
    folder = shared_data('glas_bench')
    path = sorted((folder / 'images').iterdir())[0]
    text = (CONFIGS.parent / 'docs/howto/training.md').read_text()
    namespace = {}
    exec(re.search(r'^train_pipeline = .*?^\]$', text, re.M | re.S)[0], namespace)
    pipeline = Compose(namespace['train_pipeline'])
    mask = folder / 'masks' / path.name
    got = pipeline(
        dict(
            img_path=str(path),
            seg_map_path=str(mask),
            reduce_zero_label=False,
            seg_fields=[],
        )
    )
    image = mirrored(cv2.imread(str(path)), 64)
    assert image.shape[:2] == (320, 448)
    assert (got['inputs'].permute(1, 2, 0).numpy() == image).all()
    truth = mirrored(cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)[..., None], 64)
    assert (got['data_samples'].gt_sem_seg.data[0].numpy() == truth[..., 0]).all()
