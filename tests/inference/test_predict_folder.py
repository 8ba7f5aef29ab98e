import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from small_models import dark, save, small_config

from mmseg_ftu import FTUPredictor
from mmseg_ftu.inference.choices import KINDS
from mmseg_ftu.inference.file_options import FileOptions
from mmseg_ftu.inference.jobs import Job, list_jobs
from mmseg_ftu.inference.predict_folder import predict_folder
from mmseg_ftu.inference.prediction_folder import PredictionFolder
from mmseg_ftu.inference.slide_table import read_slide_table


def draw(seed, shape=(80, 100)):
    """Draw pale tissue with one dark disc."""
    rng = np.random.default_rng(seed)
    image = np.full((*shape, 3), (215, 180, 205), np.uint8)
    centre = int(rng.integers(20, shape[1] - 20)), int(rng.integers(20, shape[0] - 20))
    cv2.circle(image, centre, int(rng.integers(6, 18)), (110, 60, 140), -1)
    return image


def write(path, image):
    cv2.imwrite(str(path), image[..., ::-1])


@pytest.fixture
def predictor(tmp_path):
    path = save(dark(small_config(1)), tmp_path / 'model.pth')
    return FTUPredictor(small_config(1), path)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    for i in range(5):
        write(folder / f'{i}.png', draw(i, (80, 100 + 10 * (i == 2))))
    return folder


@pytest.fixture
def run(predictor, tmp_path):
    """Return a function that predicts jobs into a folder."""

    def predict(jobs, output='out', kinds=KINDS, overwrite=False, options=None, **more):
        options = FileOptions(tuple(kinds), **(options or {}))
        settings = dict(settings=1, **options.state())
        folder = PredictionFolder(tmp_path / output, settings, {}, overwrite)
        return predict_folder(predictor, jobs, folder, options, **more)

    return predict


def table(folder):
    return pd.read_csv(folder / 'predictions.csv', index_col='id', dtype={'id': str})


def contents(folder):
    """Return the bytes of the files, but for what names their place or time."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file() and 'records' not in path.parts and path.name != '.lock'
    }


def test_what_a_run_leaves(run, images, tmp_path):
    jobs = list_jobs(str(images), 'kidney', 'HPA', 0.5)
    summary = run(jobs)
    assert (summary.done, summary.kept, summary.failed) == (5, 0, {})
    assert str(summary) == '5 images predicted.'
    rows = table(tmp_path / 'out')
    assert rows.index.tolist() == [*'01234']
    assert (rows.status == 'done').all()
    assert rows.reason.isna().all()
    assert rows.objects.tolist() == [1] * 5
    assert rows.width.tolist() == [100, 100, 110, 100, 100]
    assert set(rows.threshold) == {0.5}
    assert set(rows.pixel_size) == {0.5}
    assert rows.path.tolist() == [str(job.path) for job in jobs]
    for i in range(5):
        expected = (draw(i, (80, 100 + 10 * (i == 2))).mean(axis=2) < 160).astype(int)
        mask = cv2.imread(str(tmp_path / 'out' / 'masks' / f'{i}.png'), -1)
        assert (mask == 255 * expected).all()
        probability = tifffile.imread(tmp_path / 'out' / 'probabilities' / f'{i}.tif')
        assert ((probability > 127) == expected).all()
        assert rows.foreground[str(i)] == pytest.approx(expected.mean())
        for name in (f'overlays/{i}.jpg', f'geojson/{i}.geojson'):
            assert (tmp_path / 'out' / name).stat().st_size
    assert not [*(tmp_path / 'out').rglob('.*.tmp')]


def test_masks_as_tiff(run, images, tmp_path):
    (job, *_) = list_jobs(str(images), pixel_size=0.5)
    run([job], kinds=['masks'])
    run([job], 'tiff', kinds=['masks'], options=dict(mask_format='tif'))
    with tifffile.TiffFile(tmp_path / 'tiff' / 'masks' / '0.tif') as file:
        mask = file.asarray()
        assert file.pages[0].tags['XResolution'].value[0] == 20_000  # px a cm
    expected = cv2.imread(str(tmp_path / 'out' / 'masks' / '0.png'), -1)
    assert (mask == expected).all()


def test_what_people_should_know_is_said_at_the_end(run, images, tmp_path):
    jobs = list_jobs(str(images))
    noise = np.random.default_rng(0).integers(0, 255, (80, 100, 1), np.uint8)
    write(images / '0.png', noise.repeat(3, axis=2))
    summary = run(jobs, kinds=['geojson'], options=dict(max_objects=9, geojson_gz=True))
    assert list(summary.notes) == ['0']
    last = str(summary).splitlines()[-1]
    assert re.match(r'0: .* objects are not in the GeoJSON: 1 with', last)
    assert sorted(p.name for p in (tmp_path / 'out' / 'geojson').iterdir()) == [
        f'{i}.geojson.gz' for i in range(5)
    ]
    assert not run(
        jobs, kinds=['geojson'], options=dict(max_objects=9, geojson_gz=True)
    ).notes


def test_patients_of_a_table_are_in_the_results(run, images, tmp_path):
    rows = [f'{i}.png,P{i}' for i in range(3)]
    path = images / 'slides.csv'
    path.write_text('\n'.join(['path,patient', *rows]))
    assert run(read_slide_table(path)).done == 3
    assert table(tmp_path / 'out').patient.tolist() == ['P0', 'P1', 'P2']
    path.write_text('\n'.join(['path,patient', *rows[:2], '2.png,Q']))
    assert run(read_slide_table(path)).kept == 3  # nothing is predicted again
    run(list_jobs(str(images / '[34].png')))
    assert table(tmp_path / 'out').patient.fillna('').to_dict() == {
        '0': 'P0',
        '1': 'P1',
        '2': 'Q',
        '3': '',
        '4': '',
    }


def faulty(folder):
    """Write files that can't be predicted; returns what is said of each, by id."""
    image = draw(0)
    alpha = np.dstack([image, np.full(image.shape[:2], 90, np.uint8)])
    cv2.imwrite(str(folder / 'clear.png'), alpha)
    write(folder / 'short.png', image)
    tifffile.imwrite(folder / 'cut.tif', image, photometric='rgb')
    for name in ('short.png', 'cut.tif'):
        (folder / name).write_bytes((folder / name).read_bytes()[:-200])
    (folder / 'empty.png').write_bytes(b'')
    (folder / 'text.tiff').write_text('no image')
    write(folder / 'wrong.png', image)
    (folder / 'wrong.png').rename(folder / 'wrong.jpg')
    cv2.imwrite(str(folder / 'grey.png'), image[..., 0])
    dim = draw(0).astype(np.uint16) * 16  # of a 12-bit camera
    tifffile.imwrite(folder / 'dim.tif', dim, photometric='rgb')
    return {
        'clear': 'partly transparent',
        'short': 'damaged or truncated',
        'cut': 'is truncated',
        'empty': 'is empty',
        'text': 'named like a TIFF but holds something else',
        'wrong': 'named like a JPEG but holds a PNG; rename it',
        'grey': 'is a grey image',
        'dim': '16-bit image with values up to',
    }


