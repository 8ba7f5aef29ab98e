"""Model folders hold a model without code, and stand wherever one is named."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from slim_models import CONFIGS, build_slim, slim_config
from small_models import noise, save

from mmseg_ftu import FTUPredictor
from mmseg_ftu.cli import main
from mmseg_ftu.engine import model_folder
from mmseg_ftu.export import model_folder as exporter
from mmseg_ftu.export.model_folder import export_model
from mmseg_ftu.export.model_place import require_free
from mmseg_ftu.export.model_scores import read_scores
from mmseg_ftu.models.backbones import CoaT
from mmseg_ftu.models.backbones.hub_weights import published_cfg
from mmseg_ftu.prepared_table import image_key
from mmseg_ftu.recipe import Recipe
from mmseg_ftu.thresholds import threshold_for
from mmseg_ftu.view.image_row import read_rows

RECIPE = Recipe(64, 0.5, None, dict(kidney=0.4)).to_dict()
META = dict(
    stain='none',
    preparation=RECIPE,
    train_images=['a', 'b', image_key('seen', (64, 64), '')],
    fold=1,
    folds_id='f',
    classes=['background', 'FTU'],
)
SAID = dict(
    name='glomeruli of tests',
    authors=['Ada Example'],
    license='CC-BY-4.0',
    data='Noise',
    data_license='CC0-1.0',
    organ='kidney',
    unit='glomerulus',
)
GROUPS = """by,group,images,dice_mean,dice_low,dice_high,dice_median,iou_mean
organ,kidney,3,0.8123456,0.7,0.9,0.81,0.7
all,all,1,0.8,,,0.8,0.7
source,a|b,0,,,,,
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Path:
    """Return a checkpoint with its config beside it, as training leaves them."""
    init_default_scope('mmseg')  # fixtures of a module come before that of each test
    folder = tmp_path_factory.mktemp('run')
    cfg = slim_config('quickstart')
    cfg.data_root = '/home/ada/patients'
    cfg.dump(folder / 'slim.py')
    torch.manual_seed(0)
    model = build_slim(cfg, [torch.randn(2, 3, 64, 64)])
    return save(model, folder / 'best.pth', **META)


