"""The results of a study as tables, for machines and for Markdown pages."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmseg_ftu.study.analysis import ArmMean, Difference
from mmseg_ftu.study.study_design import Study

DIFFERENCE_COLUMNS = [  # of results.csv, also where nothing can be compared yet
    *('model', 'endpoint', 'arm', 'against', 'planned', 'images', 'patients', 'runs'),
    *('difference', 'low', 'high', 'error', 'freedom'),
    *('bootstrap_low', 'bootstrap_high', 'p_patients', 'p_runs', 'p', 'p_holm'),
    *('above_0', 'above_margin', 'within_margin', 'false_claim', 'detectable'),
    'verdict',
]


def difference_table(found: Sequence[Difference], study: Study) -> pd.DataFrame:
    """Return one row a comparison, with all that was computed."""
    margin = study.analysis.margin
    rows = [
        dict(
            model=d.model,
            endpoint=d.endpoint,
            arm=d.contrast.a,
            against=d.contrast.b,
            planned=d.planned,
            images=d.images,
            patients=d.patients,
            runs=d.runs,
            difference=d.interval.estimate,
            low=d.interval.low,
            high=d.interval.high,
            error=d.interval.error,
            freedom=d.interval.freedom,
            bootstrap_low=d.bootstrap[0],
            bootstrap_high=d.bootstrap[1],
            p_patients=d.p_patients,
            p_runs=d.p_runs,
            p=d.p,
            p_holm=d.p_holm,
            above_0=d.interval.above(0.0),
            above_margin=d.interval.above(margin),
            within_margin=d.interval.within(margin),
            false_claim=d.false_claim,
            detectable=d.detectable,
            verdict=d.verdict,
        )
        for d in found
    ]
    return pd.DataFrame(rows, columns=DIFFERENCE_COLUMNS).round(6)


def arm_table(means: Sequence[ArmMean], study: Study) -> pd.DataFrame:
    """Return one row an arm: its mean, interval and parts of the deviation."""
    rows = [
        dict(
            model=m.model,
            endpoint=m.endpoint,
            arm=m.arm,
            runs=m.runs,
            images=m.images,
            mean=m.interval.estimate,
            low=m.interval.low,
            high=m.interval.high,
            **{f'sd_{name}': value for name, value in m.parts.items()},
        )
        for m in means
    ]
    return pd.DataFrame(rows).round(6)


def markdown(
    found: Sequence[Difference],
    means: Sequence[ArmMean],
    study: Study,
    cautions: Sequence[str] = (),
) -> str:
    """Return the results as Markdown tables, a section for each endpoint and model.

    Args:
        found: Comparisons of arms.
        means: Scores of the arms.
        study: The study.
        cautions: What a reader has to know before.
    """
    lines = [f'# {study.name}', '']
    for text in cautions:
        lines += [f'**{text}**', '']
    for endpoint in study.endpoints:
        for model in study.models:
            of_model = [m for m in means if (m.model, m.endpoint) == (model, endpoint)]
            compared = [d for d in found if (d.model, d.endpoint) == (model, endpoint)]
            if not of_model:
                continue
            lines += [f'## {model}, {endpoint}', '', *_arm_lines(of_model, study), '']
            if compared:
                lines += [*_difference_lines(compared, study), '']
    lines += [
        'Intervals are of 95 %, for new patients and new runs. p is adjusted (Holm) '
        'for the planned contrasts of a model. Found from: the interval of a true '
        'difference of this size leaves out 0 in 80 % of such studies, Holm not '
        'counted. The least difference that matters is '
        f'{study.analysis.margin:g}. The analysis was planned on {study.analysis.date}.'
    ]
    return '\n'.join(lines) + '\n'


def _arm_lines(means: Sequence[ArmMean], study: Study) -> list[str]:
    rows = [
        '| arm | runs | Dice | 95 % | sd of patients | images | runs | rest |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for m in means:
        parts = [m.parts.get(name, np.nan) for name in ('patient', 'image', 'run')]
        numbers = [_three(x) for x in (*parts, m.parts['residual'])]
        rows.append(
            f'| {_cell(study.label(m.arm))} | {m.runs} | {m.interval.estimate:.3f} '
            f'| {_ends(m.interval.low, m.interval.high)} | {" | ".join(numbers)} |'
        )
    return rows


def _difference_lines(found: Sequence[Difference], study: Study) -> list[str]:
    margin = f'{study.analysis.margin:g}'
    rows = [
        f'| difference | Dice | 95 % | p | p, Holm | sure of more than {margin} '
        f'| sure of within {margin} | found from | verdict |',
        '|---|---|---|---|---|---|---|---|---|',
    ]
    for d in found:
        holm = f'{d.p_holm:.3f}' if d.planned else 'not planned'
        above = d.interval.above(d.margin)
        rows.append(
            f'| {_cell(study.contrast_label(d.contrast))} '
            f'| {d.interval.estimate:+.3f} '
            f'| {d.interval.low:+.3f} to {d.interval.high:+.3f} '
            f'| {d.p:.3f} | {holm} | {above:.2f} | {d.interval.within(d.margin):.2f} '
            f'| {_three(d.detectable)} | {d.verdict} |'
        )
    return rows


def _cell(text: str) -> str:
    """Return a text that stays in its cell of a table."""
    return text.replace('|', r'\|')


def _ends(low: float, high: float) -> str:
    return '' if np.isnan(low) else f'{low:.3f} to {high:.3f}'


def _three(value: float) -> str:
    return '' if np.isnan(value) else f'{value:.3f}'
