"""Units on the page: counts, scores and histograms."""

import shutil

import lxml.html
import numpy as np
import pandas as pd
import pytest

from mmseg_ftu.evaluation.evaluate import compare
from mmseg_ftu.report import write_report
from mmseg_ftu.report.unit_charts import draw_histogram, read_unit_groups
from mmseg_ftu.units.measure_masks import measure_masks


def add_units(folder, out):
    """Put the tables of units into a prediction folder, as predict writes them."""
    measure_masks(folder, out)
    for name in ('units.csv', 'units_by_image.csv'):
        shutil.copy(out / name, folder)


def words(element):
    return ' '.join(' '.join(element.itertext()).split())


def rows_of(page, label):
    rows = page.xpath(f'//section[@id="units"]//div[@aria-label="{label}"]//tbody/tr')
    return [[words(cell) for cell in row] for row in rows]


def test_units_on_the_page(make_predictions, tmp_path):
    folder, truth = make_predictions(n=4, shift=8)
    add_units(folder, tmp_path / 'measured')
    page = lxml.html.fromstring(write_report(folder, truth).read_text('utf-8'))
    units = pd.read_csv(folder / 'units.csv')
    found = rows_of(page, 'Table of units')
    cut = units.groupby('organ').touches_border.sum()
    expected = [[organ, '2', '2', str(cut[organ])] for organ in ('kidney', 'lung')]
    assert [row[:4] for row in found] == expected
    scores = compare(folder, truth, with_hd95=False, units=True).unit_groups
    scores = scores[scores.by == 'organ']
    names = ('unit_f1', 'unit_sq', 'unit_pq', 'object_dice')
    for row, score in zip(
        rows_of(page, 'Table of units that were found'),
        scores.to_dict('records'),
        strict=True,
    ):
        texts = [score[n] for n in names]
        said = ['\u2013' if np.isnan(value) else f'{value:.3f}' for value in texts]
        assert [row[0], *row[5:]] == [score['group'], *said]
    bars = page.xpath('//section[@id="units"]//rect/title/text()')
    counts = [int(text.rpartition(': ')[2]) for text in bars]
    assert sum(counts) == 2 * len(units)  # in one histogram of diameter, one of area


def test_without_tables_or_ground_truth(make_predictions):
    folder, truth = make_predictions()
    page = lxml.html.fromstring(write_report(folder).read_text('utf-8'))
    assert not page.xpath('//section[@id="units"]')
    page = lxml.html.fromstring(write_report(folder, truth).read_text('utf-8'))
    assert 'No sizes' in words(page.xpath('//section[@id="units"]')[0])


@pytest.mark.parametrize('text', ['', 'x,y\n1,2\n', '\0\0'])
def test_tables_that_somebody_edited(make_predictions, tmp_path, text):
    folder, _ = make_predictions()
    add_units(folder, tmp_path / 'measured')
    assert len(read_unit_groups(folder)) == 2
    (folder / 'units.csv').write_text(text)
    assert read_unit_groups(folder) == []


@pytest.mark.parametrize(
    'values',
    [[1], [0, 0], [5] * 9, range(100), [*range(98), 500, 10_000], [1e-3, 2e-3]],
)
def test_every_value_has_its_bar(values):
    chart = draw_histogram('Area', 'px', np.array(values, float))
    counts = [int(bar.text.rpartition(': ')[2]) for bar in chart.bars]
    assert sum(counts) == len(values)
    assert all(bar.height >= 0 and bar.width > 0 for bar in chart.bars)
    tallest = max(chart.bars, key=lambda bar: bar.height)
    assert int(tallest.text.rpartition(': ')[2]) == max(counts)
