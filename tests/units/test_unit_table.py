"""Tables of units: what a row says, what an image says, and what is blank."""

import numpy as np
import pandas as pd
import pytest
from run_masks import runs_of

from mmseg_ftu.masks.objects import find_objects
from mmseg_ftu.units.unit_names import unit_name
from mmseg_ftu.units.unit_table import (
    COLUMNS,
    IMAGE_COLUMNS,
    UnitImage,
    image_row,
    join_tables,
    unit_rows,
    write_rows,
)

MASK = np.zeros((50, 80), bool)
MASK[0:10, 0:20] = MASK[20:24, 30:34] = MASK[40, 70] = True


def image(name='a', **known):
    return UnitImage(name, 'kidney', 'glomerulus', counted_px=MASK.size, **known)


def rows_of(mask=MASK, name='a', **known):
    return unit_rows(find_objects(runs_of(mask)), image(name, **known))


def test_a_row_a_unit():
    rows = rows_of(spacing=(0.5, 0.5))
    assert rows.columns.tolist() == [*COLUMNS]
    assert rows.id.tolist() == ['a_1', 'a_2', 'a_3']
    first = rows.iloc[0]
    assert (first.left, first.top, first.right, first.bottom) == (0, 0, 20, 10)
    assert (first.centroid_x, first.centroid_y) == (10, 5)
    assert (first.area_px, first.area_um2) == (200, 50)
    assert first.equivalent_diameter_um == pytest.approx(2 * np.sqrt(50 / np.pi))
    assert rows.touches_border.tolist() == [1, 0, 0]
    assert rows.mean_probability.isna().all()
    assert np.isnan(rows.circularity[2])  # a single pixel has no perimeter


def test_a_row_an_image():
    known = dict(spacing=(0.5, 0.5), tissue_share=0.4)
    row = image_row(rows_of(**known), image(**known))
    mm2 = MASK.size * 0.25 / 1e6
    assert list(row) == [*IMAGE_COLUMNS]
    assert (row['units'], row['touching_border']) == (3, 1)
    assert row['area_share'] == MASK.mean()
    assert (row['image_mm2'], row['tissue_mm2']) == pytest.approx((mm2, 0.4 * mm2))
    assert row['units_per_mm2_of_image'] == pytest.approx(3 / mm2)
    assert row['units_per_mm2_of_tissue'] == pytest.approx(3 / (0.4 * mm2))
    assert (row['median_area_px'], row['median_area_um2']) == (16, 4)


@pytest.mark.parametrize(
    ('known', 'blank'),
    [
        ({}, {'image_mm2', 'tissue_mm2', 'units_per_mm2_of_image', 'median_area_um2'}),
        ({'spacing': (1, 1)}, {'tissue_mm2', 'units_per_mm2_of_tissue'}),
        ({'spacing': (1, 1), 'tissue_share': 0.0}, {'units_per_mm2_of_tissue'}),
        ({'tissue_share': 0.5}, {'tissue_mm2', 'units_per_mm2_of_tissue'}),
    ],
)
def test_what_is_not_known_is_blank(known, blank):
    row = image_row(rows_of(**known), image(**known))
    assert {name for name in blank if row[name] is not None} == set()
    if 'spacing' in known:
        assert row['units_per_mm2_of_image'] is not None


def test_an_image_without_units(tmp_path):
    rows = rows_of(np.zeros_like(MASK), spacing=(1, 1))
    row = image_row(rows, image(spacing=(1, 1)))
    assert (row['units'], row['area_share']) == (0, 0)
    assert row['units_per_mm2_of_image'] == 0
    assert row['median_area_px'] is None
    write_rows(tmp_path / 'a.csv', rows)
    assert (tmp_path / 'a.csv').read_text() == ','.join(COLUMNS) + '\n'


def test_tables_are_joined(tmp_path):
    for name in 'ab':
        write_rows(tmp_path / f'{name}.csv', rows_of(name=name))
    (tmp_path / 'other.csv').write_text('x,y\n1,2\n')
    names = ('a', 'gone', 'other', 'b')
    join_tables(tmp_path / 'all.csv', [tmp_path / f'{name}.csv' for name in names])
    table = pd.read_csv(tmp_path / 'all.csv')
    assert table.id.tolist() == ['a_1', 'a_2', 'a_3', 'b_1', 'b_2', 'b_3']
    expected = pd.concat([rows_of(name='a'), rows_of(name='b')], ignore_index=True)
    pd.testing.assert_frame_equal(table, expected, check_dtype=False, rtol=1e-6)


@pytest.mark.parametrize(
    ('organ', 'name'), [('kidney', 'glomerulus'), ('skin', 'FTU'), (None, 'FTU')]
)
def test_names(organ, name):
    assert unit_name(organ) == name
