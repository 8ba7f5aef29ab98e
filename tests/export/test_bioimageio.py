"""Packages pass the test of bioimageio.core, and hold what QuPath can read."""

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
import torch
import yaml
from slim_models import build_slim, slim_config
from small_models import build_small, noise, save, section_target, small_config

from mmseg_ftu.export import bioimageio as export
from mmseg_ftu.export import package_facts
from mmseg_ftu.export.package_facts import PackageFacts, facts_of
from mmseg_ftu.export.package_pages import page_of
from mmseg_ftu.export.probability import example_image
from mmseg_ftu.recipe import Recipe, StainStep
from mmseg_ftu.stain import load_target

ROOT = Path(__file__).resolve().parents[2]
RECIPE = Recipe(512, 0.5, None, dict(kidney=0.4)).to_dict()
SAID = dict(authors=['Ada Example'], license='CC-BY-4.0', unit='Glomerulus')
MISSING = 'the extra [bioimageio] is not installed'


def write_inputs(folder: Path, **meta) -> dict[str, str]:
    """Write a small config and its checkpoint; return them as arguments."""
    cfg = small_config()
    cfg.dump(folder / 'small_model.py')
    meta = dict(stain='none', preparation=RECIPE) | meta
    save(build_small(cfg), folder / 'model.pth', **meta)
    return dict(
        config=str(folder / 'small_model.py'), checkpoint=str(folder / 'model.pth')
    )


def read_package(path: Path) -> dict[str, bytes]:
    with ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope='module')
def package(tmp_path_factory):
    """Return the path of a package."""
    pytest.importorskip('bioimageio.core', reason=MISSING)
    folder = tmp_path_factory.mktemp('package')
    image = noise(300, 280)
    cv2.imwrite(str(folder / 'tissue.png'), image[..., ::-1])
    export.export_bioimageio(
        **write_inputs(folder),
        out=str(folder / 'out' / 'model.zip'),
        image=str(folder / 'tissue.png'),
        organ='kidney',
        data_source='HPA',
        **SAID,
    )
    return folder / 'out' / 'model.zip'


@pytest.fixture(scope='module')
def files(package):
    """Return the content of its files by name."""
    return read_package(package)


@pytest.fixture(scope='module')
def rdf(files):
    """Return the newer description."""
    return yaml.safe_load(files['rdf.yaml'])


@pytest.mark.slow
def test_bioimageio_finds_the_newer_description_and_passes_it(package):
    core = pytest.importorskip('bioimageio.core', reason=MISSING)
    with export.offline():
        summary = core.test_description(package)
    assert summary.status == 'passed'
    tried = [d.name for d in summary.details if d.name.startswith('Run torchscript')]
    assert len(tried) > 3  # batches and sizes
    assert [p.name for p in package.parent.iterdir()] == ['model.zip']


def test_the_test_tensors_are_the_middle_of_the_image_and_what_is_said_of_it(files):
    given = np.load(io.BytesIO(files['test_input.npy']))
    assert given.shape == (1, 3, 256, 256)
    np.testing.assert_array_equal(
        given[0].transpose(1, 2, 0), noise(300, 280)[22:278, 12:268]
    )
    traced = torch.jit.load(io.BytesIO(files['weights.pt']))
    expected = np.load(io.BytesIO(files['test_output.npy']))
    np.testing.assert_allclose(traced(torch.from_numpy(given)), expected, atol=1e-6)
    assert expected.std() > 0.01
    cover = cv2.imdecode(np.frombuffer(files['cover.png'], np.uint8), 1)
    assert cover.shape == (256, 512, 3)
    assert len(files['cover.png']) < 500_000  # the limit of the model zoo


def test_the_pixel_size_is_that_of_the_organ(rdf):
    for tensor in (rdf['inputs'][0], rdf['outputs'][0]):
        space = [axis for axis in tensor['axes'] if axis['type'] == 'space']
        assert [axis['id'] for axis in space] == ['y', 'x']
        assert {axis['unit'] for axis in space} == {'micrometer'}
        assert {axis['scale'] for axis in space} == {0.4}


