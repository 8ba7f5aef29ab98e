"""tools/predict.py in real processes, also killed ones."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely.geometry import shape as geometry
from small_models import dark, save, small_config

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


def draw(seed):
    """Draw pale tissue with one dark disc."""
    rng = np.random.default_rng(seed)
    image = np.full((90, 90, 3), (215, 180, 205), np.uint8)
    centre = [int(n) for n in rng.integers(25, 65, 2)]
    cv2.circle(image, centre, int(rng.integers(6, 20)), (110, 60, 140), -1)
    return image


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """The arguments that name config and checkpoint; the folder has a blank."""
    root = tmp_path_factory.mktemp('a model')
    cfg = small_config(kernel_size=1)
    cfg.dump(root / 'config.py')
    about = dict(size=90, pixel_size=1.0, stain=None)
    return root / 'config.py', save(dark(cfg), root / 'dark.pth', preparation=about)


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    for i in range(10):
        cv2.imwrite(str(folder / f'{i}.png'), draw(i)[..., ::-1])
    return folder


def command(model, images, output, *more):
    line = [sys.executable, 'tools/predict.py', *model, '--input', images]
    return [str(part) for part in (*line, '--output', output, *more)]


def environment(**more):
    paths = [str(ROOT / 'tests'), os.environ.get('PYTHONPATH', '')]
    return dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths)), **more)


def run(*arguments, **more):
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(**more),
        timeout=300,
    )


def start(*arguments, **more):
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(**more),
    )


def kill_when(process, folder, count):
    """Kill a process as soon as so many images are done."""
    for _ in range(2400):
        done = [*(folder / 'records').glob('[!.]*.json')]
        if len(done) >= count:
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return {path.stem: path.stat().st_mtime_ns for path in done}


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file() and path.name != '.lock'
    }


ALL = ('--save', 'masks', 'overlays', 'geojson', 'probabilities', 'submission')


@pytest.fixture(scope='module')
def unbroken(model, images, tmp_path_factory):
    """What a run leaves that nothing disturbs."""
    out = tmp_path_factory.mktemp('unbroken')
    done = run(model, images, out, *ALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout == '10 images predicted.\n'
    assert '10/10' in done.stderr  # the bar, which tells how long it will take
    assert 'Traceback' not in done.stderr
    return contents(out)


def test_a_killed_run_goes_on(model, images, tmp_path, unbroken):
    out = tmp_path / 'killed'
    before = kill_when(
        start(model, images, out, *ALL, FTU_TEST_DELAY='0.3'), out, count=3
    )
    assert 3 <= len(before) < 10
    done = run(model, images, out, *ALL)
    assert done.returncode == 0, done.stderr
    kept = int(done.stdout.split(', ')[1].split()[0])
    assert 10 > kept >= len(before)
    for name, written in before.items():
        assert (out / 'records' / f'{name}.json').stat().st_mtime_ns == written
    assert contents(out) == unbroken
    # other settings
    other = (*ALL, '--fill-holes')
    refused = run(model, images, out, *other)
    assert refused.returncode == 2
    assert refused.stderr.startswith('error: ')
    assert '(fill_holes)' in refused.stderr
    assert contents(out) == unbroken
    assert run(model, images, out, *other, '--overwrite').returncode == 0


def test_processes_share_the_images(model, images, tmp_path, unbroken):
    out = tmp_path / 'shared'
    processes = [
        start(model, images, out, *ALL, RANK=rank, WORLD_SIZE='2', LOCAL_RANK=rank)
        for rank in '01'
    ]
    for process in processes:
        told, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert told == '5 images predicted.\n'
    assert contents(out) == unbroken


def test_a_killed_share_goes_on(model, images, tmp_path, unbroken):
    out = tmp_path / 'shared'
    share = dict(RANK='1', WORLD_SIZE='2')
    slow = start(model, images, out, *ALL, FTU_TEST_DELAY='0.3', **share)
    kill_when(slow, out, count=2)
    other = run(model, images, out, *ALL, RANK='0', WORLD_SIZE='2')
    assert other.stdout == '5 images predicted.\n'
    again = run(model, images, out, *ALL, **share)
    assert again.returncode == 0
    assert 'were there already' in again.stdout
    assert contents(out) == unbroken


def predicted(told):
    """Return how many images a process says it has predicted."""
    return int(re.search(r'(\d+) images? predicted', told).group(1))


def test_processes_started_by_hand_share_the_images(model, images, tmp_path, unbroken):
    """Three at once, without a launcher: each image is predicted by one of them."""
    out = tmp_path / 'by hand'
    slow = dict(FTU_TEST_DELAY='0.2')
    processes = [start(model, images, out, *ALL, **slow) for _ in range(3)]
    counts = []
    for process in processes:
        told, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert 'failed' not in told
        counts.append(predicted(told))
    assert sum(counts) == 10
    assert contents(out) == unbroken


def test_images_of_a_killed_process_are_taken_over(model, images, tmp_path, unbroken):
    """By those that are at work: what it had done stays, all is done in the end."""
    out = tmp_path / 'by hand'
    slow = dict(FTU_TEST_DELAY='0.3')
    victim, *others = [start(model, images, out, *ALL, **slow) for _ in range(3)]
    before = kill_when(victim, out, count=2)
    counts = []
    for process in others:
        told, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert 'failed' not in told
        counts.append(predicted(told))
    records = [json.loads(p.read_text()) for p in (out / 'records').glob('*.json')]
    assert [record['status'] for record in records] == ['done'] * 10
    assert 0 < sum(counts) <= 10
    for name, written in before.items():
        assert (out / 'records' / f'{name}.json').stat().st_mtime_ns == written
    last = run(model, images, out, *ALL)  # removes temporary files that are left
    assert last.stdout == '0 images predicted, 10 were there already.\n'
    assert contents(out) == unbroken


def test_ground_truth_is_refused_in_one_line(model, images, tmp_path):
    masks = tmp_path / 'my_tissue' / 'masks'
    shutil.copytree(images, masks)
    before = contents(masks)
    done = run(model, images, tmp_path / 'my_tissue', '--overwrite')
    assert (done.returncode, done.stdout) == (2, '')
    (line,) = [x for x in done.stderr.splitlines() if x.startswith('error: ')]
    assert 'my_tissue is not empty and was not made by predict' in line
    assert contents(masks) == before
    assert [path.name for path in masks.parent.iterdir()] == ['masks']


def test_bad_images_and_the_exit_code(model, images, tmp_path):
    images = shutil.copytree(images, tmp_path / 'images')
    (images / '3.png').write_bytes(b'')
    (images / '5.png').write_bytes((images / '5.png').read_bytes()[:-40])
    done = run(model, images, tmp_path / 'out')
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    assert '8 images predicted.\n2 failed:\n  3: ' in done.stdout
    rows = pd.read_csv(tmp_path / 'out' / 'predictions.csv', index_col='id')
    assert rows.status.tolist() == ['done'] * 3 + ['failed', 'done'] * 2 + ['done'] * 3
    assert '3.png: is empty (0 bytes)' in rows.reason[3]
    strict = run(model, images, tmp_path / 'strict', '--strict')
    assert strict.returncode == 1
    error = strict.stderr.splitlines()[-1]
    assert error.startswith('error: ')
    assert '3.png: is empty (0 bytes)' in error
    missing = run(model, tmp_path / 'nowhere', tmp_path / 'out')
    assert (missing.returncode, missing.stdout) == (2, '')
    assert 'nowhere: no such image or folder' in missing.stderr


def test_a_slide_end_to_end(model, tmp_path, shared_data):
    """The outlines, in px of level 0, cover the pixels of the mask."""
    slide = shared_data('stain_images') / 'cmu_small_region.svs'
    out = tmp_path / 'out'
    more = ('--save', 'masks', 'geojson', 'overlays', '--tile', '512')
    done = run(model, slide, out, *more, '--min-area-um2', '150')
    assert done.returncode == 0, done.stderr
    (row,) = pd.read_csv(out / 'predictions.csv').to_dict('records')
    assert (row['height'], row['width']) == (2967, 2220)
    assert row['pixel_size'] == pytest.approx(0.499)
    record = json.loads((out / 'records' / 'cmu_small_region.json').read_text())
    # 1481 x 1108 px at 1 um/px, 512 px each and 128 px of overlap at least
    assert record['tiles'][1] == 4 * 3
    mask = cv2.imread(str(out / 'masks' / 'cmu_small_region.png'), -1)
    assert mask.shape == (2967, 2220)
    assert 0.01 < (mask == 255).mean() == pytest.approx(row['foreground'])
    features = json.loads((out / 'geojson' / 'cmu_small_region.geojson').read_text())
    features = features['features']
    assert len(features) == row['objects'] > 10
    painted = np.zeros(mask.shape, bool)
    for feature in features:
        outline = geometry(feature['geometry'])
        assert outline.is_valid
        assert outline.area * 0.499**2 >= 149
        left, top, right, bottom = (round(n) for n in outline.bounds)
        x, y = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
        painted[top:bottom, left:right] |= shapely.contains_xy(outline, x, y)
    assert (painted == (mask == 255)).all()
    # dark pixels of the slide itself, at twice the working resolution
    image = cv2.imread(str(slide.with_name('cmu_small_region_crop1024.png')))
    expected = image.mean(axis=2) < 160.5
    found = mask[600:1624, 600:1624] == 255
    assert (found == expected).mean() > 0.9
