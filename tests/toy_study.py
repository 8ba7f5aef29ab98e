"""A small study for tests: its file, its plan, and records that nobody has trained."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from mmseg_ftu.prepared_folder import PreparedFolder
from mmseg_ftu.study.plan import Run, write_plan
from mmseg_ftu.study.run_records import write_record
from mmseg_ftu.study.study_design import Study
from mmseg_ftu.study.study_file import read_study

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
WIDTHS = [16, 16, 24, 24]
SLIM = {  # the quickstart's model, made small, without workers
    'stage_channels': WIDTHS,
    'model.backbone.arch': dict(embed_dims=WIDTHS, serial_depths=[1, 1, 1, 1]),
    'model.decode_head.in_channels': WIDTHS,
    'model.decode_head.embed_channels': 16,
    'model.decode_head.channels': 16,
    'train_dataloader.dataset.pipeline.2.transforms.0.size': (64, 64),
}
for _kind in ('train', 'val', 'test'):
    SLIM[f'{_kind}_dataloader.num_workers'] = 0
    SLIM[f'{_kind}_dataloader.persistent_workers'] = False
SCHEDULE = [dict(begin=0, in_index=1), dict(begin=2, in_index=0)]
SWITCH = dict(
    base='mmseg_ftu::_base_/aux_loss.py',
    options=dict(custom_hooks=[dict(type='SwitchAuxHook', schedule=SCHEDULE)]),
)
ANALYSIS = dict(date='2026-01-31', contrasts=[('switch', 'normal')], resamples=200)
MODEL = 'mmseg_ftu::tissue/coat_slim_daformer.py'


def study_keys(data: Path, **changes) -> dict:
    """Return the keys of a study of two arms, two folds and two seeds."""
    return (
        dict(
            name='toy',
            data=str(data),
            models=dict(slim=MODEL),
            arms=dict(normal=dict(), switch=SWITCH),
            folds=[0, 1],
            seeds=[0, 1],
            epochs=4,
            options=SLIM,
            curve_points=4,
            analysis=ANALYSIS,
        )
        | changes
    )


def write_study(folder: Path, data: Path, **changes) -> Study:
    """Write and read a study file."""
    lines = [f'{k} = {v!r}' for k, v in study_keys(data, **changes).items()]
    path = folder / 'study.py'
    path.write_text('\n'.join(lines) + '\n')
    return read_study(path)


def plan(study: Study, out: Path) -> list[Run]:
    """Plan a study and return its runs."""
    return write_plan(study, PreparedFolder.open(study.data), out)[0]


def record(out: Path, run: Run, effect: float = 0.0, patients: int = 6) -> None:
    """Write a record: patients of a fold, with five images each."""
    generator = np.random.default_rng([run.fold, run.seed])
    base = np.random.default_rng(run.fold).uniform(0.5, 0.8, patients * 5)
    dice = base + effect + generator.normal(0, 0.01, len(base))
    images = pd.DataFrame(
        dict(
            image=[f'f{run.fold}_{i}' for i in range(len(base))],
            patient=[f'f{run.fold}_p{i // 5}' for i in range(len(base))],
            dice=dice,
            dice_tta=dice + 0.01,
        )
    )
    epochs = range(1, run.epochs + 1)
    curves = {
        'Dice': [[e, 0.5 + effect + 0.01 * e] for e in epochs],
        'decode.loss_bce': [[e, 0.7 - 0.1 * e] for e in epochs],
        'grad_main/stage_0': [[e, 0.1 / e] for e in epochs],
        'grad_main/stage_1': [[e, 0.01 / e] for e in epochs],
        'grad_main_ratio/stage_0': [[e, 0.5] for e in epochs],
    }
    note = dict(seconds=60.0, device='cpu', sources='s' * 12, commit='c', when='now')
    write_record(out / 'records', run, images, {**note, 'curves': curves})


def finish(out: Path, runs: list[Run], **effects: float) -> None:
    """Write the records of runs; an effect is added to the Dice of an arm."""
    for run in runs:
        record(out, run, effects.get(run.arm, 0.0))


def notes(out: Path) -> dict[str, dict]:
    """Return the notes of all records by id."""
    found = sorted((out / 'records').glob('*.json'))
    return {path.stem: json.loads(path.read_text()) for path in found}