def test_what_the_format_has_no_place_for_is_in_the_config_and_on_the_page(files, rdf):
    outside = rdf['config']['mmseg_ftu']
    assert outside['threshold'] == 0.5
    assert outside['thresholds']['Hubmap'] == {'default': 0.4, 'lung': 0.1}
    assert outside['training_size'] == 512
    page = files['README.md'].decode()
    assert '0.4 um/px' in page
    assert '| Hubmap | lung | 0.1 |' in page
    assert rdf['cite'][0]['doi'] == '10.48550/arXiv.2308.10994'
    assert rdf['license'] == 'CC-BY-4.0'


def test_nothing_in_the_description_is_what_qupath_misreads(files, rdf):
    old = yaml.safe_load(files['rdf_v0_4.yaml'])
    for content in (rdf, old):
        (given,), (answer,) = content['inputs'], content['outputs']
        assert 'preprocessing' not in given
        assert 'postprocessing' not in answer
        # the keys without which QuPath reads nothing
        assert {'license', 'documentation', 'authors', 'weights'} <= {*content}
    sizes = [a['size'] for a in rdf['outputs'][0]['axes'] if a['type'] == 'space']
    assert [size['offset'] for size in sizes] == [0, 0]
    (names,) = (
        a['channel_names'] for a in rdf['outputs'][0]['axes'] if 'chan' in str(a)
    )
    assert names == ['Glomerulus']
    assert old['inputs'][0]['axes'] == old['outputs'][0]['axes'] == 'bcyx'
    assert old['outputs'][0]['halo'] == [0, 0, 64, 64]
    least = old['inputs'][0]['shape']['min'][2:]
    assert all(512 % side == 0 and side > 2 * 64 for side in least)


def test_fields_are_those_of_real_packages(rdf, shared_data):
    folder = shared_data('bioimageio_packages')
    real = yaml.safe_load((folder / 'unet2d_nuclei_broad/bioimageio.yaml').read_text())
    assert {*rdf} - {*real} == {'config'}
    assert {*real} - {*rdf} == {
        *('git_repo', 'maintainers', 'timestamp', 'training_data')
    }
    qupath = yaml.safe_load(
        (folder / 'qupath_specs/brightfield_bioio_v0_5/rdf.yaml').read_text()
    )
    for key in ('inputs', 'outputs'):
        ours, theirs = rdf[key][0], qupath[key][0]
        kinds = [axis['type'] for axis in theirs['axes']]
        assert [axis['type'] for axis in ours['axes']] == kinds
        assert {*theirs['axes'][-1]} <= {*ours['axes'][-1]}
    assert {*qupath['weights']['torchscript']} == {*rdf['weights']['torchscript']}


def test_a_package_that_does_not_give_its_answer_is_refused(files, tmp_path):
    bad = np.load(io.BytesIO(files['test_output.npy'])) * 0.5
    stream = io.BytesIO()
    np.save(stream, bad)
    facts = PackageFacts('model', ['Ada'], 'MIT', 'Glomerulus')
    weights = {n: d for n, d in files.items() if not n.endswith('.yaml')}
    changed = export.with_descriptions(
        {**weights, 'test_output.npy': stream.getvalue()}, facts
    )
    with pytest.raises(ValueError, match=r'does not accept the package \(rdf.yaml\)'):
        export.check_package(export.pack(changed), tmp_path)
    assert export.pack(changed) == export.pack(changed)


def stained(tmp_path: Path) -> dict:
    normalizer = load_target(str(section_target(tmp_path / 'target.json')))
    step = StainStep.of(normalizer)
    recipe = Recipe(512, 0.5, step).to_dict()
    return dict(stain=step.name, preparation=recipe)