def test_bad_images_are_named_and_the_others_done(run, images, tmp_path):
    reasons = faulty(images)
    jobs = [*list_jobs(str(images)), Job('gone', images / 'gone.png')]
    reasons['gone'] = 'no such file'
    summary = run(jobs)
    assert summary.done == 5
    assert summary.failed.keys() == reasons.keys()
    rows = table(tmp_path / 'out')
    assert (rows.status == 'done').sum() == 5
    for name, reason in reasons.items():
        assert rows.status[name] == 'failed'
        assert reason in rows.reason[name]
        assert f'images/{name}.' in rows.reason[name]
        assert f'  {name}: ' in str(summary)
        assert not (tmp_path / 'out' / 'masks' / f'{name}.png').exists()
    submission = pd.read_csv(tmp_path / 'out' / 'submission.csv', dtype=str)
    assert len(submission) == len(jobs)
    assert submission.set_index('id').rle[[*reasons]].isna().all()


def test_opaque_rgba_and_16_bit_images_are_predicted(run, images, tmp_path):
    image = draw(0)
    alpha = np.dstack([image[..., ::-1], np.full(image.shape[:2], 255, np.uint8)])
    cv2.imwrite(str(images / 'rgba.png'), alpha)
    full_range = image.astype(np.uint16) * 257
    tifffile.imwrite(images / 'deep.tif', full_range, photometric='rgb')
    for name, shape in (('dot', (1, 1)), ('line', (1, 300)), ('column', (300, 1))):
        write(images / f'{name}.png', np.full((*shape, 3), (110, 60, 140), np.uint8))
    assert run(list_jobs(str(images))).failed == {}
    masks = {
        path.stem: cv2.imread(str(path), -1)
        for path in (tmp_path / 'out' / 'masks').iterdir()
    }
    assert masks['0'].any()
    assert (masks['rgba'] == masks['0']).all()
    assert (masks['deep'] == masks['0']).all()
    for name, shape in (('dot', (1, 1)), ('line', (1, 300)), ('column', (300, 1))):
        assert masks[name].shape == shape
        assert (masks[name] == 255).all()


def test_strict_stops(run, images, tmp_path):
    (images / '1.png').write_bytes(b'')
    with pytest.raises(ValueError, match=r'1\.png: is empty'):
        run(list_jobs(str(images)), strict=True)
    rows = table(tmp_path / 'out')
    assert rows.status['1'] == 'failed'
    assert '4' not in rows.index
    (images / '1.png').unlink()
    summary = run(list_jobs(str(images)))  # nothing is held any longer
    assert summary.done + summary.kept == 4


