"""Geometry of the page's charts; the templates write it down as SVG."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from mmseg_ftu.report.cases import Group
from mmseg_ftu.report.curves import LOSSES, Curves

STRIP_WIDTH, STRIP_HEIGHT = 560, 40  # view box of a strip
DOT_RADIUS = 4
LANES = (0, -7, 7, -14, 14)  # heights at which dots may lie, from the middle
STRIP_EDGE = 20  # so that dots and labels at both ends are whole
WIDTH, HEIGHT = 420, 230  # view box of a panel
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 22, 38  # its margins: labels of the axes
MOST_MARKERS = 40  # with more points, a line says it better
MOST_MARKS = 6  # with more moves of the auxiliary head, their labels hide one another


class Strip(NamedTuple):
    """Images of an organ along a line: (x, y) of the dots, x of mean and interval."""

    dots: list[tuple[float, float]]
    mean: float
    interval: list[float]


class Line(NamedTuple):
    """A curve: its name, the class for its colour, SVG path data and its points."""

    name: str
    style: str
    path: str
    markers: list[tuple[float, float]]


class Panel(NamedTuple):
    """A chart of curves: ticks are (position, label), marks (position, label)."""

    title: str
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    marks: list[tuple[float, str]]
    summary: str


def strip_top(groups: Sequence[Group], is_dice: bool) -> float:
    """Return the right end of the strips: 1 for Dice, else just above the greatest."""
    if is_dice:
        return 1.0
    greatest = max((group.values[-1] for group in groups), default=1.0)
    return next(top for top in (0.05, 0.1, 0.2, 0.5, 1.0) if greatest <= top)


def strip_position(value: float, top: float) -> float:
    """Return where a value lies in a strip that ends at ``top``."""
    return round(STRIP_EDGE + value / top * (STRIP_WIDTH - 2 * STRIP_EDGE), 1)


def draw_strip(group: Group, top: float) -> Strip:
    """Place the images of an organ, side by side where they would hide one another."""
    ends = [-math.inf] * len(LANES)  # x of the last dot in each lane
    dots = []
    for value in group.values:
        x = strip_position(value, top)
        free = (i for i, end in enumerate(ends) if x - end >= 2 * DOT_RADIUS)
        lane = next(free, ends.index(min(ends)))
        ends[lane] = x
        dots.append((x, STRIP_HEIGHT / 2 + LANES[lane]))
    interval = [strip_position(x, top) for x in group.interval if not math.isnan(x)]
    return Strip(dots, strip_position(group.mean, top), interval)


def draw_panels(curves: Curves) -> list[Panel]:
    """Draw training loss, validation loss and Dice, as far as they were logged."""
    parts = [name for name in LOSSES if name in curves.series]
    if len(parts) == 2:  # without an auxiliary loss, the main head's is all there is
        parts = parts[:1]
    wanted = [
        ('Training loss', parts),
        ('Validation loss of the main head (BCE)', ['val_loss_bce']),
        ('Validation Dice', ['Dice']),
    ]
    return [
        draw_panel(title, [name for name in names if name in curves.series], curves)
        for title, names in wanted
        if any(name in curves.series for name in names)
    ]


def draw_panel(title: str, names: Sequence[str], curves: Curves) -> Panel:
    """Scale the named series into one chart."""
    every = [point for points in curves.series.values() for point in points]
    x_low, x_high = min(x for x, _ in every), max(x for x, _ in every)
    if x_low == x_high:
        x_low, x_high = x_low - 0.5, x_high + 0.5
    values = [y for name in names for _, y in curves.series[name]]
    y_ticks = round_ticks(min(values), max(values), 4)
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        up = (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)

    lines = []
    for i, name in enumerate(names):
        points = [place(x, y) for x, y in curves.series[name]]
        path = 'M' + 'L'.join(f'{x} {y}' for x, y in points)
        markers = points if len(points) <= MOST_MARKERS else []
        lines.append(Line(LOSSES.get(name, name), f'line-{i}', path, markers))
    return Panel(
        title,
        lines,
        [
            (place(x, y_low)[0], f'{x:g}')
            for x in round_ticks(x_low, x_high, 6)
            if x_low <= x <= x_high and x == int(x)
        ],
        [(place(x_low, y)[1], f'{y:.6g}') for y in y_ticks],
        [
            (place(switch.x - 0.5, y_low)[0], f'stage {switch.old} → {switch.new}')
            for switch in curves.switches
            if len(curves.switches) <= MOST_MARKS
        ],
        panel_in_words(title, names, curves),
    )


def panel_in_words(title: str, names: Sequence[str], curves: Curves) -> str:
    """Say in words what a panel shows, for those who cannot see it."""
    parts = []
    for name in names:
        points = curves.series[name]
        best = (max if name == 'Dice' else min)(points, key=lambda point: point[1])
        parts.append(
            f'{LOSSES.get(name, name)} from {points[0][1]:.3f} to {points[-1][1]:.3f}, '
            f'best {best[1]:.3f} at {curves.unit} {best[0]:g}'
        )
    return f'{title}: {"; ".join(parts)}.'


def round_ticks(low: float, high: float, count: int) -> list[float]:
    """Return about ``count`` round numbers, from ``low`` or below to ``high`` or above.

    The step is 1, 2 or 5 times a power of ten.
    """
    if high - low < 1e-12:
        around = abs(low) / 20 or 0.5
        low, high = low - around, high + around
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]
