"""Synthetic tissue: the competition's layout, repeatable, not told by colour alone."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from mmseg_ftu.masks import rle
from mmseg_ftu.sample_tissue import ORGANS, draw_sample, write_sample_data
from mmseg_ftu.sample_tissue.drawing import FIRST_ID

COLUMNS = (
    'id organ data_source img_height img_width pixel_size tissue_thickness rle age sex'
)


@pytest.fixture(scope='module')
def samples():
    return [draw_sample(index, size=128, seed=0) for index in range(10)]


def test_ten_images_cover_organs_and_sources(samples):
    pairs = {(s.row['organ'], s.row['data_source']) for s in samples}
    assert pairs == {(o, s) for o in ORGANS for s in ('HPA', 'Hubmap')}
    assert sorted(ORGANS) == ['kidney', 'largeintestine', 'lung', 'prostate', 'spleen']


def test_masks_are_plausible(samples):
    for sample in samples:
        assert set(np.unique(sample.mask)) == {0, 1}
        share = sample.mask.mean()
        assert 0.01 < share < 0.75, sample.row['organ']
        assert not sample.mask[~sample.tissue].any()
        decoded = rle.decode(sample.row['rle'], sample.mask.shape)
        assert np.array_equal(decoded, sample.mask)


def test_outside_of_the_specimen_is_bright(samples):
    for sample in samples:
        outside = ~sample.tissue
        if outside.mean() > 0.05:
            assert np.median(sample.rgb[outside]) > 200


def test_hpa_images_are_discs(samples):
    for sample in samples:
        if sample.row['data_source'] == 'HPA':
            corners = sample.tissue[[0, 0, -1, -1], [0, -1, 0, -1]]
            assert not corners.any()
            assert 0.5 < sample.tissue.mean() < 0.95


def test_units_and_surroundings_share_their_colours(samples):
    """No grey level splits units from the rest of the tissue well."""
    for sample in samples:
        grey = sample.rgb.mean(-1)[sample.tissue]
        unit = sample.mask[sample.tissue] == 1
        levels = np.percentile(grey, np.arange(2, 100, 2))
        best = max(
            max(
                2 * (p & unit).sum() / (p.sum() + unit.sum())
                for p in (grey < t, grey >= t)
            )
            for t in levels
        )
        assert best < 0.93, sample.row


def test_a_picture_depends_on_seed_and_index_only(samples):
    again = draw_sample(3, size=128, seed=0)
    assert np.array_equal(again.rgb, samples[3].rgb)
    assert again.row == samples[3].row
    other = draw_sample(3, size=128, seed=1)
    assert not np.array_equal(other.rgb, samples[3].rgb)


def test_folder_has_the_layout_of_the_competition(tmp_path, samples):
    summary = write_sample_data(tmp_path / 'raw', images=5, size=128)
    assert '5 synthetic images' in summary
    table = pd.read_csv(tmp_path / 'raw' / 'train.csv', dtype={'id': str})
    assert list(table) == COLUMNS.split()
    for i, row in table.iterrows():
        image = tifffile.imread(tmp_path / 'raw' / 'train_images' / f'{row.id}.tiff')
        assert np.array_equal(image, samples[i].rgb)
        assert rle.decode(row.rle, (128, 128)).sum() == samples[i].mask.sum()
    assert json.loads((tmp_path / 'raw' / 'synthetic.json').read_text())['synthetic']


def test_writing_again_replaces_and_drops_what_is_too_many(tmp_path):
    write_sample_data(tmp_path, images=3, size=64)
    write_sample_data(tmp_path, images=2, size=64, seed=1)
    assert len(list((tmp_path / 'train_images').iterdir())) == 2
    assert len(pd.read_csv(tmp_path / 'train.csv')) == 2


def test_files_in_the_way_of_more_images_stay(tmp_path):
    write_sample_data(tmp_path / 'data', images=1, size=64)
    mine = tmp_path / 'data' / 'train_images' / f'{FIRST_ID + 1}.tiff'
    mine.write_text('mine')
    with pytest.raises(ValueError, match='in the way'):
        write_sample_data(tmp_path / 'data', images=2, size=64)
    assert mine.read_text() == 'mine'
    assert (tmp_path / 'data' / 'train.csv').is_file()


def test_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / 'thesis.txt').write_text('years of work')
    with pytest.raises(ValueError, match='not written by make_sample_data'):
        write_sample_data(tmp_path, images=1, size=64)
    assert [p.name for p in tmp_path.iterdir()] == ['thesis.txt']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(images=0), 'images = 0'),
        (dict(size=32), 'size = 32'),
        (dict(seed=-1), 'seed = -1'),
    ],
)
def test_wrong_numbers_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write_sample_data(tmp_path, **options)
