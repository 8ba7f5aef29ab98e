"""Units on the page: how many, how large, and how well they were found, by organ."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mmseg_ftu.evaluation.unit_scores import UnitScores
from mmseg_ftu.report.cases import UNKNOWN_ORGAN, Scores
from mmseg_ftu.report.charts import round_ticks
from mmseg_ftu.units.unit_table import COLUMNS, IMAGE_COLUMNS

UNITS, BY_IMAGE = 'units.csv', 'units_by_image.csv'
WIDTH, HEIGHT = 420, 150  # view box of a histogram
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 8, 38  # its margins
BINS = 24  # about


class Bar(NamedTuple):
    """A bar of a histogram: its place, size and what it says."""

    x: float
    y: float
    width: float
    height: float
    text: str


class Histogram(NamedTuple):
    """A chart of counts: title, unit of the axis, bars, ticks (position, label)."""

    title: str
    axis: str
    bars: list[Bar]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    summary: str


class UnitGroup(NamedTuple):
    """The units of an organ.

    Attributes:
        organ: Name of the organ.
        images: Number of images.
        units: Number of units.
        at_border: Number of units that the border cuts.
        density: Units per mm2 of tissue, over all images that know both; NaN if none.
        histograms: Histograms of diameter and area.
    """

    organ: str
    images: int
    units: int
    at_border: int
    density: float
    histograms: list[Histogram]


class FoundGroup(NamedTuple):
    """How well the units of an organ were found; ``scores`` pools all of them."""

    organ: str
    images: int
    scores: UnitScores
    count_error: float


def read_unit_groups(folder: Path) -> list[UnitGroup]:
    """Return the units of a folder by organ; empty where it has no tables of them."""
    try:
        units = pd.read_csv(folder / UNITS, dtype={'image': str, 'organ': str})
        images = pd.read_csv(folder / BY_IMAGE, dtype={'image': str, 'organ': str})
    except (OSError, ValueError):  # e.g. edited; pandas' errors are of this kind
        return []
    if not {*COLUMNS} <= {*units} or not {*IMAGE_COLUMNS} <= {*images}:
        return []
    groups = []
    organs = images.organ.fillna(UNKNOWN_ORGAN)
    for organ, rows in images.groupby(organs):
        mine = units[units.organ.fillna(UNKNOWN_ORGAN) == organ]
        known = rows[rows.tissue_mm2 > 0]
        tissue = known.tissue_mm2.sum()
        groups.append(
            UnitGroup(
                str(organ),
                rows.image.nunique(),
                len(mine),
                int(mine.touches_border.sum()),
                float(known.units.sum() / tissue) if tissue else np.nan,
                _histograms(mine),
            )
        )
    return groups


def found_groups(scores: Scores) -> list[FoundGroup]:
    """Return how well units were found by organ; empty without ground truth."""
    table = scores.table.loc[list(scores.units)]
    groups = []
    for organ, rows in table.groupby(table.organ.replace('', UNKNOWN_ORGAN)):
        mine = [scores.units[name] for name in rows.index]
        error = float(np.mean([abs(one.count_error) for one in mine]))
        groups.append(FoundGroup(str(organ), len(mine), UnitScores.pool(mine), error))
    return groups


def _histograms(units: pd.DataFrame) -> list[Histogram]:
    """Draw diameter and area, in um where all units have it, else in px."""
    columns = (
        ('Equivalent diameter', 'equivalent_diameter_um', 'equivalent_diameter_px'),
        ('Area', 'area_um2', 'area_px'),
    )
    charts = []
    for title, in_um, in_px in columns:
        um, px = (
            pd.to_numeric(units[name], errors='coerce').dropna().to_numpy(float)
            for name in (in_um, in_px)
        )
        axis = 'px' if len(um) < len(px) else 'µm²' if title == 'Area' else 'µm'
        if len(px):
            charts.append(draw_histogram(title, axis, px if axis == 'px' else um))
    return charts


def draw_histogram(title: str, axis: str, values: np.ndarray) -> Histogram:
    """Draw how often values occur; the few largest share the last bar.

    Args:
        title: Title of the chart.
        axis: Unit of the values.
        values: (N,), 0 or more, at least one.
    """
    top = max(float(np.percentile(values, 99)), 1e-9)
    steps = round_ticks(0.0, top, BINS)
    counts, _ = np.histogram(values.clip(max=steps[-1]), steps)
    y_ticks = [tick for tick in round_ticks(0, counts.max(), 3) if tick == int(tick)]
    inner, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(value: float) -> float:
        return round(LEFT + value / steps[-1] * inner, 1)

    def y(count: float) -> float:
        return round(HEIGHT - BOTTOM - count / y_ticks[-1] * tall, 1)

    bars = []
    for count, low, high in zip(counts.tolist(), steps, steps[1:], strict=False):
        said = f'{low:g} to {high:g} {axis}: {count}'
        if high == steps[-1] and values.max() > high:
            said = f'above {low:g} {axis}: {count}'
        width = round(x(high) - x(low) - 1, 1)
        bars.append(Bar(x(low), y(count), width, round(y(0) - y(count), 1), said))
    median = float(np.median(values))
    return Histogram(
        title,
        axis,
        bars,
        [(x(t), f'{t:g}') for t in round_ticks(0, steps[-1], 5) if t <= steps[-1]],
        [(y(tick), f'{tick:g}') for tick in y_ticks],
        f'{title}: {len(values)} units, median {median:.4g} {axis}, from '
        f'{values.min():.4g} to {values.max():.4g}.',
    )
