"""Normalised while prepared: the engine's result, the order asked for, resumable."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_ftu.datasets import HuBMAPDataset
from mmseg_ftu.io.resizing import resize_image
from mmseg_ftu.preparation.competition import prepare_hubmap
from mmseg_ftu.preparation.records import PreparationError
from mmseg_ftu.preparation.stain_target import make_stain_target
from mmseg_ftu.preparation.staining import fit_stain_step
from mmseg_ftu.sample_tissue import write_sample_data
from mmseg_ftu.stain import VahadaneNormalizer, load_target

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp('stain') / 'raw'
    write_sample_data(folder, images=10, size=128)
    return folder


@pytest.fixture(scope='module')
def target(source):
    path = source.parent / 'target.json'
    make_stain_target(source, path, size=128, tiles=3, workers=0)
    return path


def prepare(source, folder, stain=None, **kwargs):
    kwargs = dict(size=64, workers=0, folds=2) | kwargs
    return prepare_hubmap(source, folder, stain=stain, **kwargs)


def read(folder, name):
    return cv2.imread(str(folder / 'images' / f'{name}.png'))[..., ::-1]


def raw(source, name):
    return cv2.imread(str(source / 'train_images' / f'{name}.tiff'))[..., ::-1]


@pytest.mark.parametrize('order', ['resize-first', 'stain-first'])
def test_images_are_the_engines_in_the_order_asked_for(source, target, order, tmp_path):
    stain = fit_stain_step('vahadane', target, order)
    summary = prepare(source, tmp_path / 'p', stain)
    assert f'Stains normalised ({stain.id}, {order}).' in summary
    normalizer = load_target(target)
    names = sorted(p.stem for p in (tmp_path / 'p' / 'images').iterdir())
    assert len(names) == 10
    changed = 0
    for name in names:
        image, shape = np.ascontiguousarray(raw(source, name)), (64, 64)
        if order == 'resize-first':
            expected = normalizer.transform(resize_image(image, shape))
        else:
            expected = resize_image(normalizer.transform(image), shape)
        assert np.array_equal(read(tmp_path / 'p', name), expected)
        changed += not np.array_equal(expected, resize_image(image, shape))
    assert changed > 5


def test_manifest_dataset_and_masks(source, target, tmp_path):
    prepare(source, tmp_path / 'plain')
    stain = fit_stain_step('vahadane', target)
    prepare(source, tmp_path / 'p', stain)
    manifest = json.loads((tmp_path / 'p' / 'manifest.json').read_text())
    assert manifest['settings']['stain'] == json.loads(json.dumps(stain.to_dict()))
    for kind in ('masks', 'masks_original'):
        for path in (tmp_path / 'plain' / kind).iterdir():
            assert path.read_bytes() == (tmp_path / 'p' / kind / path.name).read_bytes()
    named = HuBMAPDataset(str(tmp_path / 'p'), pipeline=[]).metainfo['stain']
    assert named == f'{stain.id} resize-first'
    plain = HuBMAPDataset(str(tmp_path / 'plain'), pipeline=[]).metainfo['stain']
    assert plain == 'none'
    online = HuBMAPDataset(
        str(tmp_path / 'plain'),
        pipeline=[dict(type='StainNormalize', target=str(target))],
    )
    assert online.metainfo['stain'] == f'{stain.id} online'


def test_failures_are_listed_and_survive_a_second_run(source, target, tmp_path):
    copy = tmp_path / 'raw'
    shutil.copytree(source, copy)
    path = sorted((copy / 'train_images').iterdir())[0]
    image = np.full_like(cv2.imread(str(path)), 255)
    cv2.imwrite(str(path), image)
    stain = fit_stain_step('vahadane', target)
    summary = prepare(copy, tmp_path / 'p', stain)
    assert 'could not be fitted' in summary
    assert 'tissue' in summary
    assert (read(tmp_path / 'p', path.stem) == 255).all()
    manifest = tmp_path / 'p' / 'manifest.json'
    failures = json.loads(manifest.read_text())['stain_failures']
    assert 'tissue' in failures[path.stem]
    # one image is made again, the notes on the others are kept
    other = sorted((tmp_path / 'p' / 'images').iterdir())[-1]
    other.unlink()
    prepare(copy, tmp_path / 'p', stain)
    assert json.loads(manifest.read_text())['stain_failures'] == failures


def test_another_target_is_another_folder(source, target, tmp_path):
    prepare(source, tmp_path / 'p')
    before = (tmp_path / 'p' / 'manifest.json').read_bytes()
    stain = fit_stain_step('vahadane', target)
    with pytest.raises(PreparationError, match=r'begun with other settings: stain'):
        prepare(source, tmp_path / 'p', stain)
    assert (tmp_path / 'p' / 'manifest.json').read_bytes() == before
    assert 'wrote 10 of 10' in prepare(source, tmp_path / 'p', stain, overwrite=True)


def test_folders_of_both_rules_are_told_apart(source, target, tmp_path):
    """A folder of version 1 goes on with its target, and with no other."""
    mosaic = np.ascontiguousarray(
        cv2.imread(str(target.with_suffix('.png')))[..., ::-1]
    )
    old = tmp_path / 'old.json'
    fitted = VahadaneNormalizer(compatible=True).fit(mosaic)
    old.write_text(json.dumps(fitted.state_dict()))
    with pytest.warns(UserWarning, match=r'old\.json: it measures'):
        step = fit_stain_step('vahadane', old)
    with pytest.warns(UserWarning, match=f'{step.id}: it measures'):
        prepare(source, tmp_path / 'p', step)
    for other in (target, target.with_suffix('.png')):
        with pytest.raises(PreparationError, match='begun with other settings: stain'):
            prepare(source, tmp_path / 'p', fit_stain_step('vahadane', other))
    assert 'nothing to do' in prepare(source, tmp_path / 'p', step)
    for path in (tmp_path / 'p' / 'images').iterdir():
        image = resize_image(np.ascontiguousarray(raw(source, path.stem)), (64, 64))
        assert np.array_equal(read(tmp_path / 'p', path.stem), fitted.transform(image))


def test_an_image_is_fitted_as_target(source, tmp_path):
    path = sorted((source / 'train_images').iterdir())[0]
    stain = fit_stain_step('vahadane', path)
    image = np.ascontiguousarray(raw(source, path.stem))
    fit = VahadaneNormalizer().fit(image)
    assert stain.state == fit.state_dict()
    assert fit_stain_step('macenko', path).id.startswith('macenko-')


def test_mistakes(target, tmp_path):
    with pytest.raises(PreparationError, match='was made for VahadaneNormalizer'):
        fit_stain_step('macenko', target)
    with pytest.raises(PreparationError, match=r'no\.json: no such file'):
        fit_stain_step('vahadane', tmp_path / 'no.json')
    with pytest.raises(PreparationError, match='no images'):
        make_stain_target(tmp_path / 'nowhere', tmp_path / 't', workers=0)


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(tile_size=10_000), r'--tile-size 10000: give 1 to 512 px.*--size 768'),
        (dict(tile_size=513), '--tile-size 513: give 1 to 512 px'),
        (dict(tile_size=600, tiles=2, size=512), 'give 1 to 512 px'),
        (dict(tile_size=0), '--tile-size 0'),
        (dict(tile_size=5000, size=None, tiles=1), 'give 1 to 4096 px'),
        (dict(tiles=0), '--tiles 0: give 1 to 64'),
        (dict(tiles=65), '--tiles 65: give 1 to 64'),
        (dict(size=100_000), '--size 100000: give 1 to 13377 px'),
        (dict(workers=-1), '--workers -1'),
    ],
)
def test_numbers_that_would_fill_the_memory_are_refused(
    source, tmp_path, options, match
):
    with pytest.raises(PreparationError, match=match):
        make_stain_target(source, tmp_path / 't', **dict(workers=0) | options)
    assert not list(tmp_path.iterdir())


def test_a_compatible_target(source, target, tmp_path):
    options = dict(size=128, tiles=3, workers=0, compatible=True)
    make_stain_target(source, tmp_path / 't', **options)
    mosaic = tmp_path / 't.png'
    assert mosaic.read_bytes() == target.with_suffix('.png').read_bytes()
    state = json.loads((tmp_path / 't.json').read_text())
    assert (state['version'], json.loads(target.read_text())['version']) == (1, 2)


def test_a_target_among_the_images_is_refused(source):
    images = source / 'train_images'
    with pytest.raises(ValueError, match='would read it as one of them'):
        make_stain_target(images, images / 'target', size=128, tiles=2, workers=0)
    assert not [*images.glob('target*')]


def test_names_with_full_stops_stay_apart(source, tmp_path):
    options = dict(size=128, tiles=2, workers=0)
    for name in ('t.v1', 't.v2.json'):
        make_stain_target(source, tmp_path / name, **options)
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {'t.v1.png', 't.v1.json', 't.v2.png', 't.v2.json'}


def test_target_is_deterministic_and_takes_every_source(source, target, tmp_path):
    prepare(source, tmp_path / 'p', size=128)
    for name, folder in (('raw', source), ('prepared', tmp_path / 'p')):
        make_stain_target(folder, tmp_path / name, size=128, tiles=3, workers=2)
    for suffix in ('.png', '.json'):
        made = [(tmp_path / n).with_suffix(suffix).read_bytes() for n in ('raw',)]
        assert made == [target.with_suffix(suffix).read_bytes()]
    images = make_stain_target(
        source / 'train_images', tmp_path / 'images', tiles=2, workers=0
    )
    assert 'in 1 groups (all)' in images
    assert cv2.imread(str(tmp_path / 'prepared.png')).shape == (96, 96, 3)


@pytest.mark.slow
def test_command_lines(source, tmp_path):
    def run(tool, *args):
        command = [sys.executable, ROOT / 'tools' / tool, *args]
        return subprocess.run(command, capture_output=True, text=True)

    made = run('make_stain_target.py', source, tmp_path / 't.png', '--tiles', '2')
    assert made.returncode == 0, made.stderr
    assert '2 x 2 tiles' in made.stdout
    mosaic = cv2.imread(str(tmp_path / 't.png'))[..., ::-1]
    assert mosaic.shape == (64, 64, 3)
    fitted = VahadaneNormalizer().fit(np.ascontiguousarray(mosaic))
    assert load_target(tmp_path / 't.json').state_dict() == fitted.state_dict()
    missing = run('make_stain_target.py', tmp_path / 'none', tmp_path / 'u.png')
    assert missing.returncode == 2
    assert 'none: no train.csv' in missing.stderr
    assert 'Traceback' not in missing.stderr
    options = ['--size', '64', '--folds', '2', '--stain', 'vahadane']
    alone = run('prepare_hubmap.py', source, tmp_path / 'p', *options)
    assert alone.returncode == 2
    assert 'belong together' in alone.stderr
    options += ['--stain-target', tmp_path / 't.json']
    done = run('prepare_hubmap.py', source, tmp_path / 'p', *options)
    assert done.returncode == 0, done.stderr
    assert 'Stains normalised (vahadane-' in done.stdout