def test_an_image_that_the_network_fails_on(run, predictor, images, tmp_path):
    network = predictor.network

    class Fragile:
        batch_size = 4

        def __call__(self, shown):
            if any((image == draw(3)).all() for image in shown if image.shape[1] < 110):
                raise RuntimeError('out of memory\nwith advice')
            return network(shown)

    predictor.network = Fragile()
    summary = run(list_jobs(str(images)))
    assert summary.failed == {'3': 'RuntimeError: out of memory with advice'}
    assert (table(tmp_path / 'out').status == 'done').sum() == 4


def test_an_image_that_can_not_be_written(run, images, tmp_path):
    jobs = list_jobs(str(images))
    run(jobs[:1], kinds=['masks'])
    (tmp_path / 'out' / 'masks' / '2.png').mkdir()
    summary = run(jobs, kinds=['masks'])
    assert 'masks/2.png is in the way' in summary.failed['2']
    assert (summary.done, summary.kept, len(summary.failed)) == (3, 1, 1)


def test_limits_in_um_need_a_pixel_size(run, images):
    options = dict(min_area_um2=100)
    summary = run(list_jobs(str(images)), options=options)
    assert summary.done == 0
    assert all('pixel size' in reason for reason in summary.failed.values())
    summary = run(list_jobs(str(images), pixel_size=0.5), 'other', options=options)
    assert summary.done == 5


@pytest.mark.parametrize('batch_size', [1, 2, 8])
def test_batches_change_nothing(run, predictor, images, tmp_path, batch_size):
    jobs = list_jobs(str(images))
    run(jobs, 'one')
    predictor.network.batch_size = batch_size
    run(jobs, 'batches')
    one, batches = (contents(tmp_path / name) for name in ('one', 'batches'))
    assert len(one) == 5 * 5 + 5  # five kinds of files, and tables
    assert one == batches


# going on


def test_what_is_done_is_kept(run, predictor, images, tmp_path):
    jobs = list_jobs(str(images))
    run(jobs[:3])
    assert len(table(tmp_path / 'out')) == 3
    summary = run(jobs)
    assert (summary.done, summary.kept) == (2, 3)
    assert '3 were there already' in str(summary)
    before = contents(tmp_path / 'out')
    predictor.network = SimpleNamespace(batch_size=1)  # can't be asked again
    assert run(jobs).kept == 5
    assert contents(tmp_path / 'out') == before
    assert len(table(tmp_path / 'out')) == 5


def test_a_changed_image_is_predicted_anew(run, images, tmp_path):
    jobs = list_jobs(str(images))
    run(jobs)
    write(images / '1.png', draw(77))
    os.utime(images / '1.png', ns=(1, 1))  # also where clocks are coarse
    summary = run(jobs)
    assert (summary.done, summary.kept) == (1, 4)
    mask = cv2.imread(str(tmp_path / 'out' / 'masks' / '1.png'), -1)
    assert ((mask == 255) == (draw(77).mean(axis=2) < 160)).all()
    assert run(list_jobs(str(images), pixel_size=0.3)).done == 5  # a limit may be in um


def test_an_image_that_is_replaced_meanwhile_is_predicted_again(
    run, predictor, images, tmp_path
):
    network, jobs = predictor.network, list_jobs(str(images))[:1]

    class Replacing:
        batch_size = 1

        def __call__(self, shown):
            write(images / '0.png', draw(77, (60, 50)))
            return network(shown)

    predictor.network = Replacing()
    assert run(jobs, kinds=['masks']).done == 1
    predictor.network = network
    assert run(jobs, kinds=['masks']).done == 1
    mask = cv2.imread(str(tmp_path / 'out' / 'masks' / '0.png'), -1)
    assert mask.shape == (60, 50)
    assert run(jobs, kinds=['masks']).kept == 1


def test_a_repaired_image_is_tried_again(run, images, tmp_path):
    (images / '1.png').write_bytes(b'')
    assert [*run(list_jobs(str(images))).failed] == ['1']
    write(images / '1.png', draw(1))
    summary = run(list_jobs(str(images)))
    assert (summary.done, summary.kept, summary.failed) == (1, 4, {})
    assert (table(tmp_path / 'out').status == 'done').all()


def test_other_settings_are_refused_unless_overwritten(run, images, tmp_path):
    jobs = list_jobs(str(images))
    run(jobs, kinds=['masks'])
    before = contents(tmp_path / 'out')
    with pytest.raises(ValueError, match=r'other settings \(fill_holes, kinds\)'):
        run(jobs, options=dict(fill_holes=True))
    assert contents(tmp_path / 'out') == before
    summary = run(jobs, options=dict(fill_holes=True), overwrite=True)
    assert (summary.done, summary.kept) == (5, 0)
    settings = json.loads((tmp_path / 'out' / 'prediction.json').read_text())
    assert settings['fill_holes'] is True
    assert (tmp_path / 'out' / 'overlays').is_dir()
    run(jobs[:1], kinds=['masks'], overwrite=True)
    assert not (tmp_path / 'out' / 'overlays').exists()
    masks = [path.stem for path in (tmp_path / 'out' / 'masks').iterdir()]
    assert masks == [jobs[0].id]
    assert (settings['made_by'], settings['layout']) == ('mmseg_ftu', 2)


