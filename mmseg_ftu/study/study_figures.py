"""The charts of a study as SVG files, for pages that are no report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.report.charts import Panel
from mmseg_ftu.study import study_charts
from mmseg_ftu.study.study_charts import PANEL_HEIGHT, PANEL_WIDTH, Rows
from mmseg_ftu.study.study_templates import environment, page_style

EDGE, GAP, HEAD = 12, 20, 34  # px: around a picture, between panels, above a panel
ACROSS = 2  # panels in a line


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
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {name: _of_chart(chart) for name, chart in charts.items()}
    pictures |= {name: _of_panels(name, drawn) for name, drawn in panels.items()}
    paths = []
    for name, text in pictures.items():
        write_bytes(folder / f'{name}.svg', text.encode())
        paths.append(folder / f'{name}.svg')
    return paths


def _of_chart(chart: Rows) -> str:
    width, height = study_charts.WIDTH + 2 * EDGE, chart.height + 2 * EDGE
    return _render(chart.title, width, height, chart, [])


def _of_panels(name: str, panels: Sequence[Panel]) -> str:
    step = PANEL_HEIGHT + HEAD + GAP
    placed = [
        (panel, EDGE + i % ACROSS * (PANEL_WIDTH + GAP), EDGE + i // ACROSS * step)
        for i, panel in enumerate(panels)
    ]
    width = max(x for _, x, _ in placed) + PANEL_WIDTH + EDGE
    height = max(y for _, _, y in placed) + step - GAP + EDGE
    return _render(name.replace('_', ' '), width, height, None, placed)


def _render(
    title: str,
    width: float,
    height: float,
    chart: Rows | None,
    panels: Sequence[tuple[Panel, float, float]],
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
            g=study_charts,
            style=Markup(page_style()),
        )
    )
