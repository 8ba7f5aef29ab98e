"""The contract that all normalisers keep."""

import json

import cv2
import numpy as np
import pytest
import torch
from sections import EOSIN, HAEMATOXYLIN, UNFIT, black_border, filled, section

from mmseg_ftu.stain import (
    ColourHistogram,
    MacenkoNormalizer,
    ReinhardNormalizer,
    StainFitError,
    VahadaneNormalizer,
)

ALL = [VahadaneNormalizer, MacenkoNormalizer, ReinhardNormalizer]
TWO_STAINS = ALL[:2]
OTHER = ([0.5, 0.75, 0.43], [0.1, 0.95, 0.25])
every = pytest.mark.parametrize('kind', ALL)


@every
def test_brings_colours_to_those_of_the_target(kind):
    image, target = section(1, stains=OTHER), section(2)
    out = kind().fit(target).transform(image)
    before = np.abs(image.mean((0, 1)) - target.mean((0, 1))).max()
    after = np.abs(out.mean((0, 1)) - target.mean((0, 1))).max()
    assert out.shape == image.shape
    assert out.dtype == np.uint8
    assert after < before / 2


@every
def test_target_onto_itself_changes_little(kind):
    image = section(size=128)
    out = kind().fit(image).transform(image)
    assert np.abs(out.astype(int) - image).mean() < 4


@every
def test_input_is_left_alone_and_any_strides_do(kind):
    image = section(1, stains=OTHER)
    normalizer = kind().fit(section(2))
    expected = normalizer.transform(image)
    locked = image.copy()
    locked.setflags(write=False)
    wide = np.zeros((96, 200, 4), np.uint8)
    wide[:, 4:196:2, :3] = image
    views = {
        'read-only': locked,
        'strided': wide[:, 4:196:2, :3],
        'fortran': np.asfortranarray(image),
        'reversed': image[::-1, ::-1].copy()[::-1, ::-1],
    }
    for name, view in views.items():
        out = normalizer.transform(view)
        assert np.array_equal(out, expected), name
        assert out.flags.writeable
        assert out.flags.c_contiguous
    assert np.array_equal(locked, section(1, stains=OTHER))


@every
@pytest.mark.parametrize(
    ('image', 'match'),
    [
        (np.zeros((8, 8, 4), np.uint8), r'\(8, 8, 4\).*RGBA'),
        (np.zeros((8, 8, 3), np.float32), 'float32.*uint8'),
        (np.zeros((8, 8), np.uint8), r'\(8, 8\)'),
        (np.zeros((3, 8, 8), np.uint8), 'channels come first'),
        (np.zeros((0, 8, 3), np.uint8), 'no pixel'),
        ([[1, 2, 3]], 'list'),
    ],
)
def test_refuses_what_is_no_rgb_image(kind, image, match):
    normalizer = kind().fit(section())
    source = normalizer.fit_source(section())
    for call in (
        normalizer.fit,
        normalizer.transform,
        lambda image: normalizer.apply(image, source),
    ):
        with pytest.raises(ValueError, match=match):
            call(image)


@every
def test_state_survives_json(kind):
    normalizer = kind(on_failure='target').fit(section(2))
    text = json.dumps(normalizer.state_dict(), allow_nan=False)
    assert len(text) < 1000
    again = kind.from_state_dict(json.loads(text))
    image = section(1, stains=OTHER)
    assert again.state_dict() == normalizer.state_dict()
    assert again.on_failure == 'target'
    assert np.array_equal(again.transform(image), normalizer.transform(image))
    source = normalizer.fit_source(image)
    copy = type(source).from_state_dict(json.loads(json.dumps(source.state_dict())))
    assert np.array_equal(again.apply(image, copy), normalizer.transform(image))


@every
def test_refuses_foreign_states(kind):
    state = kind().fit(section(2)).state_dict()
    for wrong, match in (
        ({**state, 'version': 99}, '99'),
        ({**state, 'type': 'Other'}, 'Other'),
        ({key: state[key] for key in state if key != 'target'}, 'no target'),
        ({**state, 'target': {'reason': None}}, 'keys'),
    ):
        with pytest.raises(ValueError, match=match):
            kind.from_state_dict(wrong)