def test_another_input_adds_to_the_table(run, images, tmp_path):
    jobs = list_jobs(str(images))
    kinds = ['masks', 'submission']
    run(jobs[2:], kinds=kinds)
    run(jobs[:2], kinds=kinds)
    assert list(table(tmp_path / 'out').index) == [job.id for job in jobs]
    submission = pd.read_csv(tmp_path / 'out' / 'submission.csv', dtype=str)
    assert submission.id.tolist() == ['0', '1', '2', '3', '4']
    assert submission.rle.notna().all()
    run(jobs[3:], kinds=kinds)
    submission = pd.read_csv(tmp_path / 'out' / 'submission.csv', dtype=str)
    assert submission.id.tolist() == ['3', '4', '0', '1', '2']


def test_other_settings_are_fine_where_nothing_is_done(run, images):
    (images / 'x.png').write_bytes(b'')
    (job,) = list_jobs(str(images / 'x.png'))
    assert run([job]).failed
    assert run([job], options=dict(fill_holes=True)).failed


@pytest.mark.parametrize('text', ['', '{', '[1]', '3'])
def test_damaged_settings_are_named(run, images, tmp_path, text):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'prediction.json').write_text(text)
    with pytest.raises(ValueError, match=r'out/prediction\.json: damaged'):
        run(list_jobs(str(images)))


def test_a_damaged_record_is_made_again(run, images, tmp_path):
    jobs = list_jobs(str(images))
    run(jobs)
    (tmp_path / 'out' / 'records' / '3.json').write_text('{"status": "do')
    assert (run(jobs).done, len(table(tmp_path / 'out'))) == (1, 5)


# nothing of others is lost


def everything(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


@pytest.mark.parametrize('name', ['masks/0.png', 'notes.txt', '.hidden', 'masks/'])
@pytest.mark.parametrize('overwrite', [False, True])
def test_a_folder_of_others_is_never_written_into(
    run, images, tmp_path, name, overwrite
):
    path = tmp_path / 'out' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if name.endswith('/') else path.write_text('mine')
    before = everything(tmp_path / 'out')
    with pytest.raises(ValueError, match='out is not empty and was not made by predi'):
        run(list_jobs(str(images)), overwrite=overwrite)
    assert everything(tmp_path / 'out') == before


@pytest.mark.parametrize('text', ['{"made_by": "me"}', '{}', '{"layout": 2}'])
def test_settings_of_others(run, images, tmp_path, text):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'prediction.json').write_text(text)
    with pytest.raises(ValueError, match=r'prediction\.json was not made by predict'):
        run(list_jobs(str(images)), overwrite=True)


def test_a_folder_of_an_older_version_is_refused(run, images, tmp_path):
    run(list_jobs(str(images)))
    file = tmp_path / 'out' / 'prediction.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | dict(layout=1)))
    before = everything(tmp_path / 'out')
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r'another version .* give another --outp'):
            run(list_jobs(str(images)), overwrite=overwrite)
    assert everything(tmp_path / 'out') == before


def test_a_folder_that_looks_empty_is_taken(run, images, tmp_path):
    (tmp_path / 'out' / 'lost+found').mkdir(parents=True)
    (tmp_path / 'out' / '.DS_Store').touch()
    assert run(list_jobs(str(images))).done == 5


def test_a_run_killed_as_it_begins_can_be_repeated(run, images, tmp_path):
    settings = dict(settings=0, **FileOptions(tuple(KINDS)).state())
    PredictionFolder(tmp_path / 'out', settings, {})
    (tmp_path / 'out' / 'records').rmdir()
    (tmp_path / 'out' / '.prediction.json.0123abcd.tmp').touch()
    assert run(list_jobs(str(images))).done == 5
    assert not [*(tmp_path / 'out').glob('*.tmp')]


def test_overwrite_removes_only_what_was_written(run, images, tmp_path):
    out, jobs = tmp_path / 'out', list_jobs(str(images))
    run(jobs, kinds=['masks', 'overlays', 'submission'])
    mine = [out / 'masks' / 'mine.png', out / 'notes.txt', out / 'geojson' / '0.txt']
    (out / 'geojson').mkdir()
    (out / 'report.html').touch()
    for path in mine:
        path.write_text('mine')
    summary = run(jobs[:2], kinds=['masks'], overwrite=True)
    assert summary.done == 2
    for path in mine:
        assert path.read_text() == 'mine'
    assert (out / 'report.html').is_file()
    assert not (out / 'overlays').exists()
    assert not (out / 'submission.csv').exists()  # of the older predictions
    left = {path.name for path in (out / 'masks').iterdir()}
    assert left == {'0.png', '1.png', 'mine.png'}


