"""A config of strangers builds a model, and does nothing else."""

import copy

import pytest

from mmseg_ftu.engine.check_model_config import (
    check_model_config,
    imports_of,
    is_name_of_more,
    is_trusted,
)

PARTS = dict(
    default_scope='mmseg',
    custom_imports=dict(imports=['mmseg_ftu.plugin'], allow_failed_imports=False),
    model=dict(
        type='BinaryEncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53]
        ),
        backbone=dict(type='CoaT', arch=dict(embed_dims=[16, 24, 32, 40])),
        decode_head=dict(type='DAFormerHead', act_cfg=dict(type='ReLU'), threshold=0.5),
        test_cfg=dict(mode='whole'),
    ),
    inference=dict(views=['identity', 'flip_ud'], scales=[1.0], upsample='bilinear'),
    test_evaluator=dict(type='FTUDiceMetric', thresholds=dict(HPA=0.4, default=0.5)),
    img_scale=[768, 768],
    test_pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=[768, 768], keep_ratio=True),
    ],
)


def changed(**changes):
    """Return `PARTS` with other values; ``a__b`` is the entry b of a."""
    parts = copy.deepcopy(PARTS)
    for path, value in changes.items():
        place = parts
        *parents, last = path.split('__')
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = value
    return parts


def test_an_honest_config_passes():
    check_model_config(PARTS, 'the config')
    check_model_config(dict(model=PARTS['model']), 'the config')


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (
            {'model__type': 'os.system'},
            "model.type='os.system' is not known as a harmless",
        ),
        ({'model__type': 'antigravity'}, "'antigravity' is not known as a harmless"),
        ({'model__type': 'mmseg_ftu.cli.main'}, 'is not known as a harmless'),
        ({'model__type': 7}, 'model.type=7 is not known as a harmless'),
        (
            {'model__decode_head__act_cfg': [{'type': 'shutil.rmtree'}]},
            r'model.decode_head.act_cfg\[0\].type',
        ),
        ({'test_evaluator__type': 'builtins.exec'}, 'test_evaluator.type'),
        ({'model__backbone__type': 'VPD'}, "'VPD' is not known as a harmless"),
        ({'model__backbone__type': 'evil.ResNet'}, 'backbone.type'),
        ({'default_scope': 'evil'}, 'default_scope is not what'),
        (
            {'model__decode_head__loss_decode': dict(class_weight='http://x/w.pkl')},
            'decode_head.loss_decode is refused',
        ),
        (
            {'model__decode_head__class_weight': [1.0, 'weights.pkl']},
            r"class_weight='weights\.pkl' could name a file",
        ),
        ({'model__decode_head__x': 'http://x/y'}, 'could name a file, an address'),
        ({'model__decode_head__x': '..\\evil'}, 'could name a file, an address'),
        ({'model__backbone__norm_layer': 'evil.payload.x'}, 'could name a file'),
        ({'model__backbone__type': 'mmseg.TIMMBackbone'}, 'not known as a harmless'),
        (
            {
                'custom_imports': dict(imports=['mmpretrain.models']),
                'model__neck': dict(type='mmpretrain.VQAGenerationHead'),
            },
            'not known as a harmless',
        ),
        ({'model__auxiliary_head': {}}, 'model.auxiliary_head is refused'),
        ({'test_pipeline': [dict(type='StainNormalize', target='a/b')]}, 'target='),
        ({'custom_imports': dict(imports=5)}, 'custom_imports 5 could run'),
        ({'custom_imports': [3]}, 'custom_imports 3 could run'),
        ({'test_pipeline': 'abc'}, 'test_pipeline=.abc. is of another kind'),
        ({'model__test_cfg': 'abc'}, 'model.test_cfg is not what'),
        ({'model__data_preprocessor': None}, 'data_preprocessor or model.test_cfg is'),
        ({'test_pipeline': [{}]}, 'test_pipeline is not what'),
        ({'test_pipeline': [5]}, 'test_pipeline is not what'),
        ({'inference': 5}, 'inference=.5. is of another kind'),
        ({'inference__views': 5}, 'inference.views is not what'),
        ({'inference__scales': ['a']}, 'inference.scales is not what'),
        ({'test_evaluator': 5}, 'test_evaluator=.5. is of another kind'),
        ({'test_evaluator__thresholds': 'a'}, 'thresholds is not what'),
        ({'custom_imports': dict(imports=['this'])}, "custom_imports 'this' could run"),
        ({'custom_imports': 'this'}, "custom_imports 'this' could run"),
        ({'custom_imports': dict(imports='this')}, "custom_imports 'this' could run"),
        ({'model__backbone___scope_': 'evil'}, 'backbone._scope_ is refused'),
        (
            {'model__backbone__init_cfg': dict(checkpoint='http://x')},
            'backbone.init_cfg is refused',
        ),
        ({'custom_hooks': [dict(type='X')]}, r"unknown entries \['custom_hooks'\]"),
        ({'model': 3}, 'model=.3. is of another kind'),
    ],
)
def test_a_config_that_could_do_more_is_refused(changes, said):
    with pytest.raises(ValueError, match=said) as caught:
        check_model_config(changed(**changes), 'F, config.json')
    assert str(caught.value).startswith('F, config.json: ')


@pytest.mark.parametrize('value', [10**9, -1e9, float('inf'), float('nan'), 65537])
def test_numbers_that_no_model_has(value):
    for path in ('model__decode_head__channels', 'img_scale', 'inference__scales'):
        with pytest.raises(
            ValueError, match=r'^F: (model|img|inf)\S+=\S+ is not a number of a m'
        ):
            check_model_config(changed(**{path: [value]}), 'F')


def test_a_config_without_a_model():
    with pytest.raises(ValueError, match='F: no "model"; a model folder has'):
        check_model_config({}, 'F')


@pytest.mark.parametrize(
    ('imports', 'expected'),
    [
        ({}, []),
        (None, []),
        ('mmseg_ftu.plugin', ['mmseg_ftu.plugin']),
        (dict(imports=['mmpretrain.models']), ['mmpretrain.models']),
    ],
)
def test_imports(imports, expected):
    assert imports_of(dict(custom_imports=imports), 'F') == expected


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('CoaT', True),
        ('mmseg.DAFormerHead', True),
        ('ReLU', True),
        ('TIMMBackbone', False),
        ('VPD', False),
        ('HuBMAPDataset', False),
        ('Nobody', False),
        ('evil.CoaT', False),
        ('', False),
        (None, False),
    ],
)
def test_which_types_are_trusted(name, expected):
    assert is_trusted(name) is expected


@pytest.mark.parametrize(
    ('key', 'text', 'expected'),
    [
        ('mode', 'bilinear', False),
        ('model_name', 'vit_base.augreg_in21k', False),
        ('model_name', 'hf-hub:evil/model', True),
        ('type', 'mmseg.CoaT', False),
        ('x', 'weights.pkl', True),
        ('x', '~root', True),
        ('x', 'C:', True),
    ],
)
def test_texts_that_could_name_more(key, text, expected):
    assert is_name_of_more(key, text) is expected
