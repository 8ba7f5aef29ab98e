import argparse
import sys

import numpy as np
import pytest
import slide_inputs
import slides

from mmseg_ftu.io.sources import open_source


def result(steady: float, network: float) -> dict:
    return dict(
        torch='2.14',
        tiles=36,
        process=steady + 5,
        steady=steady,
        network=network,
        rest=steady - network,
        peak=900.0,
        steps={'network': network, 'writing': 1.0},
        calls={'network': 9, 'writing': 1},
    )


def test_contestants_in_a_table():
    found = {'ours': [result(20, 18)] * 2, 'other': [result(25, 19), result(29, 19)]}
    ours, other = slides.table(found, 2000)[2:]
    assert (
        ours
        == '| ours | 2.14 | 36 | 25.0 | 20.0 | 18.0 | 2.0 | 0.20 |  |  |  |  | 900 |'
    )
    assert '| 32.0 | 27.0 | 19.0 | 8.0 | 0.15 |' in other
    assert (
        '| 1.35 (1.25 to 1.45) | 1.06 (1.06 to 1.06) | 4.00 (3.00 to 5.00) |' in other
    )


def test_steps_of_ours_the_longest_first():
    assert slides.breakdown([result(20, 18)])[2:] == [
        '| network | 9 | 18.00 | 90% |',
        '| writing | 1 | 1.00 | 5% |',
    ]


def test_pythons_of_peers():
    assert slides.named(f'lazyslide={sys.executable}') == ('lazyslide', sys.executable)
    for text in ('lazyslide=/none', f'other={sys.executable}', 'lazyslide'):
        with pytest.raises(argparse.ArgumentTypeError, match='give lazyslide=PATH'):
            slides.named(text)


@pytest.mark.parametrize('suffix', ['tif', 'svs'])
def test_the_slide_is_a_pyramid_of_the_piece(tmp_path, suffix):
    piece = np.zeros((160, 320, 3), np.uint8)
    piece[:, 160:] = 200
    slide_inputs.write_slide(tmp_path / f'a.{suffix}', piece, 1000)
    source = open_source(tmp_path / f'a.{suffix}')
    assert source.levels == [(1000, 1000), (250, 250), (63, 63)]
    assert source.pixel_size == pytest.approx(slide_inputs.PIXEL_SIZE)
    for level, step in enumerate(slide_inputs.LEVELS):
        row = source.read(level, 0, 0, 1, 800 // step)[0, :, 0].reshape(5, -1)
        means = row.mean(axis=1)
        assert (np.abs(means[::2]) < 20).all()
        assert (np.abs(means[1::2] - 200) < 20).all()
    source.close()


def test_edges_of_the_tissue_meet(tmp_path):
    piece = slide_inputs.tissue(tmp_path / 'none.svs', drawn=64)
    assert (piece[0] == piece[-1]).all()
    assert (piece[:, 0] == piece[:, -1]).all()
