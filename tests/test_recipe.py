"""How an image becomes network input: kept as before, read whole or refused."""

import dataclasses
import json
import pickle
import warnings

import numpy as np
import pytest
from sections import section

from mmseg_ftu.io.images import read_image
from mmseg_ftu.io.resizing import resize_image
from mmseg_ftu.recipe import (
    ORDERS,
    Recipe,
    StainStep,
    name_stains,
    prepare_image,
    stain_of,
)
from mmseg_ftu.stain import ColourHistogram, ReinhardNormalizer, VahadaneNormalizer

SHAPE = (64, 48)
# as earlier versions wrote it
STORED = {
    'id': 'reinhard-5f1238ecb5c8',
    'order': 'stain-first',
    'state': {
        'version': 2,
        'type': 'ReinhardNormalizer',
        'on_failure': 'identity',
        'target': {
            'reason': None,
            'mean': [60.0, 10.0, -5.0],
            'std': [12.0, 4.0, 3.0],
        },
    },
}


@pytest.fixture(scope='module')
def normalizer():
    return VahadaneNormalizer().fit(section(1, 160))


@pytest.fixture(scope='module')
def image():
    return section(3, 192)


@pytest.mark.parametrize('order', ORDERS)
def test_a_step_is_kept_as_it_was(normalizer, order):
    step = StainStep.of(normalizer, order)
    entry = step.to_dict()
    assert [*entry] == ['id', 'order', 'state']  # the fingerprints of images hold it
    assert entry['state'] == normalizer.state_dict()
    assert step.name == f'{entry["id"]} {order}'
    stored = json.loads(json.dumps(entry))
    again = StainStep.from_dict(stored, 'manifest.json')
    assert again == step
    assert again.to_dict() == stored
    assert hash(again) == hash(step)


def test_what_earlier_versions_wrote_is_read():
    step = StainStep.from_dict(STORED, 'manifest.json')
    assert step.to_dict() == STORED
    assert isinstance(step.normalizer, ReinhardNormalizer)
    assert StainStep.of(step.normalizer, 'stain-first') == step


@pytest.mark.parametrize(
    'entry',
    [
        'vahadane',
        dict(id='a', order='resize-first'),
        dict(id='a', order='last', state={}),
        dict(id=3, order='resize-first', state={}),
        dict(id='a', order='resize-first', state='b'),
    ],
)
def test_what_cannot_be_understood_is_named(entry):
    with pytest.raises(ValueError, match=r'^data/manifest\.json: stain=.*fetch the'):
        stain_of(dict(stain=entry), 'data/manifest.json')
    with pytest.raises(ValueError, match=r'^the checkpoint: stain='):
        Recipe.from_dict(dict(size=64, stain=entry), 'the checkpoint')


def test_no_step():
    assert stain_of({}, 'here') is None
    assert stain_of(dict(stain=None), 'here') is None
    assert name_stains(None) == Recipe(64, None).stain_name == 'none'


def test_names_are_those_of_checkpoints(normalizer):
    step = StainStep.of(normalizer, 'stain-first')
    assert Recipe(None, None, step).stain_name == f'{step.id} stain-first'
    assert name_stains(None, [normalizer]) == f'{step.id} online'
    both = name_stains(step, [normalizer])
    assert both == f'{step.id} stain-first, {step.id} online'


@pytest.mark.parametrize('order', ORDERS)
def test_an_image_is_resized_and_normalised_in_order(normalizer, image, order):
    before = image.copy()
    found, failure = prepare_image(image, SHAPE, StainStep.of(normalizer, order))
    if order == 'resize-first':
        expected = normalizer.transform(resize_image(image, SHAPE))
    else:
        expected = resize_image(normalizer.transform(image), SHAPE)
    assert (found == expected).all()
    assert failure is None
    assert (found != resize_image(image, SHAPE)).any()
    assert (image == before).all()


def test_an_image_without_a_step_is_resized_only(image):
    found, failure = prepare_image(image, SHAPE, None)
    assert (found == resize_image(image, SHAPE)).all()
    assert failure is None


@pytest.mark.parametrize('order', ORDERS)
def test_an_image_that_cannot_be_fitted_is_told(normalizer, order):
    glass = np.full((90, 80, 3), 250, np.uint8)
    found, failure = prepare_image(glass, SHAPE, StainStep.of(normalizer, order))
    assert 'tissue' in failure
    assert (found == 250).all()


def test_parts_are_painted_as_the_whole(normalizer, image):
    step = StainStep.of(normalizer)
    painter = step.fit(ColourHistogram.of(image))
    expected = normalizer.transform(image)
    assert (painter.paint(image[:50, 20:90]) == expected[:50, 20:90]).all()
    assert painter.failure is None


