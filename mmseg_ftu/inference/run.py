"""Predict many images into a folder, and go on after a stop.

Threads read and write while the network works. Under ``torchrun`` or SLURM every
process takes its share of the images; nothing has to be gathered, as each image has
files of its own.
"""

import hashlib
import os
import platform
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from ..version import __version__
from .files import FileOptions, write_files
from .inputs import Job
from .loading import Loaded
from .predictor import FTUPredictor, Prediction
from .prefetch import ordered_map
from .records import PredictionFolder

READERS = 2  # threads
WAITING = 2  # predictions that may wait to be written
FOLD_KEYS = ('fold', 'folds_id', 'train_images')  # what checkpoints tell of training


@dataclass
class Summary:
    """How a run went.

    Attributes:
        done: Images predicted now.
        kept: Images that had been predicted before.
        failed: Reason of each image that failed, by id.
        stain_failures: Images whose stains could not be normalised.
    """

    done: int = 0
    kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    stain_failures: int = 0

    def __str__(self) -> str:
        text = f'{self.done} images predicted'
        if self.kept:
            text += f', {self.kept} were there already'
        if self.stain_failures:
            text += f'; stains of {self.stain_failures} could not be normalised'
        lines = [f'{text}.']
        if self.failed:
            lines.append(f'{len(self.failed)} failed:')
            lines += [f'  {name}: {reason}' for name, reason in self.failed.items()]
        return '\n'.join(lines)


@dataclass
class Failure:
    """An image that could not be read, predicted or written."""

    job: Job
    error: Exception

    @property
    def reason(self) -> str:
        """What happened, in one line."""
        text = ' '.join(str(self.error).split()) or type(self.error).__name__
        known = isinstance(self.error, ValueError | OSError)
        return text if known else f'{type(self.error).__name__}: {text}'


def predict_folder(
    predictor: FTUPredictor,
    jobs: Sequence[Job],
    folder: PredictionFolder,
    options: FileOptions,
    strict: bool = False,
    rank: int = 0,
    world_size: int = 1,
) -> Summary:
    """Predict images into a folder, those that aren't there yet.

    Args:
        predictor: The model.
        jobs: All images.
        folder: Where files go.
        options: Which files.
        strict: Raise at the first image that fails, rather than go on.
        rank: Of this process, 0-based: it takes images ``rank::world_size``.
        world_size: Number of processes.

    Returns:
        What this process did.

    Raises:
        Exception: With ``strict``, what reading or writing an image raised.
    """
    share = jobs[rank::world_size]
    pending = [job for job in share if not folder.is_done(job)]
    summary = Summary(kept=len(share) - len(pending))
    writing: deque[Future] = deque()
    bar = tqdm(total=len(pending), desc='predict', unit='image', disable=rank > 0)
    try:
        with bar, ThreadPoolExecutor(1) as writer:
            for item in _predictions(predictor, pending):
                if isinstance(item, Failure):
                    _settle(item, folder, summary, strict, bar)
                    continue
                writing.append(writer.submit(_write, item, folder, options))
                if len(writing) > WAITING:
                    _settle(writing.popleft().result(), folder, summary, strict, bar)
            while writing:
                _settle(writing.popleft().result(), folder, summary, strict, bar)
    finally:
        folder.write_tables(jobs, 'submission' in options.kinds)
    return summary


def _predictions(
    predictor: FTUPredictor, jobs: Sequence[Job]
) -> Iterator[Prediction | Failure]:
    """Yield a prediction or a failure for each job."""

    def load(job: Job) -> Loaded | Failure:
        try:
            return predictor.load(job)
        except Exception as error:  # one bad image doesn't stop the others
            return Failure(job, error)

    ahead = READERS + predictor.network.batch_size
    batch: list[Loaded] = []
    for item in ordered_map(load, jobs, READERS, ahead):
        if isinstance(item, Failure):
            yield item
            continue
        if batch and not _fits(batch, item, predictor.network.batch_size):
            yield from _shown(predictor, batch)
            batch = []
        batch.append(item)
    if batch:
        yield from _shown(predictor, batch)


def _shown(
    predictor: FTUPredictor, batch: list[Loaded]
) -> Iterator[Prediction | Failure]:
    """Yield the predictions of a batch; if it fails, of its images one by one."""
    try:
        yield from predictor.predict(batch)
    except Exception as error:  # e.g. one that is too large for the memory
        if len(batch) > 1:
            for loaded in batch:
                yield from _shown(predictor, [loaded])
            return
        batch[0].close()
        yield Failure(batch[0].job, error)


def _fits(batch: list[Loaded], item: Loaded, size: int) -> bool:
    """Tell whether an image can be shown together with others."""
    if len(batch) >= size or item.image is None or batch[0].image is None:
        return False
    return batch[0].image.shape == item.image.shape


def _write(
    prediction: Prediction, folder: PredictionFolder, options: FileOptions
) -> Prediction | Failure:
    """Write the files and then the record of an image."""
    loaded = prediction.loaded
    try:
        added = write_files(prediction, folder.path, options)
        height, width = loaded.shape
        folder.keep(
            loaded.job,
            pixel_size=loaded.pixel_size,
            height=height,
            width=width,
            status='done',
            stain_failure=loaded.stain_failure,
            tiles=list(prediction.tiles),
            **added,
        )
        return prediction
    except Exception as error:  # one bad image doesn't stop the others
        return Failure(loaded.job, error)
    finally:
        loaded.close()


def _settle(
    item: Prediction | Failure,
    folder: PredictionFolder,
    summary: Summary,
    strict: bool,
    bar: tqdm,
) -> None:
    """Count an image that is through; raise in strict mode if it failed."""
    bar.update()
    if isinstance(item, Failure):
        folder.keep(item.job, status='failed', reason=item.reason)
        summary.failed[item.job.id] = item.reason
        if strict:
            raise item.error
        return
    summary.done += 1
    summary.stain_failures += item.loaded.stain_failure is not None


def launched_as() -> tuple[int, int, int]:
    """Return rank, number of processes and local rank under torchrun or srun."""
    for rank, world_size, local_rank in (
        ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
        # set by srun alone: SLURM_NTASKS is also there in a batch script, where one
        # process would take its share of the images and nobody the others'
        ('SLURM_PROCID', 'SLURM_STEP_NUM_TASKS', 'SLURM_LOCALID'),
    ):
        if rank in os.environ and world_size in os.environ:
            names = rank, world_size, local_rank
            return tuple(int(os.environ.get(name, 0)) for name in names)
    return 0, 1, 0


def describe_checkpoints(
    checkpoints: Sequence[str], weights: Sequence[float], metas: Sequence[Mapping]
) -> list[dict]:
    """Return path, hash, weight and training images of each checkpoint.

    The latter are ``fold``, ``folds_id`` and ``train_images`` of its ``dataset_meta``,
    as far as they are there, see ``mmseg_ftu.datasets.fold_record``.
    """
    described = []
    for path, weight, meta in zip(checkpoints, weights, metas, strict=True):
        entry = dict(path=str(path), weight=weight)
        entry |= {key: meta[key] for key in FOLD_KEYS if key in meta}
        if Path(path).is_file():
            entry['sha256'] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        described.append(entry)
    return described


def versions() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    return dict(
        mmseg_ftu=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        opencv=cv2.__version__,
        platform=sys.platform,
    )
