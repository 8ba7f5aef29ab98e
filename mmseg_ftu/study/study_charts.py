"""Geometry of a study's charts; ``templates/study_charts.html`` draws them as SVG."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mmseg_ftu.report.charts import Line, Panel, round_ticks
from mmseg_ftu.study.analysis import ArmMean, Difference
from mmseg_ftu.study.study_design import Study

WIDTH, ROW, TOP, BOTTOM = 860, 26, 30, 34  # view box of a chart of rows
LEFT, RIGHT = 250, 220  # its margins: names on the left, numbers on the right
LETTERS, LINE = 34, 13  # that fit on the left; px from line to line of a long name
PANEL_WIDTH, PANEL_HEIGHT = 420, 230  # view box of a panel, as in the report
PANEL_LEFT, PANEL_RIGHT, PANEL_TOP, PANEL_BOTTOM = 52, 12, 22, 38
MOST_STYLES = 5  # colours of lines
#: Beginning of a gradient series -> the loss that it comes from.
LOSSES = {'grad_main': 'main loss', 'grad_aux': 'auxiliary loss'}

Points = Sequence[Sequence[float]]


def wrapped(name: str) -> list[str]:
    """Return the name of a row in one line, or in two where it is long."""
    if len(name) <= LETTERS:
        return [name]
    first, minus, second = name.partition(' minus ')
    return [first, f'minus {second}'] if minus else [name]


class Scale(NamedTuple):
    """An axis of a chart of rows: the values at its ends."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        """Return where a value lies."""
        share = (value - self.low) / (self.high - self.low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


class RowMark(NamedTuple):
    """A row of a chart: a point with its interval, and what stands beside it."""

    name: str
    text: str
    style: str
    y: float
    point: float
    low: float
    high: float


class Rows(NamedTuple):
    """A chart with one row a contrast or an arm.

    Attributes:
        title: What it shows.
        unit: Name of its axis.
        rows: The rows, from the top.
        ticks: Position and label of the ticks.
        zone: Ends of the shaded zone, and the position of its middle line; None for no
            zone.
        height: Height of the view box.
        summary: The chart in words.
    """

    title: str
    unit: str
    rows: list[RowMark]
    ticks: list[tuple[float, str]]
    zone: tuple[float, float, float] | None
    height: float
    summary: str


def forest(found: Sequence[Difference], study: Study, title: str) -> Rows:
    """Draw differences with their intervals; planned ones are filled."""
    margin = study.analysis.margin
    ends = [e for d in found for e in (d.interval.low, d.interval.high)]
    place, ticks = _axis([*ends, -2 * margin, 2 * margin])
    rows = [
        _row(
            number,
            study.contrast_label(d.contrast),
            f'{d.interval.estimate:+.3f} ({d.interval.low:+.3f} to '
            f'{d.interval.high:+.3f})',
            'planned' if d.planned else 'explored',
            [place(x) for x in (d.interval.estimate, d.interval.low, d.interval.high)],
        )
        for number, d in enumerate(found)
    ]
    zone = place(-margin), place(margin), place(0.0)
    words = '; '.join(f'{row.name}: {row.text}' for row in rows)
    return Rows(
        title,
        'difference in Dice',
        rows,
        ticks,
        zone,
        _height(rows),
        f'{title}. {words}.',
    )


def arm_chart(means: Sequence[ArmMean], study: Study, title: str) -> Rows:
    """Draw the mean Dice of each arm with its interval."""
    ends = [e for m in means for e in _ends(m)]
    place, ticks = _axis(ends)
    rows = [
        _row(
            number,
            study.label(mean.arm),
            f'{mean.interval.estimate:.3f} ({mean.runs} runs)',
            'planned',
            [place(x) for x in (mean.interval.estimate, *_ends(mean))],
        )
        for number, mean in enumerate(means)
    ]
    words = '; '.join(f'{row.name}: {row.text}' for row in rows)
    return Rows(title, 'Dice', rows, ticks, None, _height(rows), f'{title}. {words}.')


def curve_panels(
    curves: Mapping[str, Mapping[str, Points]],
    phases: Mapping[str, Sequence[tuple[float, str]]],
    study: Study,
    series: str,
    title: str,
) -> list[Panel]:
    """Draw a panel for each arm: its curve, and that of the reference behind it.

    Args:
        curves: Arm -> series -> points, averaged over runs.
        phases: Arm -> epochs (0-based) at which something changes, with a label.
        study: The study.
        series: The series to draw.
        title: What the panels are called, before the arm.
    """
    reference = study.analysis.reference
    there = {arm: of[series] for arm, of in curves.items() if series in of}
    values = [y for points in there.values() for _, y in points]
    if not values:
        return []
    ticks = round_ticks(min(values), max(values), 4)
    panels = []
    for arm, points in there.items():
        lines = [(study.label(arm), points)]
        if arm != reference and reference in there:
            lines.append((study.label(reference), there[reference]))
        panels.append(
            _panel(f'{title}, {study.label(arm)}', lines, ticks, phases.get(arm, ()))
        )
    return panels


def gradient_panels(
    curves: Mapping[str, Mapping[str, Points]],
    phases: Mapping[str, Sequence[tuple[float, str]]],
    study: Study,
) -> list[Panel]:
    """Draw the norms of the gradients of each stage, a panel for each arm and loss.

    The axis is logarithmic, and the same in all panels.
    """
    logs = {
        arm: {
            name: [(x, math.log10(y)) for x, y in points if y > 0]
            for name, points in of.items()
            if name.partition('/')[0] in LOSSES and any(y > 0 for _, y in points)
        }
        for arm, of in curves.items()
    }
    values = [y for of in logs.values() for points in of.values() for _, y in points]
    if not values:
        return []
    ticks = [
        float(i) for i in range(math.floor(min(values)), math.ceil(max(values)) + 1)
    ]
    panels = []
    for arm, of in logs.items():
        for loss in dict.fromkeys(name.partition('/')[0] for name in of):
            mine = [
                (name.partition('/')[2].replace('_', ' '), points)
                for name, points in of.items()
                if name.startswith(f'{loss}/')
            ]
            title = f'{study.label(arm)}: gradient of the {LOSSES[loss]}'
            panels.append(
                _panel(title, mine, ticks, phases.get(arm, ()), logarithmic=True)
            )
    return panels


def _panel(
    title: str,
    lines: Sequence[tuple[str, Points]],
    y_ticks: Sequence[float],
    marks: Sequence[tuple[float, str]],
    logarithmic: bool = False,
) -> Panel:
    """Scale lines into one panel."""
    every = [x for _, points in lines for x, _ in points]
    low, high = min(every), max(every)
    if low == high:
        low, high = low - 0.5, high + 0.5
    bottom, top = y_ticks[0], max(y_ticks[-1], y_ticks[0] + 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - low) / (high - low) * (PANEL_WIDTH - PANEL_LEFT - PANEL_RIGHT)
        up = (y - bottom) / (top - bottom) * (PANEL_HEIGHT - PANEL_TOP - PANEL_BOTTOM)
        return round(PANEL_LEFT + across, 1), round(PANEL_HEIGHT - PANEL_BOTTOM - up, 1)

    drawn = []
    for number, (name, points) in enumerate(lines):
        path = 'M' + 'L'.join(f'{x} {y}' for x, y in (place(*p) for p in points))
        drawn.append(Line(name, f'line-{number % MOST_STYLES}', path, []))
    ends = ', '.join(
        f'{name} from {_said(points[0][1], logarithmic)} to '
        f'{_said(points[-1][1], logarithmic)}'
        for name, points in lines
    )
    x_ticks = [x for x in round_ticks(low, high, 6) if low <= x <= high and x == int(x)]
    return Panel(
        title,
        drawn,
        [(place(x, bottom)[0], f'{x:g}') for x in x_ticks],
        [(place(low, y)[1], _said(y, logarithmic)) for y in y_ticks],
        [(place(x + 0.5, bottom)[0], label) for x, label in marks if x],
        f'{title}: {ends}.',
    )


def _said(value: float, logarithmic: bool) -> str:
    return f'{10**value:.2g}' if logarithmic else f'{value:.4g}'


def _ends(mean: ArmMean) -> tuple[float, float]:
    """Return the ends of an interval; the mean itself where there is none."""
    interval = mean.interval
    if math.isnan(interval.error):
        return interval.estimate, interval.estimate
    return interval.low, interval.high


def _axis(values: Sequence[float]) -> tuple[Scale, list[tuple[float, str]]]:
    ticks = round_ticks(min(values), max(values), 6)
    scale = Scale(ticks[0], ticks[-1])
    return scale, [(scale(x), f'{x:.6g}') for x in ticks]


def _row(
    number: int, name: str, text: str, style: str, places: Sequence[float]
) -> RowMark:
    return RowMark(name, text, style, TOP + (number + 0.5) * ROW, *places)


def _height(rows: Sequence[RowMark]) -> float:
    return TOP + len(rows) * ROW + BOTTOM
