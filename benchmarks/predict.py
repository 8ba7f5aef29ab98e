"""Time prediction end to end, and measure its memory.

    python benchmarks/predict.py [--images 6] [--rounds 3] [--sizes 256 768]
    python benchmarks/predict.py --memory 5000 10000 20000
    python benchmarks/predict.py --share

Without options: images/s from a 3000 x 3000 TIFF to a mask PNG, `predict_folder` (what
``tools/predict.py`` runs) against a plain loop over mmseg's ``inference_model``, with
the quickstart's small model, resized to 256 px (its own size) or 768, with flips; the
two take turns, and what counts is the ratio of a round. ``--share``: the share of time
not spent in the network, with the default model. ``--memory``: peak memory of a process
that predicts a tiled TIFF of so many px a side, in tiles of 768 px. Images are
synthetic, weights random.
"""

import argparse
import contextlib
import io
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import tifffile
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.apis import inference_model
from mmseg.registry import MODELS
from peak_memory import peak_mib

from mmseg_ftu.inference.file_options import FileOptions
from mmseg_ftu.inference.jobs import list_jobs
from mmseg_ftu.inference.predict_folder import predict_folder
from mmseg_ftu.inference.prediction_folder import PredictionFolder
from mmseg_ftu.inference.predictor import FTUPredictor

ROOT = Path(__file__).resolve().parents[1]
FULL_MODEL = ROOT / 'configs/ftu/coat_daformer.py'
SMALL_MODEL = ROOT / 'configs/tissue/coat_slim_daformer.py'
SIDE = 3000  # px, the competition's images


def config(small: bool, size: int = 768) -> Config:
    """Return the paper's pipelines with the small or the default model."""
    cfg = Config.fromfile(FULL_MODEL)
    for transform in (*cfg.test_pipeline, *cfg.tta_pipeline):
        if transform.type == 'Resize':
            transform.scale = (size, size)
    if small:
        cfg.model = Config.fromfile(SMALL_MODEL).model
    cfg.model.backbone.init_cfg = None
    return cfg


def save_weights(cfg: Config, path: Path) -> None:
    torch.manual_seed(0)
    init_default_scope('mmseg')
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), path)


def texture(seed: int = 0) -> np.ndarray:
    """Return 1024 x 1024 px of stained blobs, RGB."""
    rng = np.random.default_rng(seed)
    amounts = cv2.GaussianBlur(rng.gamma(0.8, 0.9, (1024, 1024, 2)), (0, 0), 6)
    light = 255 * np.exp(-amounts @ np.array([[0.65, 0.70, 0.29], [0.27, 0.90, 0.34]]))
    return (light + rng.normal(0, 3, light.shape)).clip(0, 255).astype(np.uint8)


def write_images(folder: Path, count: int) -> None:
    for i in range(count):
        image = np.tile(texture(i), (3, 3, 1))[:SIDE, :SIDE]
        tifffile.imwrite(folder / f'{i}.tiff', image, photometric='rgb')


@contextlib.contextmanager
def workplace(cfg: Config, images: int) -> Iterator[tuple[Path, Path]]:
    """Give a folder of so many images and a file of weights."""
    with tempfile.TemporaryDirectory() as folder:
        place, weights = Path(folder, 'images'), Path(folder, 'weights.pth')
        place.mkdir()
        write_images(place, images)
        save_weights(cfg, weights)
        yield place, weights


def predict_ours(predictor: FTUPredictor, images: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as out,
        contextlib.redirect_stderr(io.StringIO()),
    ):
        folder = PredictionFolder(Path(out), {}, {})
        options = FileOptions(('masks',))
        summary = predict_folder(predictor, list_jobs(str(images)), folder, options)
    if summary.failed:
        raise RuntimeError(summary)


def plain_loop(cfg: Config, weights: Path, device: str) -> Callable[[Path], None]:
    """Return a function: predict the images of a folder with mmseg's own function."""
    cfg = cfg.copy()
    cfg.test_pipeline = [
        t for t in cfg.tta_pipeline if t.type != 'RestoreOriginalShape'
    ]
    tta = cfg.test_pipeline[-1]
    tta.transforms = [
        branch for branch in tta.transforms if branch[0].type != 'LoadAnnotations'
    ]
    cfg.model = dict(cfg.tta_model, module=cfg.model)
    model = MODELS.build(cfg.model)
    model.module.load_state_dict(torch.load(weights)['state_dict'])
    model.cfg = cfg
    model = model.to(device).eval()

    def run(images: Path) -> None:
        with tempfile.TemporaryDirectory() as out:
            for path in sorted(images.iterdir()):
                result = inference_model(model, str(path))
                mask = result.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
                cv2.imwrite(f'{out}/{path.stem}.png', mask * 255)

    return run


