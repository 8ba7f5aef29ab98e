"""What Start and the tutorials say runs as it stands there, on data made here."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import shapely
from conftest import draw_disc
from page_blocks import DOCS, Reader, blocks
from small_slides import feature, write_annotations, write_slide

pytestmark = pytest.mark.slow
ROOT = DOCS.parent
NAMES = list('abcdefgh')
CROP = 'train_dataloader.dataset.pipeline.2.transforms.0'
SMALL = {f'{CROP}.height': 64, f'{CROP}.width': 64}  # px
for _kind in ('train', 'val', 'test'):  # no process beside the run's own
    SMALL[f'{_kind}_dataloader.num_workers'] = 0
    SMALL[f'{_kind}_dataloader.persistent_workers'] = False
RESNET = {'lite0_unet': 'resnet18_unet'}  # no weights to load, and smaller


def write_pairs(folder: Path, names=NAMES, size: int = 64) -> None:
    """Write images, masks and a table of four patients."""
    for part in ('images', 'masks'):
        (folder / part).mkdir(parents=True)
    rows = ['name,patient']
    for i, name in enumerate(names):
        image, mask = draw_disc((size, size), seed=i)
        cv2.imwrite(str(folder / 'images' / f'{name}.png'), image[..., ::-1])
        cv2.imwrite(str(folder / 'masks' / f'{name}.png'), mask)
        rows.append(f'{name},P{i % 4}')
    (folder / 'patients.csv').write_text('\n'.join(rows) + '\n')


def write_tissue(path: Path) -> None:
    cv2.imwrite(str(path), draw_disc((128, 128), seed=9)[0][..., ::-1])


def test_start_on_drawn_tissue(tmp_path):
    quicker = {
        '--epochs 60': '--epochs 4',
        'run/epoch_60.pth': 'run/epoch_4.pth',
        '--images 40': '--images 10',
        '--size 256': '--size 96',
    }
    install, shipped, own, *_ = blocks('start.md')
    assert 'pip install -e' in install
    assert 'models/glomeruli-pas' in shipped
    assert 'prepare pairs' in own
    (tmp_path / 'new_images').mkdir()
    write_tissue(tmp_path / 'new_images' / 'new.png')
    Reader(tmp_path, quicker).whole('start.md', skip=3)
    assert (tmp_path / 'report.html').is_file()
    assert [p.name for p in (tmp_path / 'results' / 'masks').iterdir()] == ['new.png']


def test_start_with_a_model_that_comes_along(tmp_path):
    (tmp_path / 'models').symlink_to(ROOT / 'models')
    write_tissue(tmp_path / 'image.png')
    Reader(tmp_path, {}).shell(blocks('start.md')[1])
    assert (tmp_path / 'found' / 'masks' / 'image.png').is_file()
    assert (tmp_path / 'found' / 'overlays' / 'image.jpg').is_file()


def test_start_prepares_images_of_ones_own(tmp_path):
    write_pairs(tmp_path / 'my_tissue')
    Reader(tmp_path, {}).shell(blocks('start.md')[2])
    assert (tmp_path / 'data/tissue/folds.csv').is_file()


def test_your_own_pairs(tmp_path):
    write_pairs(tmp_path / 'my_tissue')
    write_pairs(tmp_path / 'others', names=['a', 'z'], size=96)
    (tmp_path / 'others' / 'images').rename(tmp_path / 'new_images')
    quicker = RESNET | {
        '--epochs 60': '--epochs 2',
        'epoch_60.pth': 'epoch_2.pth',
        '--folds 5': '--folds 2',
        'in 0 1 2 3 4': 'in 0',
        '--size 512': '--size 64',
    }
    Reader(tmp_path, quicker).whole('tutorials/own_pairs.md')
    folds = pd.read_csv(tmp_path / 'data/colon/folds.csv')
    assert (folds.groupby('group').fold.nunique() == 1).all()
    assert (tmp_path / 'prepared.html').is_file()
    assert (tmp_path / 'thresholds.json').is_file()
    scored = pd.read_csv(tmp_path / 'scores/fold0/evaluation.csv')
    assert sorted(scored['id']) == sorted(folds[folds.fold == 0]['id'])
    assert set(pd.read_csv(tmp_path / 'results/units_by_image.csv').image) == {'a', 'z'}


def test_from_qupath_and_back(tmp_path):
    pytest.importorskip('bioimageio.core', reason='the extra [bioimageio]')
    shape = (640, 720)
    for seed, name in enumerate(('skin_1', 'skin_2')):
        write_slide(tmp_path / 'slides' / f'{name}.tif', shape, seed)
        write_annotations(
            tmp_path / 'project/annotations' / f'{name}.geojson',
            feature(shapely.box(0, 0, 560, 600), 'Region'),
            feature(shapely.Point(150, 200).buffer(80), 'Epithelium'),
            feature(shapely.Point(400, 400).buffer(90), 'Epithelium: Follicle'),
            feature(shapely.box(60, 400, 200, 500), 'Keratin'),
        )
    write_slide(tmp_path / 'new_slides' / 'new.tif', shape, seed=2, pixel_size=0.25)
    quicker = RESNET | {
        "pip install -e '.[offline-weights]'\n": '',
        "pip install -e '.[bioimageio]'\n": '',
        '--epochs 40': '--epochs 4',
        'epoch_40.pth': 'epoch_4.pth',
        'skin_1_x683_y1402': 'skin_1_x0_y0',
    }
    Reader(tmp_path, quicker).whole('tutorials/qupath.md')
    tiles = pd.read_csv(tmp_path / 'data/slides/tiles.csv')
    assert set(tiles.slide) == {'skin_1', 'skin_2'}
    assert (tmp_path / 'slides.html').is_file()
    assert (tmp_path / 'results/geojson/new.geojson').is_file()
    assert (tmp_path / 'skin.zip').is_file()


def test_the_competition(tmp_path):
    kaggle, draw, *rest = blocks('tutorials/competition.md')
    assert 'kaggle competitions download' in kaggle
    reader = Reader(
        tmp_path,
        {
            '--images 80 --size 512': '--images 10 --size 96',
            'hubmap --stain vahadane': 'hubmap --size 96 --stain vahadane',
            'ftu/coat_daformer_switch.py': 'tissue/coat_slim_daformer_switch.py',
            'switch.py --work-dir': 'switch.py --epochs 4 --work-dir',
        },
    )
    reader.shell(draw)
    raw = tmp_path / 'data/raw'
    (raw / 'test_images').symlink_to('train_images')
    table = pd.read_csv(raw / 'train.csv')
    table.drop(columns=['rle', 'age', 'sex']).tail(2).to_csv(
        raw / 'test.csv', index=False
    )
    for code in rest:
        reader.shell(code)
    assert reader.used == set(reader.quicker)
    ours, kaggles = (
        pd.read_csv(tmp_path / name / 'evaluation.csv', index_col='id')
        for name in ('scores', 'scores_of_submission')
    )
    assert len(ours) == 2
    assert np.allclose(ours.dice, kaggles.dice.reindex(ours.index), atol=1e-6)
    submission = pd.read_csv(tmp_path / 'test/submission.csv')
    assert list(submission['id']) == list(table['id'].tail(2))


def test_a_study_of_two_ways(tmp_path):
    write_pairs(tmp_path / 'my_tissue')
    quicker = {
        'folds = [0, 1, 2, 3, 4]': 'folds = [0]',
        'seeds = [0, 1, 2]': 'seeds = [0]',
        'epochs = 60': f'epochs = 2\noptions = {SMALL}',
        '--jobs 2': '--jobs 1',
    }
    reader = Reader(tmp_path, quicker)
    reader.shell(
        'mmseg-ftu prepare pairs my_tissue data/colon --organ colon --folds 2 '
        '--index patients.csv --id-column name --group-column patient'
    )
    reader.whole('tutorials/study.md')
    results = pd.read_csv(tmp_path / 'again/results.csv')
    assert results.verdict.unique() == ['too few patients']
    assert list((tmp_path / 'pictures').glob('*.svg'))
    first, again = (
        (tmp_path / name / 'report.md').read_text() for name in ('study', 'again')
    )
    assert first == again
