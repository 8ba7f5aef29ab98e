"""Dice on small tissue at equal training time: our recipes against peers.

    python benchmarks/accuracy.py --calibrate
    python benchmarks/accuracy.py --minutes 3 --folds 0 --rates 5e-4 1e-3 2e-3
    python benchmarks/accuracy.py --folds 0 --variant OPTION=VALUE [...]
    python benchmarks/accuracy.py --minutes 10 [--sets glas] [--folds 1 2 3 4]
    python benchmarks/accuracy.py --table

Each contestant is trained on the other folds of a set and scored on one, with the
weights of its last step, so nothing is chosen on the images that are scored. Recipes
and the peers' learning rates are chosen on fold 0, which the table leaves out. A
budget of minutes becomes a number of steps by seconds a step that ``--calibrate``
measured on idle cores, so that a busy machine decides nothing; a variant has the steps
of the recipe that it varies. Runs that the records hold are not repeated; processes
that work on different folds may run side by side.
"""

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import accuracy_calibration
import numpy as np
import tissue_peers
import torch
from accuracy_records import RECORDS, TUNED, Records
from tissue_peers import PEERS
from tissue_sets import SETS, TissueSet, prepare

from mmseg_ftu.evaluation.dice import dice

ROOT = Path(__file__).resolve().parents[1]
OURS = {
    'ours, ResNet18 U-Net': 'configs/tissue/resnet18_unet.py',
    'ours, ResNet18 U-Net, all stages': 'configs/tissue/resnet18_unet_all_stages.py',
    'ours, Lite0 U-Net, ImageNet': 'configs/tissue/lite0_unet.py',
    'ours, Lite0 U-Net, ImageNet, all stages': (
        'configs/tissue/lite0_unet_all_stages.py'
    ),
    'ours, MiT-B0 DAFormer': 'configs/tissue/mit_b0_daformer.py',
    'ours, PVTv2-B0 DAFormer': 'configs/tissue/pvtv2_b0_daformer.py',
    'ours, slim CoaT': 'configs/tissue/coat_slim_daformer.py',
}


def main() -> None:
    args = parse_args()
    records = Records(args.records)
    if args.table:
        print(records.table())
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(args.work or folder).resolve()
        if args.calibrate:
            calibrate(args, records, work)
            return
        steps_of(args, records)  # of all, before hours of training
        sets = [prepare(SETS[name], work / name) for name in args.sets]
        check_folds(args.folds, sets)
        for tissue in sets:
            for fold in args.folds:
                for contestant in contestants(args):
                    run(args, records, tissue, fold, contestant, work)
    print(records.table())


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    everybody = [*OURS, *PEERS]
    add('--sets', nargs='+', default=['glas'], choices=list(SETS))
    add('--folds', nargs='+', type=int, default=[1, 2, 3, 4])
    add('--contestants', nargs='+', default=everybody, choices=everybody)
    add('--rates', nargs='+', type=float, help='try these learning rates on each peer')
    add(
        '--variant',
        nargs='+',
        metavar='OPTION',
        help='vary our recipes on fold 0: settings of the config, recorded as they are',
    )
    add('--minutes', type=float, default=10.0, help='of two idle cores')
    add('--threads', type=int, default=torch.get_num_threads())
    add('--records', type=Path, default=RECORDS, help='folder of results')
    add('--work', help='folder that keeps prepared data and runs')
    add('--calibrate', action='store_true', help='measure seconds a step')
    add('--rounds', type=int, default=5, help='of the calibration')
    add(
        '--reference',
        choices=everybody,
        help='calibrate the others in relation to this one, which keeps its seconds',
    )
    add('--table', action='store_true', help='print the table of the records and end')
    args = parser.parse_args()
    if (args.variant or args.rates) and args.folds != [TUNED]:
        parser.error(f'what is tried is tried on --folds {TUNED}')
    numbers = [args.minutes, args.threads, args.rounds, *(args.rates or ())]
    if not all(math.isfinite(number) and number > 0 for number in numbers):
        parser.error('--minutes, --threads, --rounds and --rates: give more than 0')
    if args.variant and not set(args.contestants) & set(OURS):
        parser.error('--variant varies our recipes, and --contestants has none')
    if args.reference and args.reference not in args.contestants:
        parser.error(f'--reference {args.reference} is not among --contestants')
    torch.set_num_threads(args.threads)
    return args


def contestants(args: argparse.Namespace) -> list[str]:
    """Return the names to run.

    They are ``NAME``, ``NAME @ RATE`` of peers, or ``NAME with OPTIONS`` of ours.
    """
    if args.variant:
        ours = [name for name in args.contestants if name in OURS]
        return [f'{name} with {" ".join(args.variant)}' for name in ours]
    if not args.rates:
        return args.contestants
    peers = [name for name in args.contestants if name in PEERS]
    return [f'{name} @ {rate:g}' for name in peers for rate in args.rates]


def calibrate(args: argparse.Namespace, records: Records, work: Path) -> None:
    """Measure seconds a step of every contestant, by turns."""
    tissue = prepare(SETS['glas'], work / 'glas')
    timers = {}
    for name in args.contestants:
        if name in OURS:
            timers[name] = accuracy_calibration.timer_of_ours(
                ROOT / OURS[name], tissue, work, train_config
            )
        else:
            timers[name] = accuracy_calibration.timer_of_peer(PEERS[name], tissue)
    accuracy_calibration.calibrate(
        timers, args.rounds, args.threads, records.folder, args.reference
    )


