import warnings

import pytest
from mmengine.config import Config
from small_models import section_target

from mmseg_ftu.inference.checkpoint_recipe import recipe_of
from mmseg_ftu.preparation.staining import fit_stain_step

RESIZE = dict(type='Resize', scale=(512, 512), keep_ratio=True)
PLAIN = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]


@pytest.fixture(scope='module')
def target(tmp_path_factory):
    return section_target(tmp_path_factory.mktemp('target') / 'target.json')


def meta(size=64, pixel_size=1.5, stain=None, by_organ=None, **more):
    about = dict(size=size, pixel_size=pixel_size, stain=stain and stain.to_dict())
    if by_organ is not None:  # earlier checkpoints do not say it
        about['pixel_size_by_organ'] = by_organ
    return dict(preparation=about, **more)


def pipeline(*transforms, **more):
    return Config(dict(test_pipeline=[*PLAIN[:1], *transforms, PLAIN[1]], **more))


@pytest.mark.parametrize(
    ('cfg', 'metas', 'options', 'expected'),
    [
        # the checkpoint tells
        (pipeline(), [meta()], {}, (64, 1.5)),
        (pipeline(), [meta(None, 0.5)], {}, (None, 0.5)),
        (pipeline(), [{}], {}, (None, None)),
        # inherited and not used: the pipeline keeps the size
        (pipeline(img_scale=(768, 768)), [{}], {}, (None, None)),
        # the pipeline brings prepared images to another size
        (pipeline(RESIZE), [{}], {}, (512, None)),
        (pipeline(RESIZE), [meta()], {}, (512, 1.5 * 64 / 512)),
        (pipeline(RESIZE), [meta(512)], {}, (512, 1.5)),
        # options go first
        (pipeline(RESIZE), [meta(512)], dict(size=100), (100, 1.5)),
        (pipeline(), [meta()], dict(pixel_size=0.7), (64, 0.7)),
        (pipeline(), [{}], dict(size=100, pixel_size=0.7), (100, 0.7)),
        # an ensemble of folds: pixel sizes are medians and may differ
        (pipeline(), [meta(), meta(pixel_size=1.6)], {}, (64, 1.55)),
        (pipeline(), [meta(), meta(pixel_size=3)], dict(pixel_size=2), (64, 2)),
        (pipeline(), [meta(), meta(size=96)], dict(size=80), (80, 1.5)),
    ],
)
def test_size_and_pixel_size(cfg, metas, options, expected):
    recipe = recipe_of(cfg, metas, **options)
    assert (recipe.size, recipe.pixel_size) == pytest.approx(expected)
    assert recipe.stain is None
    assert recipe.stain_name == 'none'


@pytest.mark.parametrize(
    'resize',
    [
        dict(scale=(2048, 512), keep_ratio=True),
        dict(scale=(512, 512), keep_ratio=False),
        dict(scale=(512, 512)),  # mmcv keeps no ratio unless told
        dict(scale_factor=0.5, keep_ratio=True),
        dict(scale=0, keep_ratio=True),
        dict(scale=[[512]], keep_ratio=True),
    ],
)
def test_resizing_to_other_than_a_longer_side_needs_the_size(resize):
    cfg = pipeline(dict(type='Resize', **resize))
    with pytest.raises(ValueError, match=r'Resize\(scale=.* not a longer side.*--size'):
        recipe_of(cfg, [{}])
    assert recipe_of(cfg, [{}], size=512).size == 512


def test_members_of_different_training_pixel_size_are_refused():
    with pytest.raises(ValueError, match=r'\(1\.5, 3 um/px\).*--training-pixel-size'):
        recipe_of(pipeline(), [meta(), meta(pixel_size=3)])


def test_members_of_an_ensemble_are_averaged_organ_by_organ():
    organs = dict(kidney=0.5, lung=0.8), dict(kidney=0.52, spleen=0.4)
    recipe = recipe_of(pipeline(), [meta(by_organ=each) for each in organs])
    assert recipe.pixel_size_by_organ == pytest.approx(dict(kidney=0.51))
    other = dict(kidney=0.9)
    with pytest.raises(ValueError, match=r'\(0\.5, 0\.9 um/px\)'):
        recipe_of(pipeline(), [meta(by_organ=organs[0]), meta(by_organ=other)])


