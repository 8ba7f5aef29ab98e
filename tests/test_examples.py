"""The notebooks of ``examples/`` run from top to bottom, and give what they say.

The site runs them as they are; here smaller numbers make them quick.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

jupytext = pytest.importorskip('jupytext', reason='the extra [examples] is not there')
nbclient = pytest.importorskip('nbclient', reason='the extra [examples] is not there')

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / 'examples'
RECORDS = ROOT / 'docs' / 'study' / 'records'
# what makes a notebook quick; nothing else in it is changed
QUICKER = {
    '--images 40 --size 256': '--images 10 --size 96',
    'data/tissue --size 256': 'data/tissue --size 96',
    'epochs, batch_size = 10, 4': 'epochs, batch_size = 2, 4',
}


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Return a function that runs a notebook, changed, and returns what it ends with.

    The last cell is the test's own: an expression whose value is given as JSON.
    """
    monkeypatch.setenv('PATH', f'{Path(sys.executable).parent}:/usr/bin:/bin')
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    monkeypatch.delenv('MMSEG_FTU_DATA', raising=False)

    def run(name, expression, changes=()):
        text = (EXAMPLES / f'{name}.py').read_text('utf-8')
        for words, others in dict(changes).items():
            assert words in text
            text = text.replace(words, others)
        text += f'\n# %%\nimport json\nprint(json.dumps({expression}))\n'
        notebook = jupytext.reads(text, fmt='py:percent')
        client = nbclient.NotebookClient(
            notebook,
            timeout=1200,  # s, a cell; all take a minute where nothing else runs
            kernel_name='python3',
            resources=dict(metadata=dict(path=str(tmp_path))),
        )
        client.execute()
        outputs = [o for cell in notebook.cells for o in cell.get('outputs', ())]
        return json.loads(outputs[-1]['text']), outputs

    return run


def pictures(outputs) -> int:
    return sum('image/png' in output.get('data', {}) for output in outputs)


def texts(outputs) -> str:
    return '\n'.join(output.get('text', '') for output in outputs)


def test_every_notebook_is_tested_and_shown():
    names = {path.stem for path in EXAMPLES.glob('*.py')}
    assert names == {'first_masks', 'stains', 'read_a_study'}
    index = (ROOT / 'docs/index.md').read_text('utf-8')
    assert all(f'\nexamples/{name}\n' in index for name in names)


def test_no_output_is_committed():
    assert [p.name for p in EXAMPLES.iterdir() if p.suffix != '.py'] in (
        [],
        ['__pycache__'],
    )


def test_from_start_to_masks(execute, tmp_path):
    (curve, names), outputs = execute(
        'first_masks', '[mean.tolist(), list(found.ids)]', QUICKER
    )
    (folder,) = tmp_path.glob('first_masks_*')
    masks = {path.stem for path in (folder / 'out/masks').iterdir()}
    assert masks == set(names)
    scores = pd.read_csv(folder / 'scores/evaluation.csv', dtype={'id': str})
    assert set(scores['id']) == masks
    # at the threshold of the masks the curve is the mean of the scores
    assert min(curve) - 1e-6 <= scores['dice'].mean() <= max(curve) + 1e-6
    assert pictures(outputs) == 4
    assert 'Dice' in texts(outputs)


def test_stains_come_nearer_to_the_target(execute):
    (distances, reason), outputs = execute(
        'stains',
        "[distances.to_dict('index'), methods['Vahadane'].fit_source(empty).reason]",
    )
    assert len(distances) == 3
    for of_method in distances.values():
        assert of_method['Vahadane'] < 0.8 * of_method['before']
    assert reason
    assert pictures(outputs) == 5
    assert 'nothing to show here' in texts(outputs)


def test_the_committed_records_can_be_read(execute):
    (done, estimates, words), outputs = execute(
        'read_a_study',
        '[len(done), [d.interval.estimate for d in differences], lines]',
    )
    runs = pd.read_csv(RECORDS / 'switch-glas_runs.csv')
    assert done == len(runs)
    scores = runs.pivot(index=['model', 'fold', 'seed'], columns='arm', values='dice')
    wanted = [
        (scores['switch'] - scores['normal'])[model].dropna().mean()
        for model in runs['model'].unique()[:1]
    ]
    assert pictures(outputs) == 2
    assert f'{done} of ' in words[0]
    if len(runs['fold'].unique()) == 1:  # then all images weigh the same
        assert estimates[0] == pytest.approx(wanted[0], abs=1e-4)


@pytest.mark.parametrize(
    ('effect', 'said'),
    [(0.05, 'better by more than 0.01'), (0.0, 'the same within 0.01')],
)
def test_a_finished_study_gets_its_verdict(execute, tmp_path, effect, said):
    folder = tmp_path / 'records'
    write_finished_study(folder, effect)
    path = {"clone / 'docs/study/records'": f"Path('{folder}')"}
    verdicts, _ = execute('read_a_study', '[d.verdict for d in differences]', path)
    assert verdicts[0] == said


def write_finished_study(folder: Path, effect: float) -> None:
    """Write records of all planned runs of a model, the switch better by so much."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    plan = pd.read_csv(RECORDS / 'switch-glas_plan.csv')
    plan = plan[plan['model'] == 'slim_coat']
    plan.to_csv(folder / 'switch-glas_plan.csv', index=False)
    plan.to_csv(folder / 'switch-glas_runs.csv', index=False)
    keys = ['study', 'model', 'arm', 'fold', 'seed', 'epochs']
    images = pd.DataFrame({'number': range(6)})
    frame = plan[keys].merge(images, how='cross')
    frame['image'] = [f'{f}_{n}' for f, n in zip(frame['fold'], frame['number'])]  # noqa: B905
    frame['patient'] = [f'{f}_{n % 2}' for f, n in zip(frame['fold'], frame['number'])]  # noqa: B905
    frame['dice'] = 0.7 + rng.normal(0, 0.005, len(frame))
    frame.loc[frame['arm'] == 'switch', 'dice'] += effect
    frame['dice_tta'] = frame['dice']
    frame.drop(columns='number').to_csv(
        folder / 'switch-glas_slim_coat.csv', index=False
    )