@pytest.fixture(scope='module')
def exported(trained, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('models')
    cv2.imwrite(str(folder / 'tissue.png'), noise(90, 70)[..., ::-1])
    (folder / 'groups.csv').write_text(GROUPS)
    export_model(
        str(trained),
        str(folder / 'glomeruli'),
        scores=folder / 'groups.csv',
        images=[folder / 'tissue.png'],
        **SAID,
    )
    return folder / 'glomeruli'


def copy(exported: Path, target: Path, **changes) -> Path:
    """Copy a folder, with other content of config.json."""
    target.mkdir()
    for name in ('model.safetensors', 'model.json'):
        (target / name).write_bytes((exported / name).read_bytes())
    config = json.loads((exported / 'config.json').read_text())
    for path, value in changes.items():
        place = config
        *parents, last = path.split('__')
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = value
    (target / 'config.json').write_text(json.dumps(config))
    return target


def test_nothing_else_is_written(exported):
    names = sorted(p.relative_to(exported).as_posix() for p in exported.rglob('*'))
    assert names == [
        *('README.md', 'config.json', 'images', 'images/1.png'),
        *('model.json', 'model.safetensors'),
    ]
    assert sorted(p.name for p in exported.parent.iterdir()) == [
        *('glomeruli', 'groups.csv', 'tissue.png'),
    ]


def test_predictions_are_those_of_the_checkpoint(trained, exported):
    image = noise(50, 90)
    expected = FTUPredictor(trained.with_name('slim.py'), trained)(image).probability
    for args in ([exported], [exported, exported], [str(exported), [trained]]):
        found = FTUPredictor(*args)(image).probability
        assert np.array_equal(found, expected)
    assert expected.std() > 0.01


def test_the_preparation_of_training_travels(exported):
    predictor = FTUPredictor(exported)
    assert predictor.recipe.size == 64
    assert predictor.recipe.pixel_size_of('kidney') == 0.4
    assert predictor.network.metas[0]['train_images'] == META['train_images']


def test_model_json_says_what_is_known(exported):
    facts = model_folder.read_facts(exported)
    for key in ('license', 'data', 'data_license', 'organ', 'unit', 'name'):
        assert facts[key] == SAID[key]
    assert facts['training'] == dict(images=3, fold=1, folds_id='f')
    assert facts['pixel_sizes'] == dict(kidney=0.4)
    assert facts['scores'][0] == dict(
        by='organ', group='kidney', images=3, dice_mean=0.8123, dice_low=0.7,
        dice_high=0.9,
    )  # fmt: skip
    assert facts['scores'][1]['dice_low'] is None
    assert set(facts['versions']) >= {'mmseg_ftu', 'torch'}


def test_the_card_has_the_hubs_metadata(exported):
    _, block, text = (exported / 'README.md').read_text().split('---\n', 2)
    metadata = yaml.safe_load(block)
    assert metadata['license'] == 'cc-by-4.0'
    assert metadata['library_name'] == 'mmseg_ftu'
    assert metadata['pipeline_tag'] == 'image-segmentation'
    for part in (
        '# glomeruli of tests',
        '| kidney | 3 | 0.812 | 0.700 to 0.900 |',
        '| all | 1 | 0.800 |  |',
        '| a/b | 0 | none |  |',
        'Those of fewer than 5 images say next to nothing.',
        'above 0.5; `predict` chooses by data source and organ (HPA 0.5, HPA lung 0.15',
        'Noise. Images that were trained on: 3.',
        'Training data: CC0-1.0',
        'images/1.png',
    ):
        assert part in text
    assert cv2.imread(str(exported / 'images/1.png')).shape == (90, 70, 3)


def test_no_path_of_the_machine_is_in_it(exported):
    content = (exported / 'config.json').read_text()
    assert 'patients' not in content
    assert str(exported.parent) not in content


def test_the_weights_start_another_training(exported):
    model = MODELS.build(slim_config('quickstart').model)
    load_checkpoint(model, str(exported), strict=True)
    state = safetensors.torch.load_file(exported / 'model.safetensors')
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert any(name.startswith('auxiliary_head') for name in state)


def test_the_encoder_starts_from_it(exported):
    arch = slim_config('quickstart').model.backbone.arch
    init_cfg = dict(type='Pretrained', checkpoint=str(exported))
    backbone = CoaT(arch, init_cfg=init_cfg)
    backbone.init_weights()
    state = safetensors.torch.load_file(exported / 'model.safetensors')
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, state[f'backbone.{name}'])


def test_half_the_size(trained, tmp_path):
    sizes = []
    for half in (False, True):
        out = tmp_path / f'model-{half}'
        export_model(str(trained), str(out), half=half)
        sizes.append((out / 'model.safetensors').stat().st_size)
        FTUPredictor(out)
    assert sizes[1] < 0.65 * sizes[0]