def test_a_target_of_version_1_warns_once_for_all_images(image):
    fitted = VahadaneNormalizer(compatible=True).fit(section(1, 160))
    step = StainStep.of(fitted)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        for _ in range(3):
            prepare_image(image, SHAPE, step)
    (warning,) = said
    assert str(warning.message).startswith(f'stains {step.id}: it measures')


@pytest.mark.parametrize('used', [False, True])
def test_recipes_do_not_change_and_go_to_workers(normalizer, image, used):
    recipe = Recipe(64, 0.5, StainStep.of(normalizer), dict(kidney=0.4))
    if used:
        recipe.stain.apply(image, SHAPE)
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert hash(recipe) == hash(dataclasses.replace(recipe))
    for thing, name in ((recipe, 'size'), (recipe.stain, 'order')):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, None)


def test_a_recipe_is_kept_as_it_was(normalizer):
    step = StainStep.of(normalizer)
    recipe = Recipe(64, 0.5, step, dict(kidney=0.4))
    entry = recipe.to_dict()
    assert entry == dict(
        size=64,
        pixel_size=0.5,
        pixel_size_by_organ=dict(kidney=0.4),
        stain=step.to_dict(),
    )
    assert json.loads(json.dumps(entry)) == entry
    assert Recipe.from_dict(entry, 'the checkpoint') == recipe
    assert Recipe(64, None).to_dict()['stain'] is None


@pytest.mark.parametrize(
    ('entry', 'expected'),
    [
        ({}, Recipe(None, None)),
        (dict(size=64, pixel_size=1.5, stain=None), Recipe(64, 1.5)),
        (dict(size=64, pixel_size=1.5, pixel_size_by_organ=None), Recipe(64, 1.5)),
    ],
)
def test_earlier_checkpoints_hold_less(entry, expected):
    assert Recipe.from_dict(entry, 'the checkpoint') == expected


@pytest.mark.parametrize(
    ('recipe', 'expected'),
    [
        (Recipe(64, 1.5), Recipe(32, 3.0)),
        (Recipe(64, None), Recipe(32, None)),
        (
            Recipe(16, 1.5, None, dict(lung=2.0)),
            Recipe(32, 0.75, None, dict(lung=1.0)),
        ),
        # images that kept their sizes have no pixel size in common once resized
        (Recipe(None, 1.5, None, dict(lung=2.0)), Recipe(32, None)),
        (Recipe(32, 1.5), Recipe(32, 1.5)),
    ],
)
def test_pixel_sizes_change_with_the_size(recipe, expected):
    assert recipe.at_size(32) == expected


@pytest.mark.parametrize('lines', [1, 3, 10, 50])
@pytest.mark.parametrize('axis', [0, 1])
@pytest.mark.parametrize('side', [116, 290])
def test_black_lines_do_not_matter_once_they_are_blended(
    shared_data, side, axis, lines
):
    """Real tissue, resized before its stains are measured."""
    folder = shared_data('glas_bench') / 'images'
    target = shared_data('stain_images') / 'tiatoolbox_target_image.png'
    step = StainStep.of(VahadaneNormalizer().fit(read_image(target)))
    for name in ('testA_10', 'train_16', 'testA_25'):
        image = read_image(folder / f'{name}.png')[:240, :360]
        lined = image.copy()
        lined[(np.s_[:lines], np.s_[:, :lines])[axis]] = 0
        scale = side / 387
        shape = round(240 * scale), round(360 * scale)
        (plain, _), (other, reason) = (step.apply(i, shape) for i in (image, lined))
        assert reason is None
        kept = np.s_[30:, 30:] if lines < 50 else np.s_[60:, 60:]
        change = np.abs(plain[kept].astype(int) - other[kept]).mean()
        assert change < 3, (name, change)


def test_old_states_are_fitted_as_before_where_lines_are_black(shared_data):
    image = read_image(shared_data('glas_bench') / 'images' / 'testA_10.png')
    image[:10] = 0
    normalizer = VahadaneNormalizer(compatible=True).fit(image[20:])
    step, shape = StainStep.of(normalizer), (65, 97)
    resized = resize_image(image, shape)
    expected = normalizer.apply(resized, normalizer.fit_source(resized))
    assert (step.apply(image, shape)[0] == expected).all()


@pytest.mark.parametrize('value', ['64', -3, 0, True, 10**9, float('nan'), [64]])
@pytest.mark.parametrize('key', ['size', 'pixel_size', 'pixel_size_by_organ'])
def test_sizes_that_no_image_has(key, value):
    entry = {key: dict(kidney=value) if 'organ' in key else value}
    with pytest.raises(ValueError, match=f'the checkpoint: {key}.* is not a positive'):
        Recipe.from_dict(entry, 'the checkpoint')


def test_pixel_sizes_of_no_organs():
    with pytest.raises(ValueError, match=r'pixel_size_by_organ=.* is not a positive'):
        Recipe.from_dict(dict(pixel_size_by_organ=[0.5]), 'the checkpoint')