def steps_of(args: argparse.Namespace, records: Records) -> dict[str, int]:
    """Return the steps of each contestant in the time that it has."""
    seconds = accuracy_calibration.read(records.folder)
    if unknown := [name for name in args.contestants if name not in seconds]:
        names = ' '.join(f'"{name}"' for name in unknown)
        raise SystemExit(
            f'run --calibrate --contestants {names} on an idle machine (with '
            '--reference NAME if others are measured), or leave them out'
        )
    found = {n: round(60 * args.minutes / seconds[n]) for n in args.contestants}
    if none := [name for name, steps in found.items() if steps < 1]:
        raise SystemExit(
            f'--minutes {args.minutes:g} is too short for one step of {none[0]}'
        )
    return found


def check_folds(folds: Sequence[int], sets: Sequence[TissueSet]) -> None:
    """End where a set lacks a fold."""
    for tissue in sets:
        there = sorted(tissue.table.fold.unique())
        if missing := sorted(set(folds) - set(there)):
            raise SystemExit(
                f'{tissue.name} has no fold {missing[0]}; it has '
                f'{", ".join(map(str, there))}'
            )


def run(
    args: argparse.Namespace,
    records: Records,
    tissue: TissueSet,
    fold: int,
    contestant: str,
    work: Path,
) -> None:
    """Train and score a contestant on a fold, unless that is done."""
    name = contestant.partition(' @ ')[0].partition(' with ')[0]
    steps = steps_of(args, records)[name]
    key = dict(set=tissue.name, contestant=contestant, minutes=args.minutes, fold=fold)
    known = records.steps_of(key)
    if known is not None:
        if known != steps:
            raise SystemExit(
                f'{records.folder} holds {key} with {known} steps; by the calibration '
                f'it is {steps}. Use other --records, or the calibration of these.'
            )
        return
    started = time.time()
    if name in OURS:
        options = args.variant or ()
        rows = train_ours(name, tissue, fold, steps, work, args.threads, options)
    else:
        rows = train_peer(contestant, tissue, fold, steps)
    frame = records.add(key | dict(steps=steps), rows)
    print(
        f'{tissue.name}, fold {fold}, {contestant}: {frame.dice.mean():.4f}, '
        f'with flips {frame.dice_flips.mean():.4f}, '
        f'{steps} steps, {time.time() - started:.0f} s',
        flush=True,
    )


def train_peer(contestant: str, tissue: TissueSet, fold: int, steps: int) -> list[dict]:
    name, _, rate = contestant.partition(' @ ')
    peer = replace(PEERS[name], rate=float(rate or PEERS[name].rate))
    ids = tissue.ids(fold, held_out=False)
    images, masks = zip(*map(tissue.read, ids), strict=True)
    network = tissue_peers.train(peer, images, masks, steps)
    rows = []
    for name in tissue.ids(fold, held_out=True):
        image, mask = tissue.read(name)
        one, flips = tissue_peers.predict(network, peer, image)
        rows.append(score(tissue, name, mask, one, flips))
    return rows


def train_ours(
    name: str,
    tissue: TissueSet,
    fold: int,
    steps: int,
    work: Path,
    threads: int,
    options: Sequence[str] = (),
) -> list[dict]:
    from mmseg_ftu.inference.predictor import FTUPredictor

    recipe = ROOT / OURS[name]
    kind = re.sub(r'[^\w.=-]+', '_', '_'.join([recipe.stem, *options]))
    folder = work / f'{tissue.name}_{kind}_{fold}_{steps}'
    train_config(recipe, tissue, fold, steps, folder, threads, options)
    config = folder / recipe.name
    checkpoint = max(folder.glob('epoch_*.pth'), key=lambda p: int(p.stem[6:]))
    views = ('identity',), ('identity', 'hflip', 'vflip')
    predictors = [
        FTUPredictor(config, checkpoint, views=v, thresholds={'default': 0.5})
        for v in views
    ]
    rows = []
    for name in tissue.ids(fold, held_out=True):
        masks = [p(tissue.image_path(name)).mask == 1 for p in predictors]
        rows.append(score(tissue, name, tissue.read(name)[1], *masks))
    return rows


def train_config(
    config: Path,
    tissue: TissueSet,
    fold: int,
    steps: int,
    folder: Path,
    threads: int,
    options: Sequence[str] = (),
) -> None:
    """Run ``tools/train.py`` for the whole epochs that fit into so many steps."""
    an_epoch = accuracy_calibration.steps_of_epoch(config, tissue, fold, options)
    epochs = max(2, steps // an_epoch)  # one is too few for the schedule
    if (folder / f'epoch_{epochs}.pth').is_file():
        return
    command = [sys.executable, 'tools/train.py', str(config.relative_to(ROOT))]
    command += ['--work-dir', str(folder), '--epochs', str(epochs)]
    command += ['--resume'] * folder.is_dir()
    command += ['--cfg-options', f'train_cfg.val_interval={epochs}', *options]
    settings = dict(
        FTU_DATA=str(tissue.prepared), FOLD=str(fold), OMP_NUM_THREADS=str(threads)
    )
    subprocess.run(
        command,
        check=True,
        cwd=ROOT,
        env=os.environ | settings,
        stdout=subprocess.DEVNULL,
    )


def score(
    tissue: TissueSet, name: str, mask: np.ndarray, one: np.ndarray, flips: np.ndarray
) -> dict:
    truth = mask == 1
    return dict(
        image=name,
        group=tissue.group(name),
        dice=round(dice(one, truth), 5),
        dice_flips=round(dice(flips, truth), 5),
    )


if __name__ == '__main__':
    main()
