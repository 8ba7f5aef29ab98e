"""Time the prepared pipeline against mmseg's own pipeline on 3000 x 3000 TIFFs.

    python benchmarks/pipeline.py [--images 6] [--epochs 5]

Three pipelines take turns, image by image, in one process with one OpenCV thread (a
loader worker):

prepared    HuBMAPDataset on a folder of tools/prepare_hubmap.py, the config's
            augmentations
same        mmseg on the TIFFs: load, resize image and mask to 768, the same
            augmentations with the same draws; the difference is the preparation
mmseg       as `same`, with mmseg's own augmentations (no elastic and grid distortion,
            no noise; scale 0.5 to 2 in place of the crop)

The images are synthetic and uncompressed, as the competition's are. They come from the
system's cache, which flatters the TIFFs: 27 MB against about 1 MB an image.
"""

import argparse
import csv
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import tifffile
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from mmseg_ftu.datasets import EpochSeededSampler, SeededPipelineMixin
from mmseg_ftu.masks import rle
from mmseg_ftu.preparation.competition import prepare_hubmap

CONFIG = Path(__file__).parents[1] / 'configs/_base_/datasets/hubmap_768x768.py'
SIDE = 3000  # of most images of the competition
HEADER = (
    'id,organ,data_source,img_height,img_width,pixel_size,tissue_thickness,rle,age,sex'
)
ORGANS = ('kidney', 'largeintestine', 'lung', 'prostate', 'spleen')


@DATASETS.register_module()
class SeededSegDataset(SeededPipelineMixin, BaseSegDataset):
    """mmseg's dataset, drawing the same augmentations as the prepared one."""


def make_source(root: Path, images: int) -> None:
    """Write the competition's layout: noisy blobs at two scales, discs as units."""
    rng = np.random.default_rng(0)
    (root / 'train_images').mkdir(parents=True)
    rows = []
    for i in range(images):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for x, y, radius in rng.integers((300, 300, 100), (2700, 2700, 300), (8, 3)):
            cv2.circle(mask, (int(x), int(y)), int(radius), 1, -1)
        image = np.zeros((SIDE, SIDE, 3), np.float32)
        for cells, amplitude in ((40, 60), (400, 60), (SIDE, 20)):
            noise = rng.standard_normal((cells, cells, 3), np.float32) * amplitude
            image += cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        image = np.clip(image + 190 - 60 * mask[..., None], 0, 255).astype(np.uint8)
        tifffile.imwrite(root / 'train_images' / f'{i}.tiff', image)
        organ = ORGANS[i % len(ORGANS)]
        rows.append([i, organ, 'HPA', SIDE, SIDE, 0.4, 4, rle.encode(mask), '', ''])
    with open(root / 'train.csv', 'w', newline='') as file:
        csv.writer(file).writerows([HEADER.split(','), *rows])


def build_datasets(source: Path, prepared: Path) -> dict:
    """Return the three datasets by name."""
    config = Config.fromfile(CONFIG)
    size = config.img_scale
    tiff = dict(
        type='SeededSegDataset',
        data_prefix=dict(
            img_path=str(source / 'train_images'),
            seg_map_path=str(prepared / 'masks_original'),
        ),
        img_suffix='.tiff',
    )
    # mmseg's defaults throughout (pillow decodes masks)
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    pack = [dict(type='PackSegInputs')]
    same = [
        dict(type='Resize', scale=size, keep_ratio=True),
        dict(type='StrictAlbu', transforms=config.augmentations),
    ]
    own = [
        dict(type='RandomResize', scale=size, ratio_range=(0.5, 2), keep_ratio=True),
        dict(type='RandomCrop', crop_size=size, cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='RandomRotate', prob=0.5, degree=45),
        dict(type='PhotoMetricDistortion'),
    ]
    configs = {
        'prepared': dict(
            type='HuBMAPDataset',
            data_root=str(prepared),
            split='all',
            pipeline=config.train_pipeline,
        ),
        'same': dict(tiff, pipeline=load + same + pack),
        'mmseg': dict(tiff, pipeline=load + own + pack),
    }
    with DefaultScope.overwrite_default_scope('mmseg'):
        return {name: DATASETS.build(config) for name, config in configs.items()}


class TimedSteps:
    """A pipeline that adds up the seconds of each of its steps."""

    def __init__(self, steps: list) -> None:
        self.steps = steps
        self.seconds = defaultdict(float)

    def __call__(self, results: dict) -> dict:
        """Run all steps."""
        for step in self.steps:
            start = time.perf_counter()
            results = step(results)
            self.seconds[type(step).__name__] += time.perf_counter() - start
        return results


def run_epochs(datasets: dict, epochs: int) -> dict[str, list[float]]:
    """Return samples/s of each epoch by dataset; one more epoch warms up."""
    rates = {name: [] for name in datasets}
    sampler = EpochSeededSampler(datasets['prepared'], seed=0)
    for epoch in range(epochs + 1):
        sampler.set_epoch(epoch)
        seconds = dict.fromkeys(datasets, 0.0)
        for index in sampler:
            for name, dataset in datasets.items():
                start = time.perf_counter()
                dataset[index]
                seconds[name] += time.perf_counter() - start
        if not epoch:
            for dataset in datasets.values():
                dataset.pipeline.seconds.clear()
            continue
        for name in datasets:
            rates[name].append(len(sampler) / seconds[name])
    return rates


def report(datasets: dict, rates: dict[str, list[float]], samples: int) -> None:
    for name, dataset in datasets.items():
        print(f'\n{name}: {median(rates[name]):.1f} samples/s (median of epochs)')
        for step, seconds in dataset.pipeline.seconds.items():
            print(f'  {step:24}{1e3 * seconds / samples:8.1f} ms')
    print()
    for name in ('same', 'mmseg'):
        pairs = zip(rates['prepared'], rates[name], strict=True)
        ratios = [ours / theirs for ours, theirs in pairs]
        print(
            f'prepared / {name}: {median(ratios):.1f}x '
            f'(epochs {min(ratios):.1f} to {max(ratios):.1f}; goal 5x)'
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=6)
    parser.add_argument('--epochs', type=int, default=5)
    args = parser.parse_args()
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        source, prepared = Path(folder, 'source'), Path(folder, 'prepared')
        make_source(source, args.images)
        start = time.perf_counter()
        prepare_hubmap(source, prepared, folds=2, workers=0)
        seconds = (time.perf_counter() - start) / args.images
        print(f'prepared once, in {seconds:.2f} s an image (one thread)')
        datasets = build_datasets(source, prepared)
        for dataset in datasets.values():
            dataset.pipeline = TimedSteps(dataset.pipeline.transforms)
        rates = run_epochs(datasets, args.epochs)
        report(datasets, rates, args.images * args.epochs)


if __name__ == '__main__':
    main()
