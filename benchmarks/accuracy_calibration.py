"""Seconds a training step of each contestant of ``accuracy.py``, measured by turns."""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import tissue_peers
import torch
from mmengine.config import Config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tissue_peers import Peer
from tissue_sets import TissueSet

STEPS = 20  # of a peer in a round; the first quarter is left out
EPOCHS = 6  # of ours in a round; the first is left out, one of the others is saved
EACH_STEP = ('default_hooks.logger.interval=1', 'log_processor.window_size=1')
Timer = Callable[[int], float]


def steps_of_epoch(
    config: Path, tissue: TissueSet, fold: int, options: Sequence[str] = ()
) -> int:
    """Return the steps of one pass over the images a config trains on."""
    size = Config.fromfile(config).train_dataloader.batch_size
    for option in options:
        if option.startswith('train_dataloader.batch_size='):
            size = int(option.partition('=')[2])
    return -(-len(tissue.ids(fold, held_out=False)) // size)


def file_of(folder: Path) -> Path:
    return folder / 'calibration.json'


def read(folder: Path) -> dict[str, float]:
    """Return seconds a step by contestant.

    Raises:
        SystemExit: There is no calibration.
    """
    if not file_of(folder).is_file():
        raise SystemExit('run --calibrate on an idle machine first')
    return json.loads(file_of(folder).read_text())['seconds']


def calibrate(
    timers: dict[str, Timer],
    rounds: int,
    threads: int,
    folder: Path,
    reference: str | None = None,
) -> None:
    """Time all contestants by turns and write the medians of the rounds.

    Contestants that are not among ``timers`` keep their seconds; give all of them on
    another machine. Where a ``reference`` is among them, it keeps its seconds, too, and
    those of the others are their medians in relation to it, round by round: then it
    does not matter that the machine has become slower or faster since.

    Raises:
        SystemExit: There are no seconds of the reference.
    """
    known = json.loads(file_of(folder).read_text()) if file_of(folder).is_file() else {}
    if reference not in (None, *known.get('seconds', {})):
        raise SystemExit(f'calibrate "{reference}" first: it has no seconds to keep')
    measured: dict[str, list[float]] = {name: [] for name in timers}
    for turn in range(rounds):
        for name, timer in timers.items():
            seconds = timer(threads)
            measured[name].append(round(seconds, 3))
            print(f'{turn + 1}/{rounds} {name}: {seconds:.3f} s a step', flush=True)
    seconds = {name: median(times) for name, times in measured.items()}
    if reference is not None:
        before, now = known['seconds'][reference], measured[reference]
        for name, times in measured.items():
            ratios = [time / base for time, base in zip(times, now, strict=True)]
            seconds[name] = before * median(ratios)
    text = json.dumps(
        dict(
            threads=threads,
            torch=torch.__version__,
            seconds=known.get('seconds', {})
            | {name: round(value, 3) for name, value in seconds.items()},
            rounds=known.get('rounds', {}) | measured,
        ),
        indent=2,
    )
    folder.mkdir(parents=True, exist_ok=True)
    file_of(folder).write_text(text + '\n')


def timer_of_peer(peer: Peer, tissue: TissueSet) -> Timer:
    def time_steps(threads: int) -> float:
        ids = tissue.ids(0, held_out=False)
        images, masks = zip(*map(tissue.read, ids), strict=True)
        ends: list[float] = []
        tissue_peers.train(
            peer,
            images,
            masks,
            STEPS,
            after_step=lambda step: ends.append(time.perf_counter()),
        )
        return float(np.diff(ends[STEPS // 4 :]).mean())

    return time_steps


def timer_of_ours(
    config: Path, tissue: TissueSet, work: Path, train_config: Callable
) -> Timer:
    """Time by the log of ``tools/train.py``: waits for data and checkpoints count."""
    an_epoch = steps_of_epoch(config, tissue, 0)

    def time_steps(threads: int) -> float:
        folder = work / f'calibration_{config.stem}'
        shutil.rmtree(folder, ignore_errors=True)
        train_config(config, tissue, 0, EPOCHS * an_epoch, folder, threads, EACH_STEP)
        ends = ends_of_steps(folder)
        assert len(ends) == EPOCHS * an_epoch, len(ends)
        return (ends[-1] - ends[an_epoch - 1]) / (len(ends) - an_epoch)

    return time_steps


def ends_of_steps(folder: Path) -> list[float]:
    """Return when each step of a run was logged, in seconds, from its TensorBoard."""
    events = next(folder.rglob('events.out.tfevents.*'))
    log = EventAccumulator(str(events), size_guidance=dict(scalars=0)).Reload()
    return [event.wall_time for event in log.Scalars('loss')]