def test_stains_that_a_package_cannot_normalise_are_refused_or_said(tmp_path):
    pytest.importorskip('bioimageio.core', reason=MISSING)
    inputs = write_inputs(tmp_path, **stained(tmp_path))
    out = tmp_path / 'model.zip'
    with pytest.raises(ValueError, match='a package cannot hold that step'):
        export.export_bioimageio(**inputs, out=str(out), **SAID)
    assert not out.exists()
    facts = PackageFacts('small', ['Ada'], 'MIT', 'gland', stain='vahadane-1')
    export._refuse_stains(facts, allowed=True)
    page = page_of(facts, 'tissue', with_onnx=False)
    assert 'normalised (vahadane-1). This package does not do that' in page


def test_only_packages_of_before_are_replaced_and_only_when_told(tmp_path):
    pytest.importorskip('bioimageio.core', reason=MISSING)
    out = tmp_path / 'model.zip'
    cases = [('model.tar', True, 'ends with .zip'), ('other.zip', True, 'not written')]
    (tmp_path / 'other.zip').write_bytes(b'PK of somebody')
    out.write_bytes(export.pack({'README.md': b'1'}))
    cases += [('model.zip', False, '--overwrite')]
    for name, overwrite, message in cases:
        with pytest.raises(ValueError, match=message):
            export.require_free(tmp_path / name, overwrite)
    export.require_free(out, True)
    with ZipFile(out, 'a') as archive:
        archive.writestr('notes.txt', 'of a user')
    with pytest.raises(ValueError, match=r'added to the package: notes\.txt'):
        export.require_free(out, True)
    assert (tmp_path / 'other.zip').read_bytes() == b'PK of somebody'


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(name=''), '--name'),
        (dict(name='a/b/c'), '--name'),
        (dict(name='Modèle rein'), '--name'),
        (dict(organ='kid\n\n# Injected'), '--organ'),
        (dict(unit='Glom | <script>'), '--unit'),
        (dict(authors=['A\x07b']), '--author'),
        (dict(authors=[]), '--author'),
        (dict(authors=['Ada', ' ']), '--author'),
        (dict(license=''), '--license'),
        (dict(unit=''), '--unit'),
        (dict(pixel_size=0.0), '--training-pixel-size'),
        (dict(pixel_size=1e-9), '--training-pixel-size'),
        (dict(pixel_size=float('nan')), '--training-pixel-size'),
    ],
)
def test_facts_that_cannot_be_used(changes, message):
    good = dict(name='small model', authors=['Ada'], license='MIT', unit='gland')
    PackageFacts(**good)
    with pytest.raises(ValueError, match=message):
        PackageFacts(**{**good, **changes})


def test_a_short_name_is_refused(tmp_path):
    pytest.importorskip('bioimageio.core', reason=MISSING)
    inputs = write_inputs(tmp_path)
    with pytest.raises(ValueError, match="--name 'abc': give at least 5 letters"):
        export.export_bioimageio(
            **inputs, out=str(tmp_path / 'x.zip'), name='abc', **SAID
        )


def test_the_page_says_what_is_unknown_or_other_in_qupath():
    facts = PackageFacts('small', ['Ada'], 'MIT', 'gland', threshold=0.15)
    page = page_of(facts, 'tissue', with_onnx=False)
    assert 'unknown. Try several' in page
    assert 'QuPath always takes 0.5' in page
    assert 'ONNX' not in page
    assert 'median' not in page
    sizes = {'kidney': 0.9, 'prostate': 6.66}
    facts = replace(facts, pixel_size=2.0, pixel_sizes=sizes)
    assert 'median of organs' in page_of(facts, 'tissue', with_onnx=False)
    assert 'kidney 0.9, prostate 6.66' in page_of(facts, 'tissue', with_onnx=False)
    of_kidney = replace(facts, organ='Kidney', pixel_size=0.9)
    assert 'median' not in page_of(of_kidney, 'tissue', with_onnx=False)


@pytest.mark.parametrize(
    ('license', 'message'),
    [
        ('cc-by-4.0', 'do you mean CC-BY-4.0'),
        ('my own', "--license 'my own' is not an SPDX"),
    ],
)
def test_a_licence_that_the_format_does_not_know(license, message):
    pytest.importorskip('bioimageio.core', reason=MISSING)
    export.check_license('MIT')
    with pytest.raises(ValueError, match=message):
        export.check_license(license)


