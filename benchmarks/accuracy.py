"""Dice on small tissue at equal training time: our recipes against peers.

    python benchmarks/accuracy.py --calibrate
    python benchmarks/accuracy.py --minutes 3 --folds 0 --rates 5e-4 1e-3 2e-3
    python benchmarks/accuracy.py --minutes 10 --out accuracy.csv [--folds 1 2 3 4]
    python benchmarks/accuracy.py --table accuracy.csv

Each contestant is trained on the other folds of a set and scored on one, with the
weights of its last step, so nothing is chosen on the images that are scored. Recipes
and the peers' learning rates are chosen on fold 0, which the table leaves out. A
budget of minutes becomes a number of steps by seconds a step that ``--calibrate``
measured on two idle cores, so that a busy machine decides nothing. Runs that the CSV
holds are not repeated.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import tissue_peers
import torch
from tissue_peers import PEERS
from tissue_sets import SETS, TissueSet, prepare

from mmseg_ftu.evaluation.dice import dice
from mmseg_ftu.study.statistics import Paired, mean_difference

ROOT = Path(__file__).resolve().parents[1]
CALIBRATION = Path(__file__).with_name('accuracy_calibration.json')
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
COLUMNS = ['set', 'contestant', 'minutes', 'fold', 'steps']
COLUMNS += ['image', 'group', 'dice', 'dice_flips']
CALIBRATION_STEPS = 80  # of which the first quarter is left out


def main() -> None:
    args = parse_args()
    if args.table:
        print(table(pd.read_csv(args.table)))
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(args.work or folder)
        if args.calibrate:
            print(calibrate(args, work))
            return
        for name in args.sets:
            tissue = prepare(SETS[name], work / name)
            for fold in args.folds:
                for contestant in contestants(args):
                    run(args, tissue, fold, contestant, work)
    print(table(pd.read_csv(args.out)))


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
    add('--minutes', type=float, default=10.0, help='of two idle cores')
    add('--threads', type=int, default=torch.get_num_threads())
    add('--out', type=Path, default=Path('accuracy.csv'))
    add('--work', help='folder that keeps prepared data and runs')
    add('--calibrate', action='store_true', help='measure seconds a step')
    add('--table', type=Path, help='print the table of a CSV and end')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    return args


def contestants(args: argparse.Namespace) -> list[str]:
    """Return the names to run: ``NAME``, or ``NAME @ RATE`` of peers to be tuned."""
    if not args.rates:
        return args.contestants
    peers = [name for name in args.contestants if name in PEERS]
    return [f'{name} @ {rate:g}' for name in peers for rate in args.rates]


def run(
    args: argparse.Namespace, tissue: TissueSet, fold: int, contestant: str, work: Path
) -> None:
    """Train and score a contestant on a fold, unless that is done."""
    key = dict(set=tissue.name, contestant=contestant, minutes=args.minutes, fold=fold)
    done = (
        pd.read_csv(args.out) if args.out.is_file() else pd.DataFrame(columns=COLUMNS)
    )
    if (done[list(key)] == pd.Series(key)).all(axis=1).any():
        return
    if not CALIBRATION.is_file():
        raise SystemExit('run --calibrate on an idle machine first')
    seconds = json.loads(CALIBRATION.read_text())['seconds']
    name = contestant.partition(' @ ')[0]
    if name not in seconds:
        raise SystemExit(f'run --calibrate --contestants "{name}" on an idle machine')
    seconds = seconds[name]
    steps = round(60 * args.minutes / seconds)
    started = time.time()
    train = train_ours if contestant in OURS else train_peer
    rows = train(contestant, tissue, fold, steps, work, args.threads)
    frame = pd.DataFrame([key | dict(steps=steps) | row for row in rows])[COLUMNS]
    frame.to_csv(args.out, mode='a', header=not args.out.is_file(), index=False)
    print(
        f'{tissue.name}, fold {fold}, {contestant}: {frame.dice.mean():.4f}, '
        f'with flips {frame.dice_flips.mean():.4f}, '
        f'{steps} steps, {time.time() - started:.0f} s',
        flush=True,
    )


def train_peer(
    contestant: str,
    tissue: TissueSet,
    fold: int,
    steps: int,
    work: Path,
    threads: int,
) -> list[dict]:
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
    contestant: str,
    tissue: TissueSet,
    fold: int,
    steps: int,
    work: Path,
    threads: int,
) -> list[dict]:
    from mmseg_ftu.inference.predictor import FTUPredictor

    config = ROOT / OURS[contestant]
    folder = work / f'{tissue.name}_{config.stem}_{fold}_{steps}'
    train_config(config, tissue, fold, steps, folder, threads)
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
    config: Path, tissue: TissueSet, fold: int, steps: int, folder: Path, threads: int
) -> None:
    """Run ``tools/train.py`` for the whole epochs that fit into so many steps."""
    from mmengine.config import Config

    batch = Config.fromfile(config).train_dataloader.batch_size
    an_epoch = -(-len(tissue.ids(fold, held_out=False)) // batch)
    epochs = max(1, steps // an_epoch)
    if (folder / f'epoch_{epochs}.pth').is_file():
        return
    command = [sys.executable, 'tools/train.py', str(config.relative_to(ROOT))]
    command += ['--work-dir', str(folder), '--epochs', str(epochs)]
    command += ['--resume'] * folder.is_dir()
    command += ['--cfg-options', f'train_cfg.val_interval={epochs}']
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


def calibrate(args: argparse.Namespace, work: Path) -> str:
    """Measure seconds a step of every contestant on an idle machine."""
    tissue = prepare(SETS['glas'], work / 'glas')
    known = json.loads(CALIBRATION.read_text()) if CALIBRATION.is_file() else {}
    seconds = known.get('seconds', {})
    for contestant in args.contestants:
        if contestant in OURS:
            measured = time_ours(contestant, tissue, work, args.threads)
        else:
            measured = time_peer(contestant, tissue)
        seconds[contestant] = round(measured, 3)
        text = json.dumps(
            dict(threads=args.threads, torch=torch.__version__, seconds=seconds),
            indent=2,
        )
        CALIBRATION.write_text(text + '\n')
        print(f'{contestant}: {measured:.3f} s a step', flush=True)
    return text


def time_peer(contestant: str, tissue: TissueSet) -> float:
    images, masks = zip(*map(tissue.read, tissue.ids(0, held_out=False)), strict=True)
    ends: list[float] = []
    tissue_peers.train(
        PEERS[contestant],
        images,
        masks,
        CALIBRATION_STEPS,
        after_step=lambda step: ends.append(time.perf_counter()),
    )
    return median(np.diff(ends[CALIBRATION_STEPS // 4 :]))


def time_ours(contestant: str, tissue: TissueSet, work: Path, threads: int) -> float:
    """Return the seconds of a step by the log, waiting for the loader included."""
    config = ROOT / OURS[contestant]
    folder = work / f'calibration_{config.stem}'
    train_config(config, tissue, 0, CALIBRATION_STEPS, folder, threads)
    log = next(folder.rglob('scalars.json')).read_text().splitlines()
    times = [record['time'] for record in map(json.loads, log) if 'loss' in record]
    return median(times[len(times) // 4 :])


def table(frame: pd.DataFrame) -> str:
    """Return a Markdown table of the means over all images, best first.

    Dice is of one view, ``flips`` of the mean of three. The interval is for new
    patients: images of one patient count as a cluster.
    """
    lines = [
        '| set | minutes | contestant | images | steps | Dice | 95 % | flips |',
        '|---|---|---|---|---|---|---|---|',
    ]
    key = ['set', 'minutes', 'contestant']
    means = frame.groupby(key).dice.mean().sort_values(ascending=False)
    for name, minutes in frame[key[:2]].drop_duplicates().itertuples(index=False):
        for who, mean in means[name, minutes].items():
            part = frame[(frame[key] == [name, minutes, who]).all(axis=1)]
            lines.append(
                f'| {name} | {minutes:g} | {who} | {len(part)} | {part.steps.iloc[0]} '
                f'| {mean:.3f} | {interval(part)} | {part.dice_flips.mean():.3f} |'
            )
    return '\n'.join(lines)


def interval(part: pd.DataFrame) -> str:
    if part.group.nunique() < 2:
        return 'one group'
    images = part.dice.to_numpy()[:, None]
    found = mean_difference(
        Paired(images, part.group.to_numpy(str), part.fold.to_numpy())
    )
    return f'{found.low:.3f} to {found.high:.3f}'


if __name__ == '__main__':
    main()
