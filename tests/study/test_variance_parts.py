"""Parts of variance against the analysis of variance and a mixed model."""

import numpy as np
import pandas as pd
import pytest

from mmseg_ftu.study.variance_parts import variance_parts


def balanced(generator):
    """Draw scores of 12 patients with 4 images each, each seen in 5 runs."""
    rows = [(p, 4 * p + i, r) for p in range(12) for i in range(4) for r in range(5)]
    frame = pd.DataFrame(rows, columns=['patient', 'image', 'run'])
    frame['y'] = (
        generator.normal(0, 0.3, 12)[frame.patient]
        + generator.normal(0, 0.2, 48)[frame.image]
        + generator.normal(0, 0.15, 5)[frame.run]
        + generator.normal(0, 0.1, len(frame))
    )
    return frame


def test_parts_of_variance_are_those_of_the_analysis_of_variance():
    frame = balanced(np.random.default_rng(7))
    y = frame.y.to_numpy()
    total = y.mean()
    cells = {
        k: frame.groupby(k).y.transform('mean').to_numpy()
        for k in ('patient', 'image', 'run')
    }
    squares = dict(
        patient=((cells['patient'] - total) ** 2).sum() / 11,
        image=((cells['image'] - cells['patient']) ** 2).sum() / 36,
        run=((cells['run'] - total) ** 2).sum() / 4,
        residual=((y - cells['image'] - cells['run'] + total) ** 2).sum() / (47 * 4),
    )
    expected = dict(
        patient=(squares['patient'] - squares['image']) / 20,
        image=(squares['image'] - squares['residual']) / 5,
        run=(squares['run'] - squares['residual']) / 48,
        residual=squares['residual'],
    )
    found = variance_parts(
        y, {k: frame[k].to_numpy() for k in ('patient', 'image', 'run')}
    )
    assert found == pytest.approx(expected, rel=1e-6)


def test_parts_of_variance_are_those_of_a_mixed_model():
    formula = pytest.importorskip('statsmodels.formula.api')
    frame = (
        balanced(np.random.default_rng(8))
        .groupby(['patient', 'image'], as_index=False)
        .y.mean()
    )
    fitted = formula.mixedlm('y ~ 1', frame, groups=frame.patient).fit(reml=True)
    found = variance_parts(frame.y.to_numpy(), dict(patient=frame.patient.to_numpy()))
    assert found['patient'] == pytest.approx(float(fitted.cov_re.iloc[0, 0]), rel=1e-3)
    assert found['residual'] == pytest.approx(float(fitted.scale), rel=1e-3)


def test_a_part_that_is_not_there_is_zero():
    generator = np.random.default_rng(9)
    frame = balanced(generator)
    noise = generator.normal(0, 1, len(frame))
    groups = {k: frame[k].to_numpy() for k in ('patient', 'image', 'run')}
    found = variance_parts(noise, groups)
    assert list(found) == ['patient', 'image', 'run', 'residual']
    assert min(found.values()) >= 0
    assert found['residual'] == pytest.approx(1, abs=0.2)


def test_parts_add_up_to_the_variance_where_the_rest_would_be_negative():
    """Scores that only images tell apart, one of them alone, in groups that cross."""
    values = np.array([0.0, 0, 1, 1, 0.5, 0.1])
    groups = dict(image=np.array([0, 0, 1, 1, 2, 3]), run=np.array([0, 1, 0, 1, 0, 1]))
    found = variance_parts(values, groups)
    assert list(found) == ['image', 'run', 'residual']
    assert min(found.values()) >= 0
    assert sum(found.values()) < 1.5 * values.var(ddof=1)