def test_the_command_line(trained, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(exporter, 'print_log', lambda text, *_: said.append(text))
    out, results = tmp_path / 'a-model', tmp_path / 'results'
    cv2.imwrite(str(tmp_path / 'x.png'), noise())
    assert main(['export', 'model', str(trained), str(out)]) == 0
    assert 'within 0' in said[0]
    assert '--author, --license, --data, --data-license, --scores' in said[1]
    words = ['predict', str(out), '--input', str(tmp_path / 'x.png')]
    assert main([*words, '--output', str(results)]) == 0
    assert (results / 'masks' / 'x.png').is_file()
    assert main([*words, '--output', str(results)]) == 0  # goes on


def test_a_config_alone_has_no_weights(trained, tmp_path, capsys):
    config = str(trained.with_name('slim.py'))
    words = ['predict', config, '--input', 'x', '--output', str(tmp_path / 'o')]
    assert main(words) == 2
    assert 'has no weights: give a checkpoint' in capsys.readouterr().err
    with pytest.raises(ValueError, match=r'best\.pth is a checkpoint: .*slim\.py'):
        FTUPredictor(trained)
    with pytest.raises(ValueError, match='the config has no weights'):
        FTUPredictor(Config.fromfile(config))


def test_a_config_that_could_run_code_is_refused(exported, tmp_path):
    bad = copy(exported, tmp_path / 'bad', model__type='os.system')
    said = r"bad, config\.json: model\.type='os\.system' is not known as a harmless"
    with pytest.raises(ValueError, match=said):
        FTUPredictor(bad)
    bad = copy(exported, tmp_path / 'imports', custom_imports=dict(imports=['this']))
    with pytest.raises(ValueError, match="custom_imports 'this' could run any code"):
        FTUPredictor(bad)


@pytest.mark.parametrize(
    'config', sorted([*CONFIGS.glob('[!_]*/*.py')], key=str), ids=lambda p: p.stem
)
def test_every_config_of_ours_can_be_held(config):
    cfg = Config.fromfile(config)
    parts = exporter.parts_of(cfg)
    assert json.loads(json.dumps(parts)) == parts
    assert parts['model']['type'] == cfg.model.type


def test_later_formats_and_other_files_are_refused(exported, tmp_path):
    later = copy(exported, tmp_path / 'later')
    (later / 'model.json').write_text('{"format": 2}')
    with pytest.raises(ValueError, match='format 2, this version reads up to 1'):
        FTUPredictor(later)
    (later / 'model.json').write_text('[1]')
    with pytest.raises(ValueError, match='holds a list, no object'):
        FTUPredictor(later)
    (later / 'model.json').write_text('{')
    with pytest.raises(ValueError, match='can not be read as JSON'):
        FTUPredictor(later)
    (later / 'model.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'lacks model\.json'):
        FTUPredictor(later)


def test_json_that_others_read_differently_is_refused(exported, tmp_path):
    odd = copy(exported, tmp_path / 'odd')
    text = (odd / 'config.json').read_text()
    for content, said in (
        ('{"model": {"type": "os.system"}, ' + text[1:], "'model' occurs twice"),
        (text.replace('123.675', 'NaN'), 'NaN is not JSON'),
        (text + ' ' * 2**24, 'more than 16,777,216 bytes'),
    ):
        (odd / 'config.json').write_text(content)
        with pytest.raises(ValueError, match=f'can not be read as JSON .*{said}'):
            FTUPredictor(odd)
    (odd / 'model.json').unlink()
    os.mkfifo(odd / 'model.json')  # would block
    with pytest.raises(ValueError, match='it is not a file'):
        FTUPredictor(odd)


def test_what_lies_too_deep_is_refused(exported, tmp_path):
    deep = copy(exported, tmp_path / 'deep', model__x=[[[]]])
    text = (deep / 'config.json').read_text()
    for depth, said in ((40, 'lie too deep'), (100_000, 'can not be read as JSON')):
        nested = text.replace('[[[]]]', '[' * depth + ']' * depth)
        (deep / 'config.json').write_text(nested)
        with pytest.raises(ValueError, match=said):
            FTUPredictor(deep)


def test_a_folder_is_exported_again(exported, tmp_path):
    export_model(
        str(exported),
        str(tmp_path / 'again'),
    )
    names = ('config.json', 'model.safetensors')
    assert [(tmp_path / 'again' / n).read_bytes() for n in names] == [
        (exported / n).read_bytes() for n in names
    ]
    facts, before = map(model_folder.read_facts, (tmp_path / 'again', exported))
    before['name'] = 'again'
    before['digests']['README.md'] = facts['digests']['README.md']  # no picture
    assert facts == before
    with pytest.raises(ValueError, match='is the model itself'):
        export_model(str(exported), str(exported), overwrite=True)
    words = ['export', 'model', str(exported / 'model.safetensors')]
    assert main([*words, str(tmp_path / 'third'), '--organ', 'lung']) == 0
    assert model_folder.read_facts(tmp_path / 'third')['organ'] == 'lung'


@pytest.mark.parametrize(
    ('options', 'name'),
    [([], 'glomerulus'), (['--class', 'Glomerulus'], 'Glomerulus')],
)
def test_units_are_called_as_the_model_says(exported, tmp_path, options, name):
    image = tmp_path / 'a.png'
    cv2.imwrite(str(image), noise(90, 70)[..., ::-1])
    words = ['predict', str(exported), '--input', str(image), '--output']
    words += [str(tmp_path / 'out'), '--save', 'masks', 'geojson', 'units']
    words += ['--threshold', '0']
    assert main([*words, *options]) == 0
    found = json.loads((tmp_path / 'out/geojson/a.geojson').read_text())['features']
    assert {f['properties']['classification']['name'] for f in found} == {name}
    rows = pd.read_csv(tmp_path / 'out' / 'units.csv')
    assert set(rows['class']) == {name}
    words = ['units', str(tmp_path / 'out'), '--out', str(tmp_path / 'measured')]
    assert main(words) == 0
    assert set(pd.read_csv(tmp_path / 'measured' / 'units.csv')['class']) == {name}
    (row,) = read_rows(tmp_path / 'out')
    assert row.class_name == name
    (tmp_path / 'out' / 'prediction.json').write_text('damaged')
    # by the organ, which is that of the model
    assert read_rows(tmp_path / 'out')[0].class_name == 'glomerulus'


def test_other_commands_take_a_folder(exported, tmp_path, capsys):
    pytest.importorskip('onnxscript', reason='the extra [onnx] is not installed')
    out = tmp_path / 'model.onnx'
    assert main(['export', 'onnx', str(exported), '--out', str(out)]) == 0
    assert out.is_file()
    assert main(['test', str(exported), str(exported)]) == 2
    assert 'has no data to test on' in capsys.readouterr().err
    assert main(['train', str(exported)]) == 2
    assert 'has no data to train on' in capsys.readouterr().err


@pytest.mark.parametrize('text', ['all rights reserved', 'proprietary'])
def test_what_is_no_identifier_of_a_licence(trained, tmp_path, text):
    for option in ('license', 'data_license'):
        with pytest.raises(ValueError, match='give an SPDX identifier'):
            export_model(str(trained), str(tmp_path / 'm'), **{option: text})


def test_damaged_weights_are_named(exported, tmp_path):
    bad = copy(exported, tmp_path / 'bad')
    content = (bad / 'model.safetensors').read_bytes()
    (bad / 'model.safetensors').write_bytes(content[:-100])
    with pytest.raises(ValueError, match=r'model\.safetensors.*damaged'):
        FTUPredictor(bad)
    altered = bytearray(content)
    altered[-50] ^= 1
    (bad / 'model.safetensors').write_bytes(altered)
    with pytest.raises(ValueError, match=r'SHA-256 is not that in model\.json'):
        FTUPredictor(bad)


def test_what_is_there_stays(trained, exported, tmp_path):
    out = tmp_path / 'm'
    out.mkdir()
    (out / 'notes.txt').write_text('mine')
    with pytest.raises(ValueError, match='not empty and no model folder'):
        export_model(str(trained), str(out), overwrite=True)
    assert [p.name for p in out.iterdir()] == ['notes.txt']
    file = tmp_path / 'file'
    file.write_text('mine')
    with pytest.raises(ValueError, match='is a file'):
        export_model(str(trained), str(file))
    with pytest.raises(ValueError, match='is there already'):
        export_model(str(trained), str(exported))


def test_a_folder_of_ours_is_replaced_unless_files_were_added(trained, tmp_path):
    out = tmp_path / 'model'
    export_model(str(trained), str(out))
    export_model(str(trained), str(out), license='MIT', overwrite=True)
    assert model_folder.read_facts(out)['license'] == 'MIT'
    (out / 'training.log').write_text('mine')
    with pytest.raises(ValueError, match=r'files that were added.*training\.log'):
        export_model(str(trained), str(out), overwrite=True)
    (out / 'training.log').unlink()
    (out / 'images').mkdir()
    (out / 'images' / 'mine.png').write_text('mine')
    with pytest.raises(ValueError, match=r'mine\.png'):
        require_free(out, overwrite=True)
    (out / 'images' / 'mine.png').rename(out / 'images' / '7.png')
    with pytest.raises(ValueError, match=r'7\.png'):
        require_free(out, overwrite=True)


def test_what_a_killed_export_left_is_removed(trained, tmp_path):
    out = tmp_path / 'model'
    (tmp_path / '.model.1234abcd.tmp' / 'old').mkdir(parents=True)
    export_model(str(trained), str(out))
    assert os.listdir(tmp_path) == ['model']
    left = tmp_path / '.model.1234abcd.tmp' / 'old'
    left.mkdir(parents=True)
    out.rename(left / 'model')  # killed in the middle of an exchange
    with pytest.raises(ValueError, match='model is there already'):
        export_model(str(trained), str(out))
    assert os.listdir(tmp_path) == ['model']


def test_a_failed_export_leaves_nothing(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, 'largest_change', lambda *_: 0.5)
    with pytest.raises(ValueError, match=r'change a probability by 0\.5'):
        export_model(str(trained), str(tmp_path / 'model'))
    assert os.listdir(tmp_path) == []


def test_bad_arguments_are_told_first(trained, tmp_path, monkeypatch):
    out = str(tmp_path / 'model')
    (tmp_path / 'bad.csv').write_text('a,b\n1,2\n')
    for options, said in (
        (dict(scores=tmp_path / 'bad.csv'), 'give evaluation_groups.csv'),
        (dict(scores=tmp_path / 'none.csv'), 'none.csv: can not be read'),
        (dict(images=[tmp_path / 'none.png']), r'none\.png'),
        (dict(name='a/b'), '--name'),
        (dict(config='none.py'), 'there is no such config'),
    ):
        with pytest.raises((ValueError, OSError), match=said):
            export_model(str(trained), out, **options)
    with pytest.raises(FileNotFoundError, match=r'none\.pth does not exist'):
        export_model(str(tmp_path / 'none.pth'), out)
    (tmp_path / 'link').symlink_to(tmp_path / 'nowhere')
    with pytest.raises(ValueError, match='link is a link: name the folder itself'):
        export_model(str(trained), str(tmp_path / 'link'))
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    with pytest.raises(ValueError, match='here is or holds the folder you are in'):
        export_model(str(trained), '.')
    (tmp_path / 'alone.pth').write_bytes(trained.read_bytes())
    with pytest.raises(ValueError, match=r'one config \(\.py\) beside it, found none'):
        export_model(str(tmp_path / 'alone.pth'), out)


def test_what_a_folder_cannot_hold_is_named(trained, tmp_path):
    for options, said in (
        ({'custom_imports.imports': ['my_models']}, "'my_models' could run any code"),
        ({'model.decode_head.note': '/data/target.json'}, 'could name a file'),
    ):
        with pytest.raises(ValueError, match=said):
            export_model(str(trained), str(tmp_path / 'model'), cfg_options=options)


def test_the_pixel_size_that_was_said_travels(trained, tmp_path):
    out = tmp_path / 'm'
    export_model(str(trained), str(out), organ='lung', training_pixel_size=0.7)
    assert model_folder.read_facts(out)['pixel_size'] == 0.7
    recipe = FTUPredictor(out).recipe
    assert [recipe.pixel_size_of(organ) for organ in (None, 'kidney')] == [0.7, 0.7]
    export_model(str(out), str(tmp_path / 'again'))
    assert FTUPredictor(tmp_path / 'again').recipe.pixel_size_of('kidney') == 0.7


def test_the_threshold_is_that_of_the_card(trained, tmp_path):
    out = tmp_path / 'm'
    export_model(str(trained), str(out), organ='lung', data_source='HPA')
    table = model_folder.read_facts(out)['thresholds']
    said = threshold_for(table, 'HPA', 'lung')
    predictor, image = FTUPredictor(out), tmp_path / 'a.png'
    cv2.imwrite(str(image), noise(64, 64))
    assert predictor(image).map.threshold == said
    assert predictor(image, 'kidney').map.threshold != said
    words = ['predict', str(out), '--input', str(image), '--output']
    assert main([*words, str(tmp_path / 'o')]) == 0
    (row,) = pd.read_csv(tmp_path / 'o' / 'predictions.csv').itertuples()
    assert (row.threshold, row.organ) == (said, 'lung')
    assert np.isnan(row.data_source)  # that of the training images is not that of these


@pytest.mark.parametrize('name', ['README.md', 'config.json'])
def test_an_edited_file_is_not_replaced(trained, tmp_path, name):
    out = tmp_path / 'm'
    export_model(str(trained), str(out))
    export_model(str(trained), str(out), overwrite=True)
    (out / name).write_text((out / name).read_text() + ' ')
    with pytest.raises(ValueError, match=f'{name} was changed since it was exported'):
        export_model(str(trained), str(out), overwrite=True)
    (out / name).unlink()
    export_model(str(trained), str(out), overwrite=True)
    (out / name).unlink()
    (out / name).symlink_to(trained)
    with pytest.raises(ValueError, match='was changed since'):
        export_model(str(trained), str(out), overwrite=True)


@pytest.mark.parametrize(
    ('row', 'said'),
    [
        ('all,all,3,1.5,0.1,0.2', 'dice_mean is 1.5'),
        ('all,all,3,abc,0.1,0.2', "dice_mean is 'abc'"),
        ('all,all,3,0.5,-1,0.2', 'dice_low is -1'),
        ('all,all,2.5,0.5,0.1,0.2', 'images is 2.5'),
        ('all,<b>,3,0.5,0.1,0.2', "group is '<b>'"),
    ],
)
def test_scores_that_cannot_be(tmp_path, row, said):
    path = tmp_path / 'groups.csv'
    path.write_text('by,group,images,dice_mean,dice_low,dice_high\n' + row + '\n')
    with pytest.raises(ValueError, match=rf'groups.csv, row 1: {said}'):
        read_scores(path)


def test_no_model_lands_in_a_model_or_in_data(trained, exported, make_prepared):
    data = make_prepared(2, 64)
    for place in (exported / 'inside', data / 'images' / 'm'):
        with pytest.raises(ValueError, match='a model folder or prepared images'):
            export_model(str(trained), str(place))


def test_a_model_may_lie_beside_other_config_json(trained, tmp_path):
    for name in ('config.json', 'folds.csv'):
        (tmp_path / name).write_text('{}')
    export_model(str(trained), str(tmp_path / 'models' / 'm'))
    assert (tmp_path / 'models' / 'm' / 'README.md').is_file()


def test_a_folder_that_only_looks_like_a_leftover_stays(trained, tmp_path):
    mine = tmp_path / '.m.12345678.tmp'
    mine.mkdir()
    (mine / 'own.txt').write_text('mine')
    export_model(str(trained), str(tmp_path / 'm'))
    assert (mine / 'own.txt').read_text() == 'mine'


def test_a_picture_of_a_training_image_says_so(trained, tmp_path):
    for name in ('seen', 'x'):
        cv2.imwrite(str(tmp_path / f'{name}.png'), noise(64, 64))
        out = tmp_path / f'model-{name}'
        export_model(str(trained), str(out), images=[tmp_path / f'{name}.png'])
        card = (out / 'README.md').read_text()
        assert ('An image that was trained on' in card) == (name == 'seen')
    with pytest.raises(ValueError, match=r'--image .*none\.png: can not be read'):
        export_model(str(trained), str(tmp_path / 'y'), images=[tmp_path / 'none.png'])


def test_what_is_no_model_is_named(exported, tmp_path, capsys):
    words = ['--input', 'x', '--output', str(tmp_path / 'o')]
    assert main(['predict', str(tmp_path / 'typo'), *words]) == 2
    assert 'typo: there is no such config or model folder' in capsys.readouterr().err
    bare = copy(exported, tmp_path / 'bare')
    (bare / 'config.json').unlink()
    assert main(['predict', str(bare), *words]) == 2
    assert 'lacks config.json' in capsys.readouterr().err
    assert main(['export', 'model', str(bare), str(tmp_path / 'p')]) == 2
    assert 'lacks config.json' in capsys.readouterr().err


def test_a_setting_that_the_model_lacks_is_named(trained, tmp_path, capsys):
    words = ['export', 'model', str(trained), str(tmp_path / 'm')]
    assert main([*words, '--cfg-options', 'model.nonesuch.x=3']) == 2
    assert "the config's model can not be built" in capsys.readouterr().err


def test_weights_without_their_hash_are_refused(exported, tmp_path):
    bare = copy(exported, tmp_path / 'bare')
    (bare / 'model.json').write_text('{"made_by": "mmseg_ftu", "format": 1}')
    with pytest.raises(ValueError, match='its SHA-256 is not that in'):
        FTUPredictor(bare)


def test_normalisation_of_a_folder_is_known_to_an_encoder(exported):
    config = json.loads((exported / 'config.json').read_text())
    expected = config['model']['data_preprocessor']
    found = published_cfg(str(exported), exported / 'model.safetensors')
    for key in ('mean', 'std'):
        assert np.array(found[key]) * 255 == pytest.approx(expected[key])