@every
def test_tiles_join_without_a_seam(kind):
    """Whatever the tiles, and whether fitted on the whole or tile by tile."""
    image = section(1, size=250, stains=OTHER)  # more than one block of 32768 px
    normalizer = kind().fit(section(2))
    whole = normalizer.transform(image)
    for height, width in ((7, 250), (250, 33), (64, 64), (101, 57)):
        tiles = [
            (slice(top, top + height), slice(left, left + width))
            for top in range(0, 250, height)
            for left in range(0, 250, width)
        ]
        histogram = ColourHistogram()
        for place in tiles:
            histogram.update(image[place])
        source = normalizer.fit_source(histogram)
        out = np.zeros_like(image)
        for place in tiles:
            out[place] = normalizer.apply(image[place], source)
        assert np.array_equal(out, whole), (height, width)


@every
@pytest.mark.parametrize('name', UNFIT)
def test_unfit_images_follow_the_policy(kind, name):
    image, target = UNFIT[name], section(2)
    lenient = kind().fit(target)
    source = lenient.fit_source(image)
    if kind is ReinhardNormalizer and source.reason is None:
        assert name.startswith('one stain')  # Lab doesn't ask for stains
        return
    assert source.reason
    assert np.array_equal(lenient.transform(image), image)
    assert not np.shares_memory(lenient.transform(image), image)
    with pytest.raises(StainFitError, match=source.reason):
        kind(on_failure='raise').fit(target).transform(image)
    stand_in = kind(on_failure='target').fit(target)
    assert stand_in.fit_source(image).reason == source.reason
    with pytest.raises(StainFitError, match='target'):
        kind().fit(image)


ODD = {
    **UNFIT,
    'black border': black_border(),
    'black border, jpeg': black_border(jpeg=True),
    'blue': filled((0, 0, 255)),
    'yellow': filled((255, 255, 0)),
    'DAB alone': filled((120, 70, 40)),
    'pale': filled((240, 180, 210)),
}


@every
@pytest.mark.parametrize('policy', ['identity', 'target'])
@pytest.mark.parametrize('name', ODD)
def test_nothing_turns_black_or_white(kind, policy, name):
    """Also where the target's stains stand in: no mixture of them is red or yellow."""
    image = ODD[name]
    out = kind(on_failure=policy).fit(section(2)).transform(image).astype(int)
    assert abs(out.mean() - image.mean()) < 40
    if image.std(axis=(0, 1)).max() > 20:
        assert out.std(axis=(0, 1)).max() > 10


@pytest.mark.parametrize('kind', TWO_STAINS)
def test_the_targets_stains_stand_in_where_they_can(kind):
    normalizer = kind(on_failure='target').fit(section(2))
    for name, stands_in in (('one stain', True), ('gray', True), ('red', False)):
        source = normalizer.fit_source(UNFIT[name])
        assert source.found == stands_in, name
        out = normalizer.apply(UNFIT[name], source)
        assert np.array_equal(out, UNFIT[name]) != stands_in, name
    assert normalizer.fit_source(ColourHistogram()).reason


@pytest.mark.parametrize('kind', TWO_STAINS)
@pytest.mark.parametrize('jpeg', [False, True])
def test_a_black_border_does_not_matter(kind, jpeg):
    normalizer = kind().fit(section(2))
    with_border = normalizer.fit_source(black_border(jpeg))
    without = normalizer.fit_source(black_border(jpeg)[32:, 32:])
    assert with_border.reason is None
    cosines = (with_border.stains * without.stains).sum(axis=1)
    assert np.degrees(np.arccos(np.minimum(cosines, 1))).max() < 4
    out = normalizer.transform(black_border(jpeg))
    assert out[:20, :20].max() < 40
    assert 100 < out[32:, 32:].mean() < 230


@pytest.mark.parametrize('kind', TWO_STAINS)
def test_values_that_are_not_there_raise_whatever_the_policy(kind):
    fit = kind().measure(UNFIT['white'])
    with pytest.raises(StainFitError, match='tissue'):
        _ = fit.values


@every
def test_misuse_is_told(kind):
    with pytest.raises(ValueError, match='call fit'):
        kind().transform(section())
    with pytest.raises(ValueError, match='identity'):
        kind(on_failure='ignore')
    normalizer = kind().fit(section())
    with pytest.raises(ValueError, match='fit_source'):
        normalizer.apply(section(), 'nothing')


@every
def test_bit_identical_from_run_to_run(kind):
    threads = torch.get_num_threads(), cv2.getNumThreads()
    image, outs = section(1, stains=(EOSIN, HAEMATOXYLIN)), []
    try:
        for count in (1, 2, 1):
            torch.set_num_threads(count)
            cv2.setNumThreads(count)
            outs.append(kind().fit(section(2)).transform(image))
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])
    assert all(np.array_equal(out, outs[0]) for out in outs)
