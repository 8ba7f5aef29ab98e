"""Stain transforms: the engine's results, in BGR and RGB, deterministic, counted."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmseg.registry import TRANSFORMS

from mmseg_ftu.datasets.seeding import seeded_globals
from mmseg_ftu.stain import ReinhardNormalizer, StainFit, VahadaneNormalizer

STAINS = np.array([[0.65, 0.70, 0.29], [0.27, 0.57, 0.78]])
OTHER = np.array([[0.55, 0.72, 0.42], [0.10, 0.85, 0.52]])


def section(seed: int = 0, stains: np.ndarray = STAINS, size: int = 96) -> np.ndarray:
    """Draw RGB tissue of two stains by Beer and Lambert."""
    rng = np.random.default_rng(seed)
    amounts = rng.gamma(1.5, 0.35, (size, size, 2))
    amounts *= rng.random((size, size, 2)) < 0.7
    density = amounts @ (stains / np.linalg.norm(stains, axis=1, keepdims=True))
    return np.round(255 * np.exp(-density)).astype(np.uint8)


@pytest.fixture
def target(tmp_path):
    """Write target files and return a function: name -> path."""
    kinds = dict(
        vahadane=VahadaneNormalizer().fit(section(9, OTHER)),
        reinhard=ReinhardNormalizer().fit(section(9, OTHER)),
    )
    for name, normalizer in kinds.items():
        path = tmp_path / f'{name}.json'
        path.write_text(json.dumps(normalizer.state_dict()))
    return lambda name='vahadane': str(tmp_path / f'{name}.json')


def build(kind: str, **kwargs):
    return TRANSFORMS.build(dict(type=kind, **kwargs))


@pytest.mark.parametrize('name', ['vahadane', 'reinhard'])
def test_bgr_and_rgb_give_the_engines_result(name, target):
    image = section()
    kinds = dict(vahadane=VahadaneNormalizer, reinhard=ReinhardNormalizer)
    state = json.loads(Path(target(name)).read_text())
    expected = kinds[name].from_state_dict(state).transform(image)
    assert np.abs(expected.astype(int) - image).mean() > 3
    rgb = build('StainNormalize', target=target(name), channel_order='rgb')
    bgr = build('StainNormalize', target=target(name))
    assert np.array_equal(rgb(dict(img=image))['img'], expected)
    reverse = np.ascontiguousarray(image[..., ::-1])
    assert np.array_equal(bgr(dict(img=reverse))['img'][..., ::-1], expected)


@pytest.mark.parametrize('kind', ['StainNormalize', 'StainAugment'])
def test_input_is_not_modified(kind, target):
    image = section()
    image.setflags(write=False)
    before = image.copy()
    kwargs = dict(target=target()) if kind == 'StainNormalize' else {}
    out = build(kind, **kwargs)(dict(img=image))['img']
    assert np.array_equal(image, before)
    assert out.dtype == np.uint8
    assert not np.array_equal(out, image)


def test_failures_are_recorded_and_counted(target, caplog):
    transform = build('StainNormalize', target=target())
    white = np.full((32, 32, 3), 255, np.uint8)
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.WARNING):
            good = transform(dict(img=section()))
            bad = [transform(dict(img=white, img_id=f'w{i}')) for i in range(12)]
    finally:
        logger.removeHandler(caplog.handler)
    assert good['stain_failure'] is None
    assert 'tissue' in bad[0]['stain_failure']
    assert np.array_equal(bad[0]['img'], white)
    lines = [r.message for r in caplog.records if 'StainNormalize' in r.message]
    assert len(lines) == 2
    assert '1 of 2 images' in lines[0]
    assert '10 of 11 images' in lines[1]
    assert 'w9' in lines[1]
    strict = build('StainNormalize', target=target(), on_failure='raise')
    with pytest.raises(ValueError, match='tissue'):
        strict(dict(img=white))


def augmented(seed: int, **kwargs) -> np.ndarray:
    transform = build('StainAugment', channel_order='rgb', **kwargs)
    with seeded_globals(np.random.default_rng(seed)):
        return transform(dict(img=section()))['img']


def test_augmentation_depends_on_the_seed_alone():
    assert np.array_equal(augmented(1), augmented(1))
    assert not np.array_equal(augmented(1), augmented(2))


def test_augmentation_moves_stains_and_strengths_as_asked():
    still = augmented(1, vector_std=0, strength_range=(1, 1))
    assert np.abs(still.astype(int) - section()).mean() < 2
    darker = augmented(1, vector_std=0, strength_range=(1.5, 1.5))
    fit = [VahadaneNormalizer().measure(x) for x in (still, darker)]
    ratio = fit[1].strengths / fit[0].strengths
    assert ratio == pytest.approx([1.5, 1.5], rel=0.1)


def test_transfer_takes_a_targets_stains(target):
    out = augmented(
        1,
        targets=[target()],
        transfer_prob=1,
        vector_std=0,
        strength_range=(1, 1),
    )
    expected = VahadaneNormalizer().fit(section(9, OTHER)).transform(section())
    assert np.array_equal(out, expected)


@pytest.mark.parametrize('compatible', [False, True])
def test_transfer_measures_as_the_target_was_measured(compatible, tmp_path):
    path = tmp_path / 'target.json'
    fitted = VahadaneNormalizer(compatible=compatible).fit(section(9, OTHER))
    path.write_text(json.dumps(fitted.state_dict()))
    image = np.full((240, 240, 3), 245, np.uint8)
    image[:96, :96] = section()
    still = dict(vector_std=0, strength_range=(1, 1), channel_order='rgb')
    transform = build('StainAugment', targets=[str(path)], transfer_prob=1, **still)
    out = transform(dict(img=image))['img']
    assert np.array_equal(out, fitted.transform(image))


def test_augmentation_leaves_what_cannot_be_fitted():
    white = np.full((32, 32, 3), 255, np.uint8)
    assert np.array_equal(build('StainAugment')(dict(img=white))['img'], white)
    image = section()
    assert build('StainAugment', prob=0)(dict(img=image))['img'] is image


def test_varied_stains_stay_physical():
    from mmseg_ftu.datasets.transforms.stain import vary

    fit = StainFit(None, STAINS, np.ones(2))
    varied = vary(fit, np.full((2, 3), -0.5), np.array([2, 0.5]))
    assert (varied.stains > 0).all()
    assert np.linalg.norm(varied.stains, axis=1) == pytest.approx([1, 1])
    assert varied.strengths.tolist() == [2, 0.5]
    assert np.array_equal(fit.stains, STAINS)


def test_mistakes(tmp_path, target):
    with pytest.raises(FileNotFoundError, match=r'mmseg-ftu stain-target'):
        build('StainNormalize', target=str(tmp_path / 'no.json'))
    (tmp_path / 'bad.json').write_text('{"type": "Other"}')
    with pytest.raises(ValueError, match=r'bad\.json: not of VahadaneNormalizer'):
        build('StainNormalize', target=str(tmp_path / 'bad.json'))
    (tmp_path / 'bad.json').write_text('no json')
    with pytest.raises(ValueError, match=r'bad\.json: no JSON'):
        build('StainNormalize', target=str(tmp_path / 'bad.json'))
    with pytest.raises(ValueError, match="channel_order='grb'"):
        build('StainNormalize', target=target(), channel_order='grb')
    with pytest.raises(ValueError, match='needs targets'):
        build('StainAugment', transfer_prob=0.5)
    with pytest.raises(ValueError, match='must be in 0'):
        build('StainAugment', prob=2)
    with pytest.raises(ValueError, match='two positive numbers'):
        build('StainAugment', strength_range=(2, 1))
    with pytest.raises(ValueError, match='two stains'):
        build('StainAugment', targets=[target('reinhard')])
