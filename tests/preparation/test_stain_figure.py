"""The figure's panels are the engine's results, in place, told apart by captions."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from sections import UNFIT, section

from mmseg_ftu.io.resizing import resize_image
from mmseg_ftu.preparation.stain_figure import draw_stains
from mmseg_ftu.sample_tissue import write_sample_data
from mmseg_ftu.stain import VahadaneNormalizer

ROOT = Path(__file__).resolve().parents[2]
OTHER = ([0.5, 0.75, 0.43], [0.1, 0.95, 0.25])
SIZE, CAPTION, GAP = 64, 26, 6


def run_tool(*args):
    command = [sys.executable, str(ROOT / 'tools/draw_stains.py'), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])


def panel(sheet, row, column):
    """Return caption and picture of a panel."""
    top = row * (SIZE + CAPTION + GAP)
    left = column * (SIZE + GAP)
    part = sheet[top : top + SIZE + CAPTION, left : left + SIZE]
    return part[:CAPTION], part[CAPTION:]


@pytest.fixture
def images(tmp_path):
    """A wide section, one that can't be fitted, and a target."""
    wide = np.hstack([section(1, 128, OTHER), section(2, 128, OTHER)])
    write(tmp_path / 'images/a.png', wide)
    write(tmp_path / 'images/b.png', UNFIT['one stain'])
    fitted = VahadaneNormalizer(on_failure='target').fit(section(3))
    (tmp_path / 'target.json').write_text(json.dumps(fitted.state_dict()))
    write(tmp_path / 'target.png', section(3))
    return tmp_path


@pytest.mark.slow
def test_command_line(images):
    out = images / 'new/stains.png'
    good = (images / 'images', images / 'target.json', out)
    wrong = run_tool(*good, '--per-group', 0)
    assert wrong.returncode == 2
    assert wrong.stderr.strip() == 'error: --per-group 0: give 1 or more'
    assert not out.exists()
    made = run_tool(*good, '--size', SIZE, '--fit-size', 128)
    assert made.returncode == 0, made.stderr
    assert made.stdout == f'wrote {out}: 2 images, 1 could not be fitted\n'
    draw_stains(*good[:2], images / 'again.png', size=SIZE, fit_size=128)
    assert out.read_bytes() == (images / 'again.png').read_bytes()


@pytest.mark.parametrize('target', ['target.json', 'target.png'])
def test_panels_of_a_folder_of_images(images, target):
    out = images / 'stains.png'
    draw_stains(images / 'images', images / target, out, size=SIZE, fit_size=128)
    sheet = cv2.imread(str(out))[..., ::-1]
    assert sheet.shape == (2 * (SIZE + CAPTION) + GAP, 3 * SIZE + 2 * GAP, 3)
    policy = 'target' if target == 'target.json' else 'identity'
    normalizer = VahadaneNormalizer(on_failure=policy).fit(section(3))
    for row, name in enumerate(('a', 'b')):
        image = cv2.imread(str(images / f'images/{name}.png'))[..., ::-1]
        image = resize_image(np.ascontiguousarray(image), [(64, 128), (128, 128)][row])
        after = normalizer.transform(image)
        assert np.array_equal(after, image) == (row == 1 and policy == 'identity')
        left = (image.shape[1] - image.shape[0]) // 2
        for column, whole in enumerate((image, after, section(3))):
            if column < 2:
                whole = whole[:, left : left + image.shape[0]]
            caption, picture = panel(sheet, row, column)
            expected = resize_image(np.ascontiguousarray(whole), (SIZE, SIZE))
            assert np.array_equal(picture, expected), (row, column)
            assert caption.min() < 100 < caption.mean()  # words on white
    captions = [panel(sheet, row, 1)[0] for row in (0, 1)]
    assert not np.array_equal(*captions)  # 'after', and why not


def test_rows_of_each_organ(images):
    write_sample_data(images / 'raw', images=10, size=64)
    out = images / 'stains.png'
    draw_stains(
        images / 'raw', images / 'target.json', out, 1, size=SIZE, fit_size=SIZE
    )
    table = (images / 'raw/train.csv').read_text().splitlines()
    groups = {tuple(row.split(',')[1:3]) for row in table[1:]}
    assert len(groups) > 4
    height = len(groups) * (SIZE + CAPTION + GAP) - GAP
    assert cv2.imread(str(out)).shape == (height, 3 * SIZE + 2 * GAP, 3)


def test_mistakes_are_told(images):
    out = images / 'out.png'
    for source, target, count, words in (
        ('no', 'target.json', 1, 'no images'),
        ('images', 'no.json', 1, r'no\.json: no such file'),
        ('images', 'images/b.png', 1, 'one stain'),
        ('images', 'target.json', 0, '--per-group 0'),
    ):
        with pytest.raises((ValueError, OSError), match=words):
            draw_stains(images / source, images / target, out, count)
    for options in (dict(size=2049), dict(size=0), dict(fit_size=20_000)):
        with pytest.raises(ValueError, match=r'size \d+: give 1 to \d+ px'):
            draw_stains(images / 'images', images / 'target.json', out, **options)
    assert not out.exists()
