import cv2
import numpy as np
import pytest
from mmcv.transforms.utils import cache_random_params
from mmengine.config import Config
from mmseg.registry import TRANSFORMS

from mmseg_ftu.datasets import StrictAlbu

CONSTANT, REFLECT = 0, 4  # cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101

GEOMETRIC = [
    dict(type='RandomResizedCrop', size=(96, 128), scale=(0.3, 0.6), p=1.0),
    dict(type='RandomCrop', height=90, width=70, p=1.0),
    dict(type='HorizontalFlip', p=1.0),
    dict(type='VerticalFlip', p=1.0),
    dict(type='Transpose', p=1.0),
    dict(type='D4', p=1.0),
    dict(type='RandomRotate90', p=1.0),
    dict(type='Rotate', limit=45, border_mode=REFLECT, p=1.0),
    dict(type='Rotate', limit=(30, 30), fill_mask=255, p=1.0),
    dict(type='Affine', rotate=20, scale=0.8, fill_mask=255, p=1.0),
    dict(type='ElasticTransform', alpha=800, sigma=12, border_mode=REFLECT, p=1.0),
    dict(type='ElasticDeformation', displacement=5, smoothness=12, p=1.0),
    dict(type='GridDistortion', distort_limit=0.3, border_mode=REFLECT, p=1.0),
    dict(type='Pad', padding=10, fill_mask=255, p=1.0),
]
PIXEL = [
    dict(type='GaussNoise', p=1.0),
    dict(type='HueSaturationValue', p=1.0),
    dict(type='RandomBrightnessContrast', p=1.0),
]


def case_id(value):
    return value['type'] if isinstance(value, dict) and 'type' in value else None


@pytest.fixture
def sample():
    """An image that shows its mask: 200 inside two blobs, 60 outside."""
    mask = np.zeros((160, 140), np.uint8)
    cv2.circle(mask, (50, 60), 35, 1, -1)
    cv2.rectangle(mask, (80, 100), (130, 150), 1, -1)
    image = np.where(mask[..., None] == 1, 200, 60).astype(np.uint8)
    return dict(
        img=np.repeat(image, 3, axis=2),
        gt_seg_map=mask,
        seg_fields=['gt_seg_map'],
        img_shape=(160, 140),
        img_path='x.png',
        rng=np.random.default_rng(3),
    )


def build(*transforms):
    return TRANSFORMS.build(dict(type='StrictAlbu', transforms=list(transforms)))


@pytest.mark.parametrize('config', GEOMETRIC, ids=case_id)
def test_image_and_mask_stay_aligned(sample, config):
    transform = build(config)
    moved = 0
    for _ in range(8):
        results = transform(sample)
        image, mask = results['img'], results['gt_seg_map']
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape == (*mask.shape, 3)
        assert results['img_shape'] == results['pad_shape'] == mask.shape
        assert set(np.unique(mask)) <= {0, 1, 255}
        ignored = mask == 255
        # Bilinear image and nearest mask may differ within a pixel of a border.
        border = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((5, 5))) > 0
        seen = ~border & ~ignored
        assert seen.mean() > 0.4
        np.testing.assert_array_equal(image[seen, 0] > 130, mask[seen] == 1)
        assert (image[ignored & ~border] == 0).all()
        moved += (
            mask.shape != (160, 140) or (mask != sample['gt_seg_map']).mean() > 0.01
        )
    assert moved >= 4


@pytest.mark.parametrize('config', PIXEL, ids=case_id)
def test_pixel_transforms_change_the_image_only(sample, config):
    results = build(config)(sample)
    assert (results['img'] != sample['img']).mean() > 0.2
    np.testing.assert_array_equal(results['gt_seg_map'], sample['gt_seg_map'])


@pytest.mark.parametrize('config', GEOMETRIC + PIXEL, ids=case_id)
def test_input_is_unchanged(sample, config):
    image, mask = sample['img'].copy(), sample['gt_seg_map'].copy()
    sample['img'].flags.writeable = sample['gt_seg_map'].flags.writeable = False
    results = build(config)(sample)
    np.testing.assert_array_equal(sample['img'], image)
    np.testing.assert_array_equal(sample['gt_seg_map'], mask)
    assert sample['img_shape'] == (160, 140)
    assert not np.shares_memory(results['gt_seg_map'], sample['gt_seg_map'])
    assert results['img_path'] == 'x.png'


