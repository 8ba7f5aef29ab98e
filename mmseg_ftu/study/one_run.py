"""Train one run of a study, predict what it holds out, and write its record.

``run_study`` starts it in a process of its own:
``python -m mmseg_ftu.study.one_run OUT ID``. A run that was stopped goes on from its
newest checkpoint, exactly.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mmseg_ftu.engine.runner import train
from mmseg_ftu.evaluation.dice import dice
from mmseg_ftu.inference.jobs import Job, list_jobs
from mmseg_ftu.inference.predictor import FTUPredictor
from mmseg_ftu.inference.provenance import versions
from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.images import read_mask
from mmseg_ftu.io.raster import IGNORE_LABEL
from mmseg_ftu.prepared_folder import PreparedFolder
from mmseg_ftu.study.code_version import describe_code, source_digest
from mmseg_ftu.study.learning_curves import read_run_curves
from mmseg_ftu.study.plan import Run
from mmseg_ftu.study.run_records import write_record
from mmseg_ftu.study.study_data import patients_of
from mmseg_ftu.study.study_folder import StudyFolder, now


def main(argv: Sequence[str] | None = None) -> None:
    """Train and score the run that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', type=Path, help='folder of the study')
    parser.add_argument('id', help='name of the run')
    args = parser.parse_args(argv)
    folder = StudyFolder(args.out)
    task = folder.read_task(args.id)
    train_and_score(
        folder, Run(**task['run']), Path(task['data']), task['views'], task['keep']
    )


def train_and_score(
    folder: StudyFolder, run: Run, data: Path, views: Sequence[str], keep: bool
) -> None:
    """Train a run, predict its held-out fold with the last weights, score, record.

    Args:
        folder: Folder of the study.
        run: The run.
        data: The prepared folder.
        views: Views that ``dice_tta`` averages over.
        keep: Keep the checkpoints.
    """
    config, work_dir = folder.config(run.id), folder.work_dir(run.id)
    last = work_dir / f'epoch_{run.epochs}.pth'
    started = time.time()
    resumed = any(work_dir.glob('epoch_*.pth'))
    sources = note_sources(work_dir / 'sources.txt', resumed)
    if not last.is_file():
        train(str(config), str(work_dir), resume=resumed)
    trained = time.time()
    images = score_fold(config, last, data, run.fold, views)
    curves, seconds = read_run_curves(work_dir)
    note: dict[str, Any] = dict(
        seconds=round(max(seconds, trained - started) + time.time() - trained, 1),
        device=device_name(),
        threads=torch.get_num_threads(),
        views=list(views),
        when=now(),
        versions=versions(),
        curves=curves,
        **describe_code() | {'sources': sources},
    )
    write_record(folder.records, run, images, note)
    if not keep:
        for path in (*work_dir.glob('*.pth'), work_dir / 'last_checkpoint'):
            path.unlink(missing_ok=True)


def note_sources(path: Path, resumed: bool) -> str:
    """Note which sources a run is made with, beside those that it was begun with.

    Args:
        path: File for the note.
        resumed: The run goes on from a checkpoint.

    Returns:
        Digests of the sources, the first ones first, with ``+`` between them.
    """
    begun = path.read_text('utf-8').split() if resumed and path.is_file() else []
    names = dict.fromkeys([*begun, source_digest()])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, ' '.join(names).encode())
    return '+'.join(names)


def score_fold(
    config: Path, checkpoint: Path, data: Path, fold: int, views: Sequence[str]
) -> pd.DataFrame:
    """Predict the images of a fold and score each at its original size.

    Returns:
        Columns ``image``, ``patient`` (the group that the folds keep together),
        ``dice`` of one view and ``dice_tta`` averaged over ``views``.
    """
    prepared = PreparedFolder.open(data)
    patients = patients_of(prepared)
    seen = ['identity'], views
    predictors = [FTUPredictor(config, checkpoint, views=chosen) for chosen in seen]
    rows = []
    for job in list_jobs(str(data), fold=fold):
        path = prepared.mask_path(job.id, original=True)
        truth = read_mask(path, (1,), IGNORE_LABEL)
        scores = [score_image(predictor, job, truth) for predictor in predictors]
        rows.append((job.id, patients[job.id], *scores))
    return pd.DataFrame(rows, columns=['image', 'patient', 'dice', 'dice_tta'])


def score_image(predictor: FTUPredictor, job: Job, truth: np.ndarray) -> float:
    """Return the Dice of one image; pixels of the mask that are 255 do not count."""
    loaded = predictor.load(job)
    try:
        mask = predictor.predict([loaded])[0].mask == 1
    finally:
        loaded.close()
    counts = truth != IGNORE_LABEL
    return dice(mask & counts, (truth == 1) & counts)


def device_name() -> str:
    """Return the accelerator's name, or ``cpu``."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu'


if __name__ == '__main__':
    main()
