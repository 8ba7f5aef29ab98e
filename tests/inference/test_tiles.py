import itertools

import numpy as np
import pytest

from mmseg_ftu.inference.tiles import axis_windows, blend, count_tiles, tile_rows

LENGTHS = (1, 2, 7, 63, 64, 65, 96, 100, 127, 128, 129, 200, 1001)
TILES = ((1, 0), (2, 1), (7, 0), (7, 3), (64, 0), (64, 1), (64, 16), (64, 31), (64, 32))


@pytest.mark.parametrize(('tile', 'overlap'), TILES)
@pytest.mark.parametrize('length', LENGTHS)
def test_windows_sum_to_one(length, tile, overlap):
    tiles = axis_windows(length, tile, overlap)
    total = np.zeros(length)
    for start, window in tiles:
        assert len(window) == min(tile, length)
        assert window.min() > 0
        total[start : start + len(window)] += window
    np.testing.assert_allclose(total, 1, atol=1e-12)
    starts = [start for start, _ in tiles]
    steps = np.diff(starts)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - tile)
    assert ((steps > 0) & (steps <= tile - overlap)).all()
    fewest = 1 if tile >= length else -(-(length - overlap) // (tile - overlap))
    assert len(tiles) == fewest


def test_a_window_is_smooth_and_flat_in_the_middle():
    _, window = axis_windows(16 + 20 * 48, 64, 16)[3]
    assert (window[16:48] == 1).all()
    assert np.abs(np.diff(window)).max() < 0.11  # pi / 2 / 16 at the steepest


@pytest.mark.parametrize(
    ('tile', 'overlap'), [(0, 0), (-1, 0), (64, -1), (64, 33), (7, 4), (1, 1)]
)
def test_faulty_tiles_are_refused(tile, overlap):
    with pytest.raises(ValueError, match=f'tile={tile}, overlap={overlap}'):
        axis_windows(100, tile, overlap)


def parts(image, tile, overlap):
    for row in tile_rows(image.shape, tile, overlap):
        yield (
            row,
            [
                image[t.top : t.top + tile, t.left : t.left + tile].astype(np.float32)
                for t in row
            ],
        )


@pytest.mark.parametrize('shape', [(1, 1), (1, 200), (200, 1), (64, 64), (131, 257)])
@pytest.mark.parametrize(('tile', 'overlap'), TILES[2:])
def test_parts_of_an_image_blend_to_the_image(shape, tile, overlap):
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    found, done = np.full(shape, np.nan), 0
    for y0, lines in blend(shape, parts(image, tile, overlap)):
        assert y0 == done
        assert lines.dtype == np.float32
        done += len(lines)
        found[y0:done] = lines
    assert done == shape[0]
    np.testing.assert_allclose(found, image, atol=1e-6)


@pytest.mark.parametrize('shape', [(1, 1), (64, 64), (131, 257)])
def test_tiles_are_counted(shape):
    rows = list(tile_rows(shape, 64, 20))
    assert count_tiles(shape, 64, 20) == sum(map(len, rows))
    assert all(tile.shape == tuple(min(64, n) for n in shape) for tile in rows[0])


def test_blending_equals_averaging_by_hand():
    shape, rng = (150, 90), np.random.default_rng(1)
    rows = list(tile_rows(shape, 64, 20))
    values = [[rng.random((64, 64), np.float32) for _ in row] for row in rows]
    values[1][0] = None
    values[0][0] = None  # a corner that no other tile covers
    expected, weight = np.zeros((2, *shape))
    for row, answers in zip(rows, values, strict=True):
        for tile, answer in zip(row, answers, strict=True):
            if answer is not None:
                place = np.s_[tile.top : tile.top + 64, tile.left : tile.left + 64]
                expected[place] += np.outer(tile.down, tile.across) * answer
                weight[place] += np.outer(tile.down, tile.across)
    assert (weight[:40, :20] == 0).all()
    expected[weight > 0] /= weight[weight > 0]
    lines = [part for _, part in blend(shape, zip(rows, values, strict=True))]
    np.testing.assert_allclose(np.concatenate(lines), expected, atol=1e-6)


def test_memory_holds_one_row_of_tiles():
    """Lines leave as soon as they are complete, whatever the height."""
    image = np.zeros((4000, 70), np.float32)
    largest = max(len(lines) for _, lines in blend(image.shape, parts(image, 64, 16)))
    assert largest <= 64


def test_a_part_is_asked_for_when_its_row_comes():
    asked = []

    def rows():
        for row in tile_rows((640, 64), 64, 0):
            asked.append(row[0].top)
            yield row, [None]

    first = list(itertools.islice(blend((640, 64), rows()), 2))
    assert [y0 for y0, _ in first] == [0, 64]
    assert len(asked) == 3
