"""Predict many images into a folder, and go on after a stop.

Threads read and write while the network works. Under ``torchrun`` or SLURM every
process takes its share of the images. Processes that are started by hand go through all
of them, and each claims an image before it begins. Nothing has to be gathered, as each
image has files of its own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from mmseg_ftu.inference.file_options import FileOptions, possible_files
from mmseg_ftu.inference.jobs import Job
from mmseg_ftu.inference.loaded_image import LoadedImage, WholeImage
from mmseg_ftu.inference.outputs import write_files
from mmseg_ftu.inference.prediction_folder import DONE, MINE, PredictionFolder
from mmseg_ftu.inference.predictor import FTUPredictor, Prediction
from mmseg_ftu.io.tables import id_fault
from mmseg_ftu.io.threads import ordered_map

READERS = 2  # threads
WAITING = 2  # predictions that may wait to be written
LOOK_AGAIN = 0.5  # s, while other processes have the last images


@dataclass
class Summary:
    """How a run went.

    Attributes:
        done: Images predicted now.
        kept: Images that had been predicted before, or meanwhile by other processes.
        failed: Reason of each image that failed, by id.
        stain_failures: Images whose stains could not be normalised.
        kept_changed: Results that were changed since they were written, under the
            names that they have now.
        notes: What people should know of images that were predicted now, by id.
    """

    done: int = 0
    kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    stain_failures: int = 0
    kept_changed: list[str] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        text = f'{self.done} image{"s" * (self.done != 1)} predicted'
        if self.kept:
            text += f', {self.kept} were there already'
        if self.stain_failures:
            text += f'; stains of {self.stain_failures} could not be normalised'
        lines = [f'{text}.']
        lines += [f'{name}: {note}' for name, of in self.notes.items() for note in of]
        if self.kept_changed:
            lines.append('Results that had been changed were predicted anew; kept as')
            lines += [f'  {name}' for name in self.kept_changed]
        if self.failed:
            lines.append(f'{len(self.failed)} failed:')
            lines += [f'  {name}: {reason}' for name, reason in self.failed.items()]
        return '\n'.join(lines)


@dataclass
class Passed:
    """An image that this process leaves alone.

    Attributes:
        job: The image.
        done: Whether the image is done; if not, another process works on it.
    """

    job: Job
    done: bool


@dataclass
class Written:
    """An image whose files and record are there.

    Attributes:
        job: The image.
        stain_failure: Why its stains could not be normalised, if so.
        notes: What people should know.
    """

    job: Job
    stain_failure: str | None
    notes: list[str]


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
    """Predict images into a folder, those that are not there yet.

    Args:
        predictor: The model.
        jobs: All images.
        folder: Folder for the results.
        options: What to write.
        strict: Raise at the first image that fails, rather than go on.
        rank: Number of this process, from 0: it takes images ``rank::world_size``.
        world_size: Number of processes.

    Returns:
        What this process did.

    Raises:
        ValueError: If a result would replace that of another image.
        Exception: With ``strict``, what reading or writing an image raised.
    """
    folder.refuse_other_images(jobs)
    share = jobs[rank::world_size]
    summary = Summary(kept_changed=folder.kept_changed)
    with folder.in_use():
        pending = [job for job in share if not folder.is_done(job)]
        summary.kept = len(share) - len(pending)
        for job in share:
            folder.note_patient(job)
        bar = tqdm(total=len(pending), desc='predict', unit='image', disable=rank > 0)
        try:
            with bar:
                while pending:
                    passed = _predict_once(
                        predictor, pending, folder, options, strict, summary, bar
                    )
                    pending = [item.job for item in passed if not item.done]
                    if pending:
                        bar.set_postfix_str(f'{len(pending)} with other processes')
                        time.sleep(LOOK_AGAIN)
        finally:
            folder.write_tables(jobs, options.kinds)
    return summary


def _predict_once(
    predictor: FTUPredictor,
    jobs: Sequence[Job],
    folder: PredictionFolder,
    options: FileOptions,
    strict: bool,
    summary: Summary,
    bar: tqdm[Any],
) -> list[Passed]:
    """Predict the images that no other process has; returns those that were passed."""
    writing: deque[Future[Written | Failure]] = deque()
    passed = []
    items = _predictions(predictor, jobs, folder, options)
    # closed before claims are given back: its threads make claims
    with ThreadPoolExecutor(1) as writer, closing(items):
        for item in items:
            if isinstance(item, Passed):
                passed.append(item)
                summary.kept += item.done
                bar.update(item.done)
            elif isinstance(item, Failure):
                _settle(item, folder, summary, strict, bar)
            else:
                writing.append(writer.submit(_write, item, folder, options))
                if len(writing) > WAITING:
                    _settle(writing.popleft().result(), folder, summary, strict, bar)
        while writing:
            _settle(writing.popleft().result(), folder, summary, strict, bar)
    return passed


def _predictions(
    predictor: FTUPredictor,
    jobs: Sequence[Job],
    folder: PredictionFolder,
    options: FileOptions,
) -> Generator[Prediction | Passed | Failure, None, None]:
    """Yield what became of each job."""

    def load(job: Job) -> LoadedImage | Passed | Failure:
        try:
            if fault := id_fault(job.id):
                raise ValueError(fault)
            whose = folder.take(job, possible_files(job.id, options))
            return predictor.load(job) if whose == MINE else Passed(job, whose == DONE)
        except Exception as error:  # one bad image does not stop the others
            return Failure(job, error)

    ahead = READERS + predictor.network.batch_size
    batch: list[LoadedImage] = []
    for item in ordered_map(load, jobs, READERS, ahead, predictor.load.stop):
        if isinstance(item, Passed | Failure):
            yield item
            continue
        if batch and not _fits(batch, item, predictor.network.batch_size):
            yield from _shown(predictor, batch)
            batch = []
        batch.append(item)
    if batch:
        yield from _shown(predictor, batch)


def _shown(
    predictor: FTUPredictor, batch: list[LoadedImage]
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


def _fits(batch: list[LoadedImage], item: LoadedImage, size: int) -> bool:
    """Tell whether an image can be shown together with others."""
    first = batch[0]
    if not (isinstance(first, WholeImage) and isinstance(item, WholeImage)):
        return False
    return len(batch) < size and first.image.shape == item.image.shape


def _write(
    prediction: Prediction, folder: PredictionFolder, options: FileOptions
) -> Written | Failure:
    """Write the files and then the record of an image."""
    loaded = prediction.loaded
    try:
        added = write_files(prediction, folder.path, options)
        height, width = loaded.shape
        folder.keep(
            loaded.job,
            'done',
            pixel_size=loaded.pixel_size,
            height=height,
            width=width,
            stain_failure=loaded.stain_failure,
            tiles=list(prediction.tiles),
            **added,
        )
        notes = added.get('notes', [])
        return Written(loaded.job, loaded.stain_failure, notes)
    except Exception as error:  # one bad image does not stop the others
        return Failure(loaded.job, error)
    finally:
        loaded.close()


def _settle(
    item: Written | Failure,
    folder: PredictionFolder,
    summary: Summary,
    strict: bool,
    bar: tqdm[Any],
) -> None:
    """Count an image that is through; raise in strict mode if it failed."""
    bar.update()
    if isinstance(item, Failure):
        folder.keep(item.job, 'failed', reason=item.reason)
        summary.failed[item.job.id] = item.reason
        if strict:
            vars(item.error)['exit_code'] = 1  # of the command line: an image failed
            raise item.error
        return
    summary.done += 1
    summary.stain_failures += item.stain_failure is not None
    if item.notes:
        summary.notes[item.job.id] = item.notes