def test_an_organ_without_its_data_source_does_not_choose_a_threshold(monkeypatch):
    told = []
    monkeypatch.setattr(package_facts, 'print_log', lambda text, *_: told.append(text))
    model = SimpleNamespace(meta=dict(preparation=RECIPE), stain='none', written='')
    said = dict(name='small model', authors=['Ada'], license='MIT', organ='lung')
    cases = [(None, 0.5, 'the threshold of lung depends on the data source')]
    cases += [('nowhere', 0.5, "nothing for the data source 'nowhere'")]
    cases += [('HPA', 0.15, None)]
    for source, threshold, doubt in cases:
        told.clear()
        facts = facts_of(model, small_config(), data_source=source, **said)
        assert facts.threshold == threshold
        assert facts.pixel_sizes == dict(kidney=0.4)
        assert len(told) == bool(doubt) + 1
        assert doubt is None or doubt in told[0]
        assert told[-1] == '--organ lung: the training images are of kidney'
    said_size = facts_of(model, small_config(), training_pixel_size=1.0, **said)
    assert (said_size.pixel_size, dict(said_size.pixel_sizes)) == (1, {})
    with pytest.raises(ValueError, match='--training-pixel-size 0: give'):
        facts_of(model, small_config(), training_pixel_size=0.0, **said)


def test_an_image_that_is_too_small_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / 'small.png'), noise(200, 400))
    with pytest.raises(ValueError, match=r'small\.png: 400 x 200 px are too few'):
        export._test_image(str(tmp_path / 'small.png'), None)
    with pytest.raises(
        ValueError, match=r'--image nowhere\.png: there is no such file'
    ):
        export._test_image('nowhere.png', None)


def test_a_licence_that_is_none_is_refused_before_anything_is_written(tmp_path):
    pytest.importorskip('bioimageio.core', reason=MISSING)
    said = {**SAID, 'license': 'my licence'}
    with pytest.raises(ValueError, match='license'):
        export.export_bioimageio(
            **write_inputs(tmp_path), out=str(tmp_path / 'model.zip'), **said
        )
    assert not (tmp_path / 'model.zip').exists()


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, 'bioimageio.core', None)
    with pytest.raises(ImportError, match=r"pip install 'mmseg_ftu\[bioimageio\]'"):
        export.import_bioimageio()


@pytest.mark.slow
def test_by_command_line_with_onnx_twice_the_same(tmp_path):
    core = pytest.importorskip('bioimageio.core', reason=MISSING)
    pytest.importorskip('onnxruntime', reason='extra [onnx] not installed')
    cfg = slim_config('mit_daformer')
    model = build_slim(cfg, [example_image((2, 3, 256, 256)) / 60 - 2])
    cfg.dump(tmp_path / 'mit_slim.py')
    torch.save(
        dict(state_dict=model.state_dict(), meta=dict(time='20260102_030405')),
        tmp_path / 'model.pth',
    )
    command = [sys.executable, ROOT / 'tools/export_bioimageio.py']
    command += [tmp_path / 'mit_slim.py', tmp_path / 'model.pth', '--onnx']
    command += ['--author', 'Ada', '--license', 'MIT', '--out', tmp_path / 'm.zip']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'the pixel size of training is unknown' in done.stdout + done.stderr
    first = (tmp_path / 'm.zip').read_bytes()
    with export.offline():
        summary = core.test_description(tmp_path / 'm.zip')
    assert summary.status == 'passed'
    names = ' '.join(detail.name for detail in summary.details)
    assert '(torchscript)' in names
    assert '(onnx)' in names
    assert yaml.safe_load(read_package(tmp_path / 'm.zip')['rdf.yaml'])[
        'timestamp'
    ].startswith('2026-01-02T03:04:05')
    assert subprocess.run(command, capture_output=True).returncode == 2
    assert subprocess.run([*command, '--overwrite']).returncode == 0
    assert (tmp_path / 'm.zip').read_bytes() == first