BY_ORGAN = dict(kidney=0.5, lung=0.8, prostate=6.3)


@pytest.mark.parametrize(
    ('cfg', 'options', 'scale'),
    [
        (pipeline(), {}, 1),
        (pipeline(), dict(size=100), 1),
        # the pipeline brings prepared images to another size
        (pipeline(RESIZE), {}, 64 / 512),
    ],
)
def test_pixel_size_by_organ(cfg, options, scale):
    recipe = recipe_of(cfg, [meta(by_organ=BY_ORGAN)], **options)
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        for organ, pixel_size in BY_ORGAN.items():
            for name in (organ, organ.upper()):
                assert recipe.pixel_size_of(name) == pytest.approx(pixel_size * scale)
    for organ, said in ((None, 'an unknown organ'), ('heart', "'heart'")):
        text = rf'images of {said} .*\(kidney\) to .*\(prostate\): give --organ'
        with pytest.warns(UserWarning, match=text):
            assert recipe.pixel_size_of(organ) == pytest.approx(1.5 * scale)


@pytest.mark.parametrize(
    ('by_organ', 'options'),
    [
        (None, {}),
        ({}, {}),
        (dict(kidney=1.5, lung=1.6), {}),  # alike
        (dict(kidney=3.0), {}),
        (BY_ORGAN, dict(pixel_size=1.5)),  # the option is for all
    ],
)
@pytest.mark.parametrize('organ', [None, 'heart'])
def test_one_pixel_size_needs_no_organ(by_organ, options, organ):
    recipe = recipe_of(pipeline(), [meta(by_organ=by_organ)], **options)
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        assert recipe.pixel_size_of(organ) == 1.5


def test_the_option_is_for_all_organs():
    recipe = recipe_of(pipeline(), [meta(by_organ=BY_ORGAN)], pixel_size=0.7)
    assert recipe.pixel_size_of('prostate') == 0.7


def test_stains(target):
    stain = fit_stain_step('vahadane', target, 'stain-first')
    name = f'{stain.id} stain-first'
    trained = meta(stain=stain) | dict(stain=name)
    assert recipe_of(pipeline(), [trained]).stain_name == name
    assert recipe_of(pipeline(), [trained], stain_target='none').stain is None
    from_file = recipe_of(pipeline(), [{}], stain_target=target)
    assert from_file.stain_name == f'{stain.id} resize-first'
    online = pipeline(dict(type='StainNormalize', target=str(target)))
    found = recipe_of(online, [dict(stain=f'{stain.id} online')])
    assert found.stain == from_file.stain
    assert recipe_of(pipeline(), [dict(stain='unknown')]).stain is None


@pytest.mark.parametrize(
    ('cfg', 'metas', 'message'),
    [
        (pipeline(), [meta(), meta(96)], r'differently prepared.*say --size'),
        (pipeline(), [dict(stain='vahadane-1 online')], '--stain-target FILE, or none'),
        (pipeline(dict(type='CLAHE')), [{}], "test_pipeline holds 'CLAHE'"),
    ],
)
def test_faults_are_named(cfg, metas, message):
    with pytest.raises(ValueError, match=message):
        recipe_of(cfg, metas)


def test_checkpoints_of_other_stains_do_not_mix(target):
    stains = [
        fit_stain_step('vahadane', target, order)
        for order in ('resize-first', 'stain-first')
    ]
    metas = [meta(stain=stain) for stain in stains]
    with pytest.raises(ValueError, match='differently prepared'):
        recipe_of(pipeline(), metas)
    assert recipe_of(pipeline(), metas, stain_target=target).stain is not None


def test_a_preparation_that_is_none():
    with pytest.raises(ValueError, match=r'preparation=.*cannot be understood'):
        recipe_of(Config(), [dict(preparation=[64])])
