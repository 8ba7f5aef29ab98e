import cv2
import numpy as np
import pytest
from sections import section

from mmseg_ftu.stain import ColourHistogram, tissue_mask
from mmseg_ftu.stain.histogram import ColourCells
from mmseg_ftu.stain.percentile import weighted_percentile


def test_counts_by_hand():
    image = np.array([[[0, 2, 255], [1, 3, 254], [4, 2, 255]]], np.uint8)
    cells = ColourHistogram().update(image).cells()
    assert cells.levels.T.tolist() == [[0, 1, 127], [2, 1, 127]]
    assert cells.counts.tolist() == [2, 1]
    red = [np.log(255), (np.log(255 / 4) + np.log(255 / 5)) / 2]
    np.testing.assert_allclose(cells.densities()[0], red)


def test_tiles_in_any_order_and_merged_count_as_the_whole():
    image = section(size=90)
    tiles = [
        image[i : i + 40, j : j + 25] for i in (80, 40, 0) for j in (75, 0, 50, 25)
    ]
    first, second = ColourHistogram(), ColourHistogram()
    for number, tile in enumerate(tiles):
        (first, second)[number % 2].update(tile)
    whole, parts = ColourHistogram.of(image).cells(), first.merge(second).cells()
    assert np.array_equal(whole.index, parts.index)
    assert np.array_equal(whole.counts, parts.counts)
    assert first.pixels == 90 * 90


def test_tissue_is_that_of_the_pixels():
    image = section(size=200)
    cells = ColourHistogram.of(image).cells()
    assert (cells.tissue() * cells.counts).sum() == pytest.approx(
        tissue_mask(image).sum(), rel=2e-3
    )


def test_edge_cells_are_shared_out():
    """Of a cell that the threshold cuts, each of the eight colours counts."""
    levels = np.arange(190, 206, dtype=np.uint8)
    gray = cv2.cvtColor(levels[:, None], cv2.COLOR_GRAY2RGB)
    cells = ColourHistogram.of(gray).cells()
    parts = cells.tissue()
    colours = np.stack([cells.colours(corner) for corner in range(8)], axis=1)
    assert parts.tolist() == tissue_mask(colours).mean(axis=1).tolist()
    assert 0 < (parts * cells.counts).sum() < 16


def test_empty_histogram():
    assert ColourHistogram().pixels == 0
    assert ColourHistogram().cells().counts.size == 0


def test_refuses_counts_of_another_shape():
    with pytest.raises(ValueError, match='shape'):
        ColourHistogram.of_counts(np.zeros((64, 64, 64)))


@pytest.mark.parametrize('percentile', [0, 1, 37.5, 50, 99, 100])
def test_percentile_of_weighted_equals_that_of_sorted(percentile):
    rng = np.random.default_rng(3)
    values, weights = rng.gamma(1, 1, 3000), rng.integers(1, 9, 3000)
    middles = np.cumsum(weights[np.argsort(values)]) - np.sort(values) * 0
    middles -= weights[np.argsort(values)] / 2
    expected = np.interp(percentile / 100 * weights.sum(), middles, np.sort(values))
    assert weighted_percentile(values, weights, percentile) == pytest.approx(expected)
    repeated = np.percentile(np.repeat(values, weights), percentile)
    assert weighted_percentile(values, weights, percentile) == pytest.approx(
        repeated, rel=0.02
    )


def test_percentile_of_clumps():
    values, weights = np.array([0.0, 0.0, 5.0, 1e6]), np.array([50.0, 40.0, 9.0, 1.0])
    assert weighted_percentile(values, weights, 50) == pytest.approx(0, abs=1e-9)
    assert weighted_percentile(values, weights, 94.5) == pytest.approx(5)
    assert weighted_percentile(np.full(4, 2.0), weights, 99) == 2


def test_tissue_of_every_cell_is_that_of_its_eight_colours():
    cells = ColourCells(np.arange(128**3), np.ones(128**3))
    parts = sum(tissue_mask(cells.colours(corner)[None])[0] for corner in range(8)) / 8
    assert np.array_equal(cells.tissue(), parts)
