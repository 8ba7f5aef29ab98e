"""Dice of each image, averaged over images: the metric of paper and competition.

mmseg's ``IoUMetric`` pools the pixels of the whole set and counts background as a
class: two images with Dice 1 and 0 read 99.86 there. Here each image counts once.
"""

import csv
import io
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample
from prettytable import PrettyTable

from mmseg_ftu.engine.config_thresholds import read_thresholds
from mmseg_ftu.evaluation.dice import dice
from mmseg_ftu.io.atomic_files import write_bytes, write_png
from mmseg_ftu.io.own_files import ListedFolder, is_own_csv, require_own
from mmseg_ftu.thresholds import PAPER_THRESHOLDS, Thresholds, threshold_for

CSV_NAME = 'dice_per_image.csv'
COLUMNS = ('img_id', 'organ', 'data_source', 'threshold', 'dice', 'val_loss_bce')
Row = Mapping[str, Any]  # of one image, by column
Cells = tuple[Any, ...]  # the same in the order of COLUMNS
Result = tuple[Cells, str | None]  # with the image's path


@METRICS.register_module()
class FTUDiceMetric(BaseMetric):
    """Mean Dice over images, and over the images of each organ and data source.

    Metrics: ``Dice``, ``Dice/<organ>``, ``Dice/<data source>``, all 0..1, and in
    validation ``val_loss_bce``, the mean over images of the main head's cross entropy
    (nats), which drives the learning rate. An image without foreground that is
    predicted empty counts 1.

    Args:
        thresholds: Probability above which a pixel is foreground, see
            ``mmseg_ftu.evaluation.threshold_for``; the paper's table by default, or
            the path of a file, see ``mmseg_ftu.evaluation.load_thresholds``.
        ignore_index: Label of mask pixels that are left out.
        csv_file: Table to write, one row an image; None writes none.
        output_dir: Folder for the predicted masks (PNG, 0 and 1) and
            ``dice_per_image.csv``; ``tools/test.py --out`` sets it. Must be new, empty
            or written by this metric: nothing else is replaced.
        keep_results: Accepted as ``tools/test.py`` of mmseg sets it along with
            ``output_dir``; there is nothing else to keep.
        collect_device: ``cpu`` or ``gpu``, where distributed results are gathered.
        prefix: Put before the names of the metrics.
    """

    default_prefix = ''  # None would make mmengine warn

    def __init__(
        self,
        thresholds: Thresholds | str | Path = PAPER_THRESHOLDS,
        ignore_index: int = 255,
        csv_file: str | None = None,
        output_dir: str | None = None,
        keep_results: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.thresholds = read_thresholds(thresholds)
        self.ignore_index = ignore_index
        self.output = ListedFolder(Path(output_dir)) if output_dir else None
        self.csv_file = csv_file
        if csv_file:
            require_own(Path(csv_file), is_own_csv(*COLUMNS))

    def process(
        self, data_batch: dict[str, Any], data_samples: Sequence[dict[str, Any]]
    ) -> None:
        """Score each image; both arrays are at the resolution of the mask."""
        for sample in data_samples:
            organ, source = sample.get('organ'), sample.get('data_source')
            threshold = self.threshold_of(sample)
            probability = sample['seg_logits']['data'][0]
            mask = sample['gt_sem_seg']['data'][0].cpu().numpy()
            prediction = (probability > threshold).cpu().numpy()
            name = name_of(sample)
            if prediction.shape != mask.shape:
                raise ValueError(
                    f'{name}: prediction {prediction.shape} and mask {mask.shape} '
                    'differ in size; test at the original resolution needs '
                    'RestoreOriginalShape in the pipeline'
                )
            score = dice(prediction & (mask != self.ignore_index), mask == 1)
            if not probability.isfinite().all():
                score = math.nan  # not the empty mask that comparisons make of it
                print_log(
                    f'{name}: the network answers NaN or infinity, so there is no '
                    'Dice, and no mean',
                    'current',
                    logging.WARNING,
                )
            loss = sample.get('val_loss_bce')
            row = name, organ, source, threshold, score, loss
            self.results.append((row, sample.get('img_path')))
            if self.output:
                mask = prediction.astype(np.uint8)
                self.output.write(f'{name}.png', partial(write_png, pixels=mask))

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather the images of all processes and average.

        Args:
            size: Images in the dataset. mmengine keeps so many results, from the first:
                where samplers repeat images to fill all processes up, and batches are
                not in order, it would drop others. Here each image counts once.
        """
        images = max(size, len(self.results) * get_world_size())
        metrics: dict[str, float] = super().evaluate(images)
        return metrics

    def threshold_of(self, sample: Mapping[str, Any] | SegDataSample) -> float:
        """Return the threshold of a sample's data source and organ."""
        source, organ = sample.get('data_source'), sample.get('organ')
        return threshold_for(self.thresholds, source, organ)

    def compute_metrics(self, results: list[Result]) -> dict[str, float]:
        """Average over the images of all processes; print and write the tables."""
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in unrepeated(results)]
        if self.csv_file:
            refuse_repeated_ids(rows, Path(self.csv_file))
        elif self.output:
            refuse_repeated_ids(rows, self.output.path)
        metrics = mean_scores(rows)
        print_log('\n' + format_table(rows), 'current')
        if self.output:
            self.output.write(CSV_NAME, partial(write_csv, rows))
        if self.csv_file:
            write_csv(rows, Path(self.csv_file))
        return metrics