def test_constant_border_is_ignored_where_asked(sample):
    rotate = dict(type='Rotate', limit=(45, 45), border_mode=CONSTANT, p=1.0)
    for fill_mask, share in [(255, 0.15), (0, 0.0)]:
        results = build(dict(rotate, fill_mask=fill_mask))(sample)
        assert (results['gt_seg_map'] == 255).mean() >= share
        assert (results['gt_seg_map'] == 255).any() == bool(fill_mask)


def test_hue_shift_matches_opencv_on_bgr(sample):
    sample['img'] = np.random.default_rng(0).integers(0, 256, (160, 140, 3), np.uint8)
    hsv = cv2.cvtColor(sample['img'], cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + 15) % 180
    expected = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    results = build(
        dict(
            type='HueSaturationValue',
            hue_shift_limit=(15, 15),
            sat_shift_limit=(0, 0),
            val_shift_limit=(0, 0),
            p=1.0,
        )
    )(sample)
    np.testing.assert_array_equal(results['img'], expected)
    assert (expected != sample['img']).mean() > 0.5


def test_gray_weighs_the_right_channels(sample):
    sample['img'] = np.zeros((160, 140, 3), np.uint8)
    sample['img'][..., 2] = 200  # red in BGR: weight 0.299, blue has 0.114
    results = build(dict(type='ToGray', p=1.0))(sample)
    assert np.unique(results['img']) == round(0.299 * 200)


def test_all_seg_maps_are_transformed(sample):
    sample['gt_other'] = 1 - sample['gt_seg_map']
    sample['seg_fields'] = ['gt_seg_map', 'gt_other']
    results = build(dict(type='Rotate', limit=(30, 30), fill_mask=255, p=1.0))(sample)
    first, second = results['gt_seg_map'], results['gt_other']
    np.testing.assert_array_equal(first == 255, second == 255)
    np.testing.assert_array_equal(first[first < 255], 1 - second[first < 255])


def test_image_without_masks(sample):
    del sample['gt_seg_map'], sample['seg_fields']
    results = build(dict(type='HorizontalFlip', p=1.0))(sample)
    np.testing.assert_array_equal(results['img'], sample['img'][:, ::-1])
    assert 'gt_seg_map' not in results


def draw(transform, sample, key):
    return transform(dict(sample, rng=np.random.default_rng(key)))


def random_transforms():
    return [
        dict(type='RandomCrop', height=90, width=90, p=1.0),
        dict(type='HorizontalFlip', p=0.5),
        dict(type='OneOf', transforms=PIXEL, p=0.7),
        dict(type='SomeOf', transforms=GEOMETRIC[2:6], n=2, p=0.7),
        dict(type='ElasticTransform', alpha=300, sigma=8, p=0.5),
    ]


def test_same_generator_state_gives_the_same_sample(sample):
    first, second = build(*random_transforms()), build(*random_transforms())
    draw(second, sample, 99)  # an earlier call leaves no trace
    images = []
    for key in range(20):
        a, b = (draw(t, sample, [5, key]) for t in (first, second))
        np.testing.assert_array_equal(a['img'], b['img'])
        np.testing.assert_array_equal(a['gt_seg_map'], b['gt_seg_map'])
        images.append(a['img'].tobytes())
    assert len(set(images)) == 20


def test_without_generator_numpy_seeds_the_sample(sample):
    del sample['rng']
    transform = build(*random_transforms())
    images = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        images.append(transform(sample)['img'])
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()


def test_cached_randomness_repeats_the_draw(sample):
    transform = build(*random_transforms())
    with cache_random_params([transform]):
        first, second = transform(sample)['img'], transform(sample)['img']
    np.testing.assert_array_equal(first, second)
    assert (transform(sample)['img'] != first).any()


def test_transforms_fire_independently(sample):
    # Compose.set_random_seed would make them agree every time.
    small = dict(sample, img=np.zeros((4, 4, 3), np.uint8))
    small['img'][0, 0], small['img'][0, 3], small['img'][3, 0] = 1, 2, 3
    small['gt_seg_map'] = np.zeros((4, 4), np.uint8)
    transform = build(
        dict(type='HorizontalFlip', p=0.5), dict(type='VerticalFlip', p=0.5)
    )
    n = 2000
    corners = [transform(small)['img'] for _ in range(n)]
    horizontal = np.array([1 in (c[0, 3, 0], c[3, 3, 0]) for c in corners])
    vertical = np.array([1 in (c[3, 0, 0], c[3, 3, 0]) for c in corners])
    tolerance = 4 * 0.5 / n**0.5
    for share in (horizontal.mean(), vertical.mean(), (horizontal == vertical).mean()):
        assert abs(share - 0.5) < tolerance


FLIP = dict(type='HorizontalFlip')


