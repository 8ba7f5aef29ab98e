# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Reading a study
#
# `mmseg-ftu study` trains models in several ways (*arms*) and scores each held-out
# image. This notebook reads such records and asks: which difference is more than
# chance? It takes a few seconds and trains nothing.
#
# It reads the records of this project's own study on colon glands (GlaS), as far as
# they are there, and computes all numbers and sentences below from them. For a study of
# your own, change the two paths.
# [Studies](../docs/howto/studies.md) explains plan, runs and methods.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy import stats

import mmseg_ftu
from mmseg_ftu.study.analysis import FEWEST, analyse, deviations, pair, score_table
from mmseg_ftu.study.run_records import read_scores
from mmseg_ftu.study.statistics import mean_difference, permutation_p
from mmseg_ftu.study.study_file import read_study

clone = Path(mmseg_ftu.__file__).parents[1]
study = read_study(clone / 'docs/study/switch_glas.py')  # or your study file
records = clone / 'docs/study/records'  # or what `mmseg-ftu study collect` wrote

Markdown(f'*Planned on {study.analysis.date}:* {study.analysis.question}')

# %% [markdown]
# ## How far the study is
#
# A run is one arm on one fold with one seed. The table counts runs that are done, of
# those that are planned.

# %%
plan = pd.read_csv(records / f'{study.name}_plan.csv')
done = pd.read_csv(records / f'{study.name}_runs.csv')
counts = pd.DataFrame(
    {
        'done': done.groupby(['model', 'arm']).size(),
        'planned': plan.groupby(['model', 'arm']).size(),
    }
)
counts = counts.fillna(0).astype(int).loc[lambda table: table['done'] > 0]
counts

# %%
tables = [records / f'{study.name}_{model}.csv' for model in study.models]
frame = pd.concat([read_scores(path) for path in tables if path.is_file()])
endpoint = study.endpoints[0]
frame.head(3)

# %% [markdown]
# ## One comparison, image by image
#
# The first contrast of the plan, on the first model that has both of its arms. Each
# point is an image, averaged over seeds. Above the line the first arm is better. The
# colours are patients: images of one patient resemble each other, so ten images of one
# patient say less than one image of each of ten.


# %%
def has(model, *arms):
    """Tell whether a model has runs of all these arms."""
    return set(arms) <= set(frame.loc[frame['model'] == model, 'arm'])


contrast, model = next(
    (contrast, model)
    for contrast in study.analysis.contrasts
    for model in study.models
    if has(model, contrast.a, contrast.b)
)
mine = frame[frame['model'] == model]
a, b = (score_table(mine, arm, endpoint) for arm in (contrast.a, contrast.b))
paired = pair(a, b, mine)
both = pd.DataFrame({'a': a.mean(axis=1), 'b': b.mean(axis=1)}).dropna()
patients = mine.drop_duplicates('image').set_index('image')['patient']

# %% tags=["hide-input"]
figure, axis = plt.subplots(figsize=(4.5, 4.5))
for patient, points in both.groupby(patients):
    axis.scatter(points['b'], points['a'], s=22, label=f'patient {patient}')
low = both.min().min() - 0.02
axis.plot([low, 1], [low, 1], color='grey', linewidth=1)
axis.set_xlabel(f'Dice, {study.label(contrast.b)}')
axis.set_ylabel(f'Dice, {study.label(contrast.a)}')
axis.set_title(model)
axis.legend(fontsize=7)
figure.tight_layout()
plt.show()

# %% [markdown]
# ## How sure is the difference?
#
# A spreadsheet would take the images as independent, and the networks as the only ones
# that these ways of training could have made. Both are wrong. `mean_difference` gives
# an interval for new patients *and* new runs.
#
# With very few patients this interval is a matter of luck, too: it is narrow if their
# mean differences happen to agree. So it counts only together with a test, and from
# six patients and six pairs of runs on.

# %%
by_image = paired.by_image
naive = stats.t.interval(0.95, len(by_image) - 1, by_image.mean(), stats.sem(by_image))
enough = len(np.unique(paired.patient)) > 1
rows = {'images taken as independent (wrong)': (paired.estimate, *naive)}
if enough:
    interval = mean_difference(paired)
    rows['patients and runs'] = (interval.estimate, interval.low, interval.high)
intervals = pd.DataFrame(rows, index=['difference', 'low', 'high']).T
intervals.round(3)