def test_a_run_in_which_all_failed_removes_nothing(run, images, tmp_path):
    (images / 'x.png').write_bytes(b'')
    (job,) = list_jobs(str(images / 'x.png'))
    run([job])
    (tmp_path / 'out' / 'masks').mkdir()
    (tmp_path / 'out' / 'masks' / 'mine.png').write_text('mine')
    run([job], options=dict(fill_holes=True))
    assert (tmp_path / 'out' / 'masks' / 'mine.png').read_text() == 'mine'


def test_a_file_in_the_way_is_named_and_stays(run, images, tmp_path):
    out, jobs = tmp_path / 'out', list_jobs(str(images))
    run(jobs[:1])
    for name in ('masks/2.tif', 'geojson/3.geojson'):
        (out / name).write_text('mine')
    (out / 'overlays' / '4.jpg').symlink_to('nowhere')
    for overwrite in (False, True):
        summary = run(jobs, overwrite=overwrite)
        assert [*summary.failed] == ['2', '3', '4']
        assert 'out/masks/2.tif is in the way' in summary.failed['2']
        for name in ('masks/2.tif', 'geojson/3.geojson'):
            assert (out / name).read_text() == 'mine'
    (out / 'masks' / '2.tif').unlink()
    assert [*run(jobs).failed] == ['3', '4']


def test_a_submission_of_others_is_not_replaced(run, images, tmp_path):
    jobs = list_jobs(str(images))
    run(jobs, kinds=['masks'])
    (tmp_path / 'out' / 'submission.csv').write_text('mine')
    with pytest.raises(ValueError, match=r'submission\.csv is in the way'):
        run(jobs, kinds=['masks', 'submission'], overwrite=True)
    assert (tmp_path / 'out' / 'submission.csv').read_text() == 'mine'
    assert run(jobs, kinds=['masks']).kept == 5


def test_a_record_can_not_name_files_elsewhere(run, images, tmp_path):
    jobs = list_jobs(str(images))
    run(jobs)
    (tmp_path / 'mine.png').write_text('mine')
    path = tmp_path / 'out' / 'records' / '0.json'
    record = json.loads(path.read_text())
    names = ['../mine.png', str(tmp_path / 'mine.png'), 'masks/../../mine.png']
    record['files'] |= dict.fromkeys(names, 4)
    path.write_text(json.dumps(record))
    run(jobs, options=dict(fill_holes=True), overwrite=True)
    assert (tmp_path / 'mine.png').read_text() == 'mine'


