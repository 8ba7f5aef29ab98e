"""The charts of a study as SVG files, for pages that are no report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

from markupsafe import Markup

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.own_files import make_parent, require_own
from mmseg_ftu.report.charts import Line, Panel
from mmseg_ftu.study import study_charts
from mmseg_ftu.study.study_charts import PANEL_HEIGHT, PANEL_WIDTH, Rows
from mmseg_ftu.study.study_templates import environment, page_style

EDGE, GAP = 12, 20  # px: around a picture, between panels
ACROSS = 2  # panels in a line
TITLE, LEGEND, KEY = 16, 15, 25  # px: a line of the title, of the legend, its stroke
LETTER, SPACE = 6.4, 16  # px: a letter of the legend, between its entries
LETTERS = 52  # that fit into a line of the title
MARK = b'<!-- mmseg_ftu study -->'  # by which our own pictures are known


class Head(NamedTuple):
    """What stands above a panel.

    Attributes:
        title: The lines of its title.
        legend: Line of the panel, its key's x and y below the title.
        height: Height of both, px.
    """

    title: list[str]
    legend: list[tuple[Line, float, float]]
    height: float


def write_figures(
    folder: Path, charts: Mapping[str, Rows], panels: Mapping[str, Sequence[Panel]]
) -> list[Path]:
    """Write each chart, and the panels of each name as one picture.

    They need no other file, and follow the light or dark scheme of the reader.

    Args:
        folder: Where to write ``NAME.svg``.
        charts: Charts of rows by name.
        panels: Panels by name.

    Returns:
        The files.

    Raises:
        ValueError: If a file of that name is there that this did not write.
    """
    pictures = {name: _of_chart(chart) for name, chart in charts.items()}
    pictures |= {name: _of_panels(name, drawn) for name, drawn in panels.items()}
    files = {folder / f'{name}.svg': text for name, text in pictures.items()}
    for path in files:
        make_parent(path)
        require_own(path, lambda content: MARK in content)
    for path, text in files.items():
        write_bytes(path, text.encode())
    return [*files]


def _of_chart(chart: Rows) -> str:
    width, height = study_charts.WIDTH + 2 * EDGE, chart.height + 2 * EDGE
    return _render(chart.title, width, height, chart, [])


def _of_panels(name: str, panels: Sequence[Panel]) -> str:
    heads = [head_of(panel) for panel in panels]
    above = max(head.height for head in heads)
    step = PANEL_HEIGHT + above + GAP
    placed = [
        (
            panel,
            head,
            EDGE + i % ACROSS * (PANEL_WIDTH + GAP),
            EDGE + i // ACROSS * step,
        )
        for i, (panel, head) in enumerate(zip(panels, heads, strict=True))
    ]
    width = max(x for _, _, x, _ in placed) + PANEL_WIDTH + EDGE
    height = max(y for *_, y in placed) + step - GAP + EDGE
    return _render(name.replace('_', ' '), width, height, None, placed, above)


def head_of(panel: Panel) -> Head:
    """Break the title and the legend of a panel so that they keep to its width."""
    title = wrap(panel.title, LETTERS)
    legend, x, y = [], 0.0, float(TITLE * len(title))
    for line in panel.lines if len(panel.lines) > 1 else ():
        width = KEY + LETTER * len(line.name)
        if x and x + width > PANEL_WIDTH:
            x, y = 0.0, y + LEGEND
        legend.append((line, x, y))
        x += width + SPACE
    return Head(title, legend, y + LEGEND)


def _render(
    title: str,
    width: float,
    height: float,
    chart: Rows | None,
    panels: Sequence[tuple[Panel, Head, float, float]],
    above: float = 0.0,
) -> str:
    return (
        environment()
        .get_template('figure.svg')
        .render(
            title=title,
            width=width,
            height=height,
            edge=EDGE,
            chart=chart,
            panels=panels,
            above=above,
            line_height=TITLE,
            key=KEY,
            g=study_charts,
            style=Markup(page_style()),
        )
    )