@pytest.mark.parametrize(
    ('transforms', 'message'),
    [
        ([], r'StrictAlbu: transforms must be a non-empty list'),
        (FLIP, 'must be a non-empty list of dicts'),
        (
            [dict(p=1)],
            r"StrictAlbu.transforms\[0\]: {'p': 1} is not a dict with the key",
        ),
        ([dict(type='HorizntalFlip')], r'no such transform; did you mean HorizontalF'),
        ([dict(type='qqq')], r'\(qqq\): albumentations .* no such transform; check'),
        (
            [FLIP, dict(type='GaussNoise', var_limit=(10, 50))],
            r"transforms\[1\] \(GaussNoise\): unknown argument 'var_limit'.*std_range",
        ),
        ([dict(FLIP, always_apply=True)], "unknown argument 'always_apply'.*takes p"),
        (
            [dict(type='OneOf', transforms=[FLIP, dict(type='Rotate', value=0)])],
            r"\(OneOf\).transforms\[1\] \(Rotate\): unknown argument 'value'",
        ),
        (
            [dict(type='Sequential', transforms=[dict(type='OneOf', transforms=[3])])],
            r'\(Sequential\).transforms\[0\] \(OneOf\).transforms\[0\]: 3 is not',
        ),
        ([dict(type='SomeOf', transforms=[FLIP], n=2)], 'greater than number'),
        ([dict(type='OneOf', transforms=[dict(FLIP, p=0)])], 'division by zero'),
        ([dict(type='OneOf')], r'\(OneOf\): transforms must be a non-empty list'),
        ([dict(type='RandomCrop')], r'height: Field required; width: Field required'),
        ([dict(type='GaussNoise', std_range=(0.3, 0.1))], 'std_range: Value error'),
        ([dict(FLIP, p=1.5)], 'p: Input should be less than or equal to 1'),
        ([dict(type='Blur', blur_limit=4)], 'automatically adjusted'),
        ([dict(type='Rotate', mask_interpolation=1)], 'mask_interpolation=1 mixes'),
        ([dict(type='FDA')], r"needs \['fda_metadata'\], which the pipeline lacks"),
        ([dict(type='CubicSymmetry')], 'cannot be applied to an image and its mask'),
        (
            [dict(type='SelectiveChannelTransform', transforms=[FLIP])],
            r"\('OneOf', 'RandomOrder', 'Sequential', 'SomeOf'\) are supported",
        ),
        ([dict(type='cv2')], 'no such transform'),
        ([dict(type='ElasticDeformation', alpha=1)], "unknown argument 'alpha'"),
        (
            [dict(type='ElasticDeformation', smoothness=0.5)],
            'displacement=4.0 must be >= 0 px and smoothness=0.5 >= 1 px',
        ),
        (
            [dict(type='ElasticDeformation', border_mode=17)],
            r'\(ElasticDeformation\): border_mode: Input should be',
        ),
    ],
)
def test_wrong_config_is_refused_when_built(transforms, message):
    with pytest.raises(ValueError, match=message):
        StrictAlbu(transforms)


@pytest.mark.parametrize(
    ('config', 'change', 'message'),
    [
        (FLIP, dict(img=np.zeros((9, 9), np.uint8)), r'input img must be .* got uint8'),
        (FLIP, dict(img=np.zeros((160, 140, 3))), 'input img .* got float64'),
        (FLIP, dict(img=None), 'input img .* got NoneType'),
        (FLIP, dict(gt_seg_map=np.zeros((9, 9), np.uint8)), r'gt_seg_map .*\(9, 9\)'),
        (FLIP, dict(gt_seg_map=np.zeros((160, 140))), 'gt_seg_map .* got float64'),
        (dict(type='Normalize', p=1.0), {}, 'output img .* got float32'),
        (dict(type='ToTensorV2', p=1.0), {}, 'output img .* got torch.uint8'),
    ],
)
def test_wrong_arrays_are_refused(sample, config, change, message):
    with pytest.raises(ValueError, match=message):
        build(config)(sample | change)


def test_config_of_the_caller_is_unchanged():
    config = [dict(type='OneOf', transforms=[dict(FLIP)], p=0.3)]
    StrictAlbu(config)
    assert config == [dict(type='OneOf', transforms=[FLIP], p=0.3)]


def test_mmengine_config_dicts_are_accepted(sample):
    config = Config(dict(t=[dict(type='OneOf', transforms=[dict(FLIP, p=1.0)], p=1.0)]))
    results = StrictAlbu(config.t)(sample)
    np.testing.assert_array_equal(results['img'], sample['img'][:, ::-1])
    assert 'HorizontalFlip' in repr(StrictAlbu(config.t))