def compare(args: argparse.Namespace, size: int) -> None:
    """Print images/s of both, and the ratio, at one working size."""
    cfg = config(small=True, size=size)
    with workplace(cfg, args.images) as (images, weights):
        predictor = FTUPredictor(cfg.copy(), weights, device=args.device)
        loop = plain_loop(cfg, weights, args.device)
        contestants = {
            'tools/predict.py': partial(predict_ours, predictor, images),
            "loop over mmseg's inference_model": partial(loop, images),
        }
        times = {name: [] for name in contestants}
        for i in range(args.rounds + 1):
            for name, run in contestants.items():
                start = time.perf_counter()
                run()
                if i:  # the first round warms up
                    times[name].append(time.perf_counter() - start)
    base = list(times.values())[-1]
    for name, taken in times.items():
        ratios = sorted(b / t for b, t in zip(base, taken, strict=True))
        span = f'({ratios[0]:.2f} to {ratios[-1]:.2f})'
        rate = args.images / median(taken)
        print(f'| {size} | {name} | {rate:.2f} | {median(ratios):.2f} {span} |')


def share(args: argparse.Namespace) -> None:
    """Print which share of the time the network does not work."""
    cfg = config(small=False)
    with workplace(cfg, args.images) as (images, weights):
        predictor = FTUPredictor(cfg, weights, device=args.device)
        network, busy = predictor.network, []
        forward = network._forward

        def timed(*inputs) -> torch.Tensor:
            start = time.perf_counter()
            result = forward(*inputs)
            if result.is_cuda:
                torch.cuda.synchronize()
            busy.append(time.perf_counter() - start)
            return result

        network._forward = timed
        start = time.perf_counter()
        predict_ours(predictor, images)
        total = time.perf_counter() - start
    print(
        f'{args.images} images in {total:.1f} s, network {sum(busy):.1f} s: '
        f'{1 - sum(busy) / total:.1%} not in the network'
    )


def write_large(path: Path, side: int) -> None:
    """Write a tiled TIFF of any size, tile by tile; a quarter of it is empty."""
    tissue, empty = texture(), np.full((1024, 1024, 3), 245, np.uint8)
    across = -(-side // 1024)
    tiles = (
        empty if i % 2 and j % 2 else tissue
        for i in range(across)
        for j in range(across)
    )
    tifffile.imwrite(
        path,
        tiles,
        shape=(side, side, 3),
        dtype=np.uint8,
        tile=(1024, 1024),
        photometric='rgb',
        compression='jpeg',
        bigtiff=True,
    )


def memory(args: argparse.Namespace) -> None:
    """Print peak memory and time for each size, each in a process of its own."""
    print('| side (px) | peak memory (MiB) | above the loaded model | s |')
    print('|---|---|---|---|')
    for side in args.memory:
        command = [sys.executable, __file__, '--probe', str(side)]
        out = subprocess.run(
            [*command, '--device', args.device],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        peak, rise, taken = json.loads(out.splitlines()[-1])
        print(f'| {side} | {peak:.0f} | {rise:.0f} | {taken:.0f} |', flush=True)


def probe(args: argparse.Namespace) -> None:
    cfg = config(small=True)
    with tempfile.TemporaryDirectory() as folder:
        path, weights = Path(folder, 'large.tif'), Path(folder, 'weights.pth')
        write_large(path, args.probe)
        save_weights(cfg, weights)
        predictor = FTUPredictor(
            cfg,
            weights,
            views=['identity'],
            mode='tiles',
            training_pixel_size=1.5625,
            temporary=Path(folder),
            device=args.device,
        )
        predictor(texture(), pixel_size=1.5625)  # libraries' buffers
        out = PredictionFolder(Path(folder, 'out'), {}, {})
        options = FileOptions(('masks', 'overlays', 'probabilities'))
        jobs = list_jobs(str(path), pixel_size=0.4)
        start = time.perf_counter()
        rise = peak_mib(lambda: predict_folder(predictor, jobs, out, options, True))
        taken = time.perf_counter() - start
        lines = Path('/proc/self/status').read_text().splitlines()
        peak = next(int(x.split()[1]) for x in lines if x.startswith('VmHWM')) / 1024
    print(json.dumps((peak, rise, taken)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--images', type=int, default=6)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--sizes', type=int, nargs='+', default=[256, 768])
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument('--share', action='store_true')
    parser.add_argument('--memory', type=int, nargs='+', metavar='PX')
    parser.add_argument('--probe', type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.probe:
        probe(args)
        return
    print(f'{platform.machine()}, {torch.get_num_threads()} threads, {args.device}')
    if args.memory:
        memory(args)
    elif args.share:
        share(args)
    else:
        print('| px | contestant | images/s | ratio |\n|---|---|---|---|')
        for size in args.sizes:
            compare(args, size)


if __name__ == '__main__':
    main()