def test_another_image_of_the_same_name_is_refused(run, images, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    write(other / '1.png', draw(77))
    run(list_jobs(str(images)))
    before = everything(tmp_path / 'out')
    with pytest.raises(ValueError, match=r'images/1\.png.*other/1\.png.*the same nam'):
        run(list_jobs(str(other)))
    assert everything(tmp_path / 'out') == before
    assert run(list_jobs(str(other)), overwrite=True).done == 1
    assert table(tmp_path / 'out').path['1'] == str(other / '1.png')
    mask = cv2.imread(str(tmp_path / 'out' / 'masks' / '1.png'), -1)
    assert ((mask == 255) == (draw(77).mean(axis=2) < 160)).all()


def test_names_that_differ_by_case_only_are_the_same(run, images, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    for folder, name in ((images, 'a'), (other, 'A')):
        write(folder / f'{name}.png', draw(0))
    run(list_jobs(str(images)))
    with pytest.raises(ValueError, match=r'images/a\.png.*other/A\.png'):
        run(list_jobs(str(other)))


def test_another_process_is_first_with_the_name(run, images, tmp_path):
    """The same names, at the same time: who is second fails and replaces nothing."""
    other = tmp_path / 'other'
    other.mkdir()
    write(other / '1.png', draw(77))
    (job,) = list_jobs(str(other))
    settings = dict(settings=1, **FileOptions(tuple(KINDS)).state())
    second = PredictionFolder(tmp_path / 'out', settings, {})
    second.refuse_other_images([job])
    run(list_jobs(str(images)))
    before = everything(tmp_path / 'out')
    with second.in_use():
        with pytest.raises(ValueError, match=r'images/1\.png.*other/1\.png'):
            second.take(job, ['masks/1.png'])
        second.keep(job, 'failed', reason='the same name')
    assert everything(tmp_path / 'out') == before


def test_a_failed_result_may_be_tried_from_elsewhere(run, images, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    (other / '1.png').write_bytes(b'')
    assert run(list_jobs(str(other))).failed
    assert run(list_jobs(str(images))).done == 5


# what a record says is checked


def test_a_missing_file_is_made_again(run, images, tmp_path):
    jobs = list_jobs(str(images))
    run(jobs)
    before = contents(tmp_path / 'out')
    (tmp_path / 'out' / 'masks' / '1.png').unlink()
    (tmp_path / 'out' / 'geojson' / '2.geojson').unlink()
    summary = run(jobs)
    assert (summary.done, summary.kept, summary.failed) == (2, 3, {})
    assert contents(tmp_path / 'out') == before


def test_a_changed_file_is_made_again_and_kept(run, images, tmp_path):
    """It may be damaged, or somebody's corrected mask."""
    out, jobs = tmp_path / 'out', list_jobs(str(images))
    run(jobs)
    before = contents(out)
    for text in ('corrected', 'corrected again'):
        (out / 'masks' / '1.png').write_text(text)
        summary = run(jobs)
        assert (summary.done, summary.kept, summary.failed) == (1, 4, {})
    assert summary.kept_changed == ['masks/1.png.changed2']
    assert 'masks/1.png.changed2' in str(summary)
    after = contents(out)
    assert after.pop('masks/1.png.changed') == b'corrected'
    assert after.pop('masks/1.png.changed2') == b'corrected again'
    assert after == before


@pytest.mark.parametrize('overwrite', [False, True])
def test_tables_that_somebody_edited_are_kept(run, images, tmp_path, overwrite):
    out, jobs = tmp_path / 'out', list_jobs(str(images))
    kinds = ('masks', 'submission')
    run(jobs, kinds=kinds)
    tables = {n: out / n for n in ('predictions.csv', 'submission.csv')}
    before = {name: path.read_text() for name, path in tables.items()}
    assert run(jobs, kinds=kinds).kept_changed == []
    for path in tables.values():
        path.write_text('mine')
    if overwrite:
        summary = run(jobs, kinds=('masks',), overwrite=True)
    else:
        summary = run(jobs, kinds=kinds)
    assert summary.kept_changed == [f'{name}.changed' for name in tables]
    assert {(out / f'{name}.changed').read_text() for name in tables} == {'mine'}
    assert tables['predictions.csv'].read_text() == before['predictions.csv']
    assert tables['submission.csv'].exists() is not overwrite


def test_an_image_that_fails_later_keeps_its_files_known(run, images, tmp_path):
    jobs = list_jobs(str(images))
    run(jobs)
    good = (images / '1.png').read_bytes()
    (images / '1.png').write_bytes(b'')
    assert [*run(jobs).failed] == ['1']
    (images / '1.png').write_bytes(good)
    os.utime(images / '1.png', ns=(1, 1))
    summary = run(jobs)
    assert (summary.done, summary.kept, summary.failed) == (1, 4, {})


def test_a_mask_of_another_format_replaces_the_older_one(run, images, tmp_path):
    out, jobs = tmp_path / 'out', list_jobs(str(images))
    run(jobs, kinds=['masks'])
    run(jobs, kinds=['masks'], options=dict(mask_format='tif'), overwrite=True)
    assert {path.suffix for path in (out / 'masks').iterdir()} == {'.tif'}


# several processes


def test_an_image_that_another_process_has_is_left_to_it(run, images, tmp_path):
    jobs = list_jobs(str(images))
    run(jobs[:1])
    other = PredictionFolder(
        tmp_path / 'out', dict(settings=1, **FileOptions(tuple(KINDS)).state()), {}
    )
    assert other.take(jobs[2], ['masks/2.png']) == 'mine'
    with ThreadPoolExecutor(1) as pool:
        mine = pool.submit(run, jobs)
        while len([*(tmp_path / 'out' / 'records').glob('*.json')]) < 4:
            assert not mine.done()
            time.sleep(0.01)
        assert not (tmp_path / 'out' / 'records' / '2.json').exists()
        with pytest.raises(ValueError, match='another process is predicting into it'):
            run(jobs, options=dict(fill_holes=True), overwrite=True)
        other.keep(jobs[2], 'done', files={})  # as if its results were elsewhere
        summary = mine.result()
    assert (summary.done, summary.kept) == (3, 2)
    assert len(table(tmp_path / 'out')) == 5


def test_what_a_dead_process_began_is_taken_over(run, images, tmp_path):
    out, jobs = tmp_path / 'out', list_jobs(str(images))
    run(jobs[:1])
    names = ['masks/2.png', 'overlays/2.jpg']
    program = f"""
import os, signal
from pathlib import Path
from mmseg_ftu.inference.claims import Claims
claims = Claims(Path({str(out / 'records')!r}))
assert claims.take('2')
claims.note('2', {names})
Path({str(out / names[0])!r}).write_text('half')
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, '-c', program], cwd=root, check=False)
    assert (out / names[0]).read_text() == 'half'
    summary = run(jobs)
    assert (summary.done, summary.kept, summary.failed) == (4, 1, {})
    assert summary.kept_changed == []
    run(jobs, 'whole')
    assert contents(out) == contents(tmp_path / 'whole')
    assert not [*out.rglob('*.claim')]


def test_shares_of_the_images_give_the_same_tables(run, images, tmp_path):
    faulty(images)
    jobs = list_jobs(str(images))
    run(jobs, 'one')
    shares = [run(jobs, 'shares', rank=rank, world_size=3) for rank in (2, 0, 1)]
    assert [s.done + len(s.failed) for s in shares] == [4, 5, 4]
    one, together = (contents(tmp_path / name) for name in ('one', 'shares'))
    assert one == together


# the competition


def decode(text, height, width):
    """Decode the competition's run lengths: 1-based, down and then right."""
    pixels = [0] * (height * width)
    numbers = [int(number) for number in text.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        for position in range(start, start + length):
            pixels[position - 1] = 1
    return [[pixels[x * height + y] for x in range(width)] for y in range(height)]


def test_submission(run, tmp_path):
    """In the competition's format, at the size that the table speaks of."""
    (tmp_path / 'test_images').mkdir()
    rows = ['id,organ,data_source,img_height,img_width,pixel_size,tissue_thickness']
    for name, scale in (('9', 1), ('10', 1), ('10078', 2)):
        write(tmp_path / 'test_images' / f'{name}.tiff', draw(int(name)))
        size = f'{80 * scale},{100 * scale}'
        rows.append(f'{name},spleen,Hubmap,{size},0.4945,4')
    rows.append('20000,lung,Hubmap,50,60,0.7562,5')
    white = np.full((50, 60, 3), 245, np.uint8)
    write(tmp_path / 'test_images' / '20000.tiff', white)
    (tmp_path / 'test.csv').write_text('\n'.join(rows) + '\n')
    run(list_jobs(str(tmp_path)), kinds=['masks', 'submission'])
    text = (tmp_path / 'out' / 'submission.csv').read_text()
    header, *lines = text.splitlines()
    assert header == 'id,rle'
    found = dict(line.split(',') for line in lines)
    assert [*found] == ['9', '10', '10078', '20000']  # as in test.csv
    assert found['20000'] == ''
    assert table(tmp_path / 'out').threshold.tolist() == [0.4, 0.4, 0.4, 0.1]
    for name, scale in (('9', 1), ('10', 1), ('10078', 2)):
        mask = np.array(decode(found[name], 80 * scale, 100 * scale))
        picture = cv2.imread(str(tmp_path / 'out' / 'masks' / f'{name}.png'), -1)
        assert (picture == 255 * mask).all()
        expected = cv2.resize(draw(int(name)), None, fx=scale, fy=scale)
        expected = expected.mean(axis=2) < 160
        assert 2 * (mask & expected).sum() / (mask.sum() + expected.sum()) > 0.98


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(kinds=('masks', 'videos')), 'videos.*choose from masks'),
        (dict(kinds=()), 'choose from masks'),
        (dict(min_area_px=-1), 'min_area_px=-1: give 0 or more'),
        (dict(simplify=float('nan')), 'simplify=nan'),
        (dict(object_type='cell'), 'object_type: choose from'),
        (dict(mask_format='gif'), 'mask_format: choose from'),
    ],
)
def test_faulty_options_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FileOptions(**arguments)


def poison(model, value):
    """Let a model answer this, as overflow in half precision does."""
    model.decode_head.conv_seg.bias.data.fill_(value)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = dark(small_config(1))
    poison(model, float('nan'))
    path = save(model, tmp_path / 'nan.pth')
    with pytest.raises(ValueError, match=r'nan\.pth: of its weights 1 are not finite'):
        FTUPredictor(small_config(1), path)


@pytest.mark.parametrize('broken', [0, 1])
def test_a_network_that_answers_nan_fails_its_images_by_name(tmp_path, images, broken):
    """One such member spoils an ensemble: its probabilities can't be averaged."""
    model = dark(small_config(1))
    paths = [save(model, tmp_path / f'member{i}.pth') for i in range(2)]
    predictor = FTUPredictor(small_config(1), paths)
    poison(predictor.network.models[broken], float('nan'))
    folder = PredictionFolder(tmp_path / 'out', {}, {})
    jobs = list_jobs(str(images))
    summary = predict_folder(predictor, jobs, folder, FileOptions(('masks',)))
    assert (summary.done, len(summary.failed)) == (0, 5)
    for reason in summary.failed.values():
        assert f'member{broken}.pth: the network answers NaN' in reason
        assert "view 'identity' at scale 1.0" in reason
    assert not [*(tmp_path / 'out').rglob('*.png')]


def test_infinite_logits_are_no_certainty(tmp_path, images):
    predictor = FTUPredictor(
        small_config(1), save(dark(small_config(1)), tmp_path / 'inf.pth')
    )
    poison(predictor.network.models[0], float('inf'))
    with pytest.raises(ValueError, match='NaN or infinity'):
        predictor(images / '0.png')


def test_odd_names_fail_alone(run, images, tmp_path):
    odd = ['a b .png', 'tab\there.png', 'x' * 240 + '.png']
    for name in odd:
        write(images / name, draw(9))
    (images / 'gone.png').symlink_to(tmp_path / 'nowhere.png')
    (images / 'circle.png').symlink_to(images / 'circle.png')
    summary = run(list_jobs(str(images)), kinds=('masks',))
    assert summary.done == 5
    assert {*summary.failed} == {*(name[:-4] for name in odd), 'gone', 'circle'}
    assert 'rename it' in summary.failed['a b ']
    rows = table(tmp_path / 'out')
    assert (rows.status == 'failed').sum() == 5
    again = run(list_jobs(str(images)), kinds=('masks',))
    assert (again.done, again.kept, len(again.failed)) == (0, 5, 5)


def test_patterns_leave_out_results(run, images, tmp_path):
    run(list_jobs(str(images)), kinds=('masks',))
    found = list_jobs(str(tmp_path / '**' / '*.png'))
    assert [job.path for job in found] == [images / f'{i}.png' for i in range(5)]


def test_the_largest_hole_is_of_holes_that_are_filled():
    with pytest.raises(ValueError, match='--max-hole-um2 limits --fill-holes'):
        FileOptions(max_hole_um2=10.0)
    assert FileOptions(max_hole_um2=10.0, fill_holes=True).max_hole_um2 == 10


def test_an_edit_of_the_same_size_is_kept(run, images, tmp_path):
    out, jobs = tmp_path / 'out', list_jobs(str(images))
    run(jobs)
    mask = out / 'masks' / '1.png'
    edited = bytes([*mask.read_bytes()[:-1], 0])
    mask.write_bytes(edited)
    os.utime(images / '1.png', ns=(1, 1))  # to be predicted anew
    assert run(jobs).kept_changed == ['masks/1.png.changed']
    assert (out / 'masks' / '1.png.changed').read_bytes() == edited


def test_a_mask_drawn_after_a_failure_is_kept(run, images, tmp_path):
    out, jobs = tmp_path / 'out', list_jobs(str(images))
    run(jobs)
    good = (images / '1.png').read_bytes()
    (images / '1.png').write_bytes(b'')
    run(jobs)
    (out / 'masks' / '1.png').write_bytes(b'by hand')
    (images / '1.png').write_bytes(good)
    os.utime(images / '1.png', ns=(1, 1))
    assert run(jobs).kept_changed == ['masks/1.png.changed']
    assert (out / 'masks' / '1.png.changed').read_bytes() == b'by hand'


def test_beginning_anew_keeps_what_was_edited(run, images, tmp_path):
    out, jobs = tmp_path / 'out', list_jobs(str(images))
    run(jobs)
    (out / 'masks' / '1.png').write_bytes(b'by hand')
    summary = run(jobs, overwrite=True, options=dict(fill_holes=True))
    assert summary.kept_changed == ['masks/1.png.changed']
    assert (out / 'masks' / '1.png.changed').read_bytes() == b'by hand'
    assert not (out / 'masks' / '2.png.changed').exists()


def test_a_name_that_is_no_unicode_fails_alone(run, images, tmp_path):
    odd = os.fsencode(images) + b'/odd\xff.png'
    with open(odd, 'wb') as file:
        file.write((images / '0.png').read_bytes())
    summary = run(list_jobs(str(images)), kinds=('masks', 'submission'))
    assert summary.done == 5
    (name,) = summary.failed
    assert name.startswith('odd')
    assert len(pd.read_csv(tmp_path / 'out' / 'submission.csv')) == 6
    assert 'odd' in str(summary)


def test_a_size_on_record_that_the_image_can_not_have(run, images, tmp_path):
    jobs = [Job('a', images / '0.png', original_shape=(160, 200))]
    jobs += [Job('b', images / '1.png', original_shape=(100, 80))]  # 80 x 100 px
    summary = run(jobs, kinds=('masks',))
    assert summary.done == 1
    assert 'not a resized copy of the 100 x 80 px on record' in summary.failed['b']


@pytest.mark.parametrize('part', ['masks', 'probabilities'])
def test_results_are_not_written_through_links(run, images, tmp_path, part):
    run(list_jobs(str(images))[:1])
    other = tmp_path / 'truth'
    other.mkdir()
    shutil.rmtree(tmp_path / 'out' / part)
    (tmp_path / 'out' / part).symlink_to(other)
    with pytest.raises(ValueError, match=rf'{part} is a link to .*truth'):
        run(list_jobs(str(images)))
    assert not [*other.iterdir()]