def unrepeated(results: Sequence[Result]) -> list[Cells]:
    """Return each image's row once, in order; images are known by id and path."""
    known: dict[tuple[Any, int | str], Cells] = {}
    for number, (row, path) in enumerate(results):
        known.setdefault((row[0], number if path is None else path), row)
    return list(known.values())


def refuse_repeated_ids(rows: Sequence[Row], path: Path) -> None:
    """Raise where several images have one id, so that their files are the same."""
    counts = Counter(row['img_id'] for row in rows)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise ValueError(
            f'{path}: several images are named {", ".join(repeated[:5])}: their '
            'masks would replace one another; test one folder at a time'
        )


def name_of(sample: Mapping[str, Any] | SegDataSample) -> str:
    """Return a sample's id, the stem of its path where it has none."""
    return sample.get('img_id') or Path(sample.get('img_path', '')).stem


def group_rows(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group images by organ, then by data source, each in sorted order."""
    groups: dict[str, list[Row]] = {}
    for key in ('organ', 'data_source'):
        found: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            if row[key] is not None:
                found[row[key]].append(row)
        groups.update(sorted(found.items()))
    return groups


def mean_scores(rows: Sequence[Row]) -> dict[str, float]:
    """Average the per-image rows into the metrics of ``FTUDiceMetric``."""
    metrics = {'Dice': float(np.mean([row['dice'] for row in rows]))}
    for name, members in group_rows(rows).items():
        metrics[f'Dice/{name}'] = float(np.mean([row['dice'] for row in members]))
    losses = [row['val_loss_bce'] for row in rows]
    if None not in losses:
        metrics['val_loss_bce'] = float(np.mean(losses))
    return metrics


def format_table(rows: Sequence[Row]) -> str:
    """Draw images, mean, median and worst Dice for each group and for all."""
    table = PrettyTable(['group', 'images', 'Dice', 'median', 'worst', 'worst image'])
    table.align = 'r'
    table.align['group'] = table.align['worst image'] = 'l'
    for name, members in {**group_rows(rows), 'all': rows}.items():
        scores = [row['dice'] for row in members]
        worst = min(members, key=lambda row: row['dice'])
        figures = (np.mean(scores), np.median(scores), worst['dice'])
        table.add_row(
            [name, len(scores), *(f'{x:.4f}' for x in figures), worst['img_id']]
        )
    return table.get_string()


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write one row an image; the file appears whole or not at all."""
    text = io.StringIO(newline='')
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, text.getvalue().encode())