# %% [markdown]
# **The sign-flip test** asks the same without a formula for the spread. If two arms are
# the same way of training, the sign of each patient's difference is a coin toss, and so
# is that of each run's. p is the share of all tosses with a sum at least as large as
# the one that was seen. With few patients or runs there are few tosses, so p cannot be
# small however large the difference is: of `n` terms it is at least `2 / 2**n`.

# %%
p = permutation_p(paired, np.random.default_rng(study.analysis.seed))
there = pd.DataFrame(~np.isnan(paired.values)).groupby(paired.fold).any()
sizes = len(np.unique(paired.patient)), int(there.to_numpy().sum())
test = pd.DataFrame(
    {'terms': sizes, 'p': p, 'least p possible': [min(1.0, 2 / 2**n) for n in sizes]},
    index=['over patients', 'over runs'],
)
test.round(4)

# %% [markdown]
# ## All comparisons
#
# Those of the plan first, then every other arm against the reference. p is the larger
# one of the two tests; of planned contrasts it is adjusted for their number (Holm).
# *found from* is the least difference that a study of this size would find in four of
# five cases. In the picture the grey band holds differences too small to matter.

# %%
differences, means = analyse(frame, study)
differences = [d for d in differences if d.endpoint == endpoint]
summary = pd.DataFrame(
    [
        {
            'model': d.model,
            'comparison': f'{d.contrast.a} minus {d.contrast.b}',
            'planned': 'yes' if d.planned else 'no',
            'difference': d.interval.estimate,
            'low': d.interval.low,
            'high': d.interval.high,
            'p': d.p_holm if d.planned else d.p,
            'found from': d.detectable,
            'verdict': d.verdict,
        }
        for d in differences
    ]
)
summary.set_index(['model', 'comparison']).round(3)

# %% tags=["hide-input"]
margin = study.analysis.margin
figure, axis = plt.subplots(figsize=(8, 1 + 0.32 * len(differences)))
axis.axvspan(-margin, margin, color='0.9')
axis.axvline(0, color='grey', linewidth=1)
for y, d in enumerate(differences):
    interval, colour = d.interval, 'C0' if d.planned else '0.5'
    axis.plot([interval.low, interval.high], [y, y], color=colour)
    axis.plot(interval.estimate, y, 'o', color=colour)
axis.set_yticks(
    range(len(differences)),
    [f'{d.model}: {study.contrast_label(d.contrast)}' for d in differences],
    fontsize=8,
)
axis.invert_yaxis()
axis.set_xlabel('difference in Dice (planned comparisons in blue)')
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Where the chance is
#
# The standard deviation of the scores of the reference arm, split into parts. What is
# large says what a study needs more of: patients, or seeds. (With one seed a run cannot
# be told from its fold.)

# %%
reference = score_table(mine, study.analysis.reference, endpoint)
parts = deviations(pair(reference, reference * 0, mine))
pd.Series(parts, name='standard deviation').round(3).to_frame()

# %% [markdown]
# ## What can be said, and what cannot


# %%
def say(d):
    """Say what one comparison means."""
    low, high = d.interval.low, d.interval.high
    seen = (
        f'**{d.model}, {study.contrast_label(d.contrast)}**: '
        f'{d.interval.estimate:+.3f} ({low:+.3f} to {high:+.3f}) on {d.images} images '
        f'of {d.patients} patients, pairs of runs: {d.runs}. '
    )
    if 'too few' in d.verdict:
        return seen + f'Nothing can be said: {d.verdict}.'
    if d.verdict == 'open':
        return seen + (
            'Not decided: interval and test do not both exclude chance. A difference '
            f'below {d.detectable:.3f} would often be missed by a study of this size.'
        )
    return seen + f'The verdict of the plan: {d.verdict}.'


planned = [d for d in differences if d.planned]
missing = len(plan) - len(done)
lines = [
    f'- {len(done)} of {len(plan)} planned runs are in the records'
    + (f', {missing} are missing; what follows may change.' if missing else '.'),
    *(f'- {say(d)}' for d in planned),
    f'- Other comparisons ({len(differences) - len(planned)}) were not planned. They '
    'are hints for the next study, not results.',
    f'- With fewer than {FEWEST} patients or pairs of runs the order of two arms may '
    'well be chance, whatever the interval is.',
    '- All of it is about these models, this tissue and this length of training.',
]
Markdown('\n'.join(lines))
