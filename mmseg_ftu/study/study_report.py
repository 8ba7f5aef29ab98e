"""The report of a study: one HTML page, Markdown, tables, and pictures for other pages.

All of it is made from the plan and the records, so that the tables which ``collect``
wrote and somebody committed are enough to make it again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.own_files import (
    is_own_csv,
    is_own_report,
    make_parent,
    require_own,
)
from mmseg_ftu.report.charts import Panel
from mmseg_ftu.report.page import content_hash
from mmseg_ftu.study import study_charts
from mmseg_ftu.study.analysis import ArmMean, Difference, analyse
from mmseg_ftu.study.mean_curves import mean_curves
from mmseg_ftu.study.phases import phases_of
from mmseg_ftu.study.plan import Run, choose_runs, find_plan, read_about
from mmseg_ftu.study.result_tables import arm_table, difference_table, markdown
from mmseg_ftu.study.run_records import Records
from mmseg_ftu.study.study_charts import Rows
from mmseg_ftu.study.study_design import Study
from mmseg_ftu.study.study_figures import write_figures
from mmseg_ftu.study.study_templates import environment, page_style
from mmseg_ftu.version import __version__

#: What is written, and how our own is known.
OWN = {
    'report.html': is_own_report,
    'report.md': lambda content: b'The analysis was planned on ' in content,
    'results.csv': is_own_csv('model', 'endpoint', 'arm'),
    'arms.csv': is_own_csv('model', 'endpoint', 'arm'),
}
NAMES = {'dice': 'Dice, one view', 'dice_tta': 'Dice, views averaged'}


@dataclass(frozen=True)
class Results:
    """Everything that a report says.

    Attributes:
        study: The study.
        runs: Its plan.
        notes: What is known of each run that is done, by id.
        differences: Comparisons of arms.
        means: Scores of the arms.
        curves: Model -> arm -> series -> points, averaged over runs.
        phases: Model -> arm -> epochs at which something changes.
        about: What was noted when the plan was written.
        only: The part of the plan that is counted, as for ``--only``; empty for all.
    """

    study: Study
    runs: Sequence[Run]
    notes: Mapping[str, Mapping[str, Any]]
    differences: Sequence[Difference]
    means: Sequence[ArmMean]
    curves: Mapping[str, Mapping[str, Mapping[str, study_charts.Points]]]
    phases: Mapping[str, Mapping[str, Sequence[tuple[float, str]]]]
    about: Mapping[str, Any]
    only: Sequence[str] = ()

    @property
    def is_complete(self) -> bool:
        """Whether all runs of the plan are done."""
        return len(self.notes) == len(self.runs)

    @property
    def is_changed(self) -> bool:
        """Whether the study file is another than the one that was planned."""
        planned = self.about.get('study')
        return planned is not None and planned != self.study.path.read_text('utf-8')

    @property
    def cautions(self) -> list[str]:
        """What a reader has to know before the numbers, a sentence or two each."""
        found = []
        if self.only:
            found.append(f'Only a part of the plan is counted: {" ".join(self.only)}.')
        if not self.is_complete:
            left = len(self.runs) - len(self.notes)
            found.append(
                f'{left} of {len(self.runs)} runs are not done. Differences count only '
                'images and seeds that both arms have. The means of arms count all, '
                'and may be of different runs. Numbers will move.'
            )
        if self.is_changed:
            found.append(
                'The study file was changed after it was planned. These are the arms, '
                'contrasts and bounds of the changed one.'
            )
        done = [run for run in self.runs if run.id in self.notes]
        cells = Counter((run.model, run.arm, run.fold) for run in done)
        if cells and max(cells.values()) == 1:
            found.append(
                'No fold has a second seed. So intervals take the folds for clusters, '
                'and are wide.'
            )
        return found


def write_study_report(
    study: Study,
    out: Path,
    records: Sequence[Path] = (),
    figures: Path | None = None,
    partial: bool = False,
    only: Sequence[str] = (),
) -> list[Path]:
    """Write ``report.html``, ``report.md``, ``results.csv`` and ``arms.csv``.

    Args:
        study: The study.
        out: Folder of the study, or a new one where ``records`` hold plan and runs.
        records: Folders of collected records.
        figures: Folder for the pictures as SVG; None writes none.
        partial: Report a study of which some runs are not done.
        only: Report a part of the plan, ``KEY=VALUE[,VALUE]`` as for ``run``.

    Returns:
        The files that were written.

    Raises:
        ValueError: If there is no plan or no run is done, if some are not and
            ``partial`` is not given, or a file is in the way.
    """
    page = out / 'report.html'
    make_parent(page)
    for name, is_own in OWN.items():
        require_own(out / name, is_own)
    results = gather(study, out, records, only)
    if not results.is_complete and not partial:
        raise ValueError(
            f'{len(results.notes)} of {len(results.runs)} runs are done: finish the '
            'study, or report what is there with --partial'
        )
    differences = difference_table(results.differences, study)
    arms = arm_table(results.means, study)
    texts = {
        page: render_page(results),
        out / 'report.md': markdown(
            results.differences, results.means, study, results.cautions
        ),
        out / 'results.csv': differences.to_csv(index=False, lineterminator='\n'),
        out / 'arms.csv': arms.to_csv(index=False, lineterminator='\n'),
    }
    for path, text in texts.items():
        write_bytes(path, text.encode(errors='replace'))
    if figures is None:
        return [*texts]
    return [*texts, *write_figures(figures, charts_of(results), panels_of(results))]


def gather(
    study: Study, out: Path, records: Sequence[Path], only: Sequence[str] = ()
) -> Results:
    """Read plan and records, and analyse them.

    Raises:
        ValueError: If there is no plan, or no run is done.
    """
    place, runs = find_plan(study, out, records)
    runs = choose_runs(runs, only)
    counted = Records(out / 'records', records)
    notes = {run: note for run in runs if (note := counted.note(run)) is not None}
    if not notes:
        raise ValueError(f'no run of {place} is done, so there is nothing to report')
    frame = pd.concat([counted.scores(run) for run in notes], ignore_index=True)
    differences, means = analyse(frame, study)
    return Results(
        study,
        runs,
        {run.id: note for run, note in notes.items()},
        differences,
        means,
        {m: mean_curves(notes, m) for m in study.models},
        {
            m: {arm: phases_of(study, m, arm) for arm in study.arms_of(m)}
            for m in study.models
        },
        read_about(place),
        only,
    )


def charts_of(results: Results) -> dict[str, Rows]:
    """Draw differences and means of each model and endpoint, by name of the file."""
    study, charts = results.study, {}
    for model in study.models:
        for endpoint in study.endpoints:
            title = f'{model}: {NAMES[endpoint]}'
            found = [
                d
                for d in results.differences
                if (d.model, d.endpoint) == (model, endpoint)
            ]
            means = [
                m for m in results.means if (m.model, m.endpoint) == (model, endpoint)
            ]
            if found:
                name = f'{model}_{endpoint}_differences'
                charts[name] = study_charts.forest(found, study, title)
            if means:
                charts[f'{model}_{endpoint}_arms'] = study_charts.arm_chart(
                    means, study, title
                )
    return charts


def panels_of(results: Results) -> dict[str, list[Panel]]:
    """Draw learning curves and gradient norms of each model, by name of the file."""
    panels = {}
    for model, curves in results.curves.items():
        phases = results.phases[model]
        for name, series, title in (
            ('validation', 'Dice', 'Validation Dice'),
            ('loss', 'decode.loss_bce', 'Training loss of the main head'),
        ):
            panels[f'{model}_{name}'] = study_charts.curve_panels(
                curves, phases, results.study, series, title
            )
        panels[f'{model}_gradients'] = study_charts.gradient_panels(
            curves, phases, results.study
        )
    return {name: drawn for name, drawn in panels.items() if drawn}


def render_page(results: Results) -> str:
    """Fill the template of the page; every text is escaped and no script may run."""
    style = page_style()
    return (
        environment()
        .get_template('study.html')
        .render(
            r=results,
            study=results.study,
            names=NAMES,
            charts=charts_of(results),
            panels=panels_of(results),
            g=study_charts,
            style=Markup(style),
            style_hash=content_hash(style),
            made=datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z'),
            version=__version__,
        )
    )
