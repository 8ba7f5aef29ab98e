"""Draw predictions as they were scored: with the threshold of organ and source."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.evaluator import Evaluator
from mmengine.fileio import get
from mmengine.runner import Runner
from mmseg.engine import SegVisualizationHook
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample

from mmseg_ftu.evaluation.ftu_dice_metric import FTUDiceMetric, name_of
from mmseg_ftu.io.atomic_files import write_png
from mmseg_ftu.io.own_files import ListedFolder
from mmseg_ftu.masks.draw_outlines import (
    MASK_COLOUR,
    PREDICTION_COLOUR,
    draw_outlines,
)


@HOOKS.register_module()
class DrawPredictionsHook(SegVisualizationHook):
    """mmseg's ``SegVisualizationHook`` with outlines of what ``FTUDiceMetric`` scores.

    Green is the mask, yellow the prediction. mmseg's hook draws the prediction at the
    decode head's threshold, whatever the metric's is, and paints over the image, so
    that a black background leaves nearly nothing of the tissue.

    Runs after each batch of a test (``after_test_iter``), and in every ``interval``-th
    of a validation (``after_val_iter``) for its first image.

    Args:
        draw: Draw at all.
        folder: Folder for a picture of each tested image, ``<id>.png``; None passes
            them to the back ends of the visualizer, as mmseg does.
        **kwargs: Arguments of mmseg's ``SegVisualizationHook``.

    Raises:
        ValueError: If the folder holds files that this hook did not write.
    """

    def __init__(
        self, draw: bool = False, folder: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(draw=draw, **kwargs)
        self.folder = ListedFolder(Path(folder)) if folder else None

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any],
        outputs: Sequence[SegDataSample],
    ) -> None:
        """Draw the first image of a batch now and then."""
        step = runner.iter + batch_idx
        if self.draw and step % self.interval == 0:
            threshold = threshold_of(outputs[0], runner.val_loop.evaluator)
            self._put(outputs[0], threshold, f'val_{name_of(outputs[0])}', step)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any],
        outputs: Sequence[SegDataSample],
    ) -> None:
        """Draw every image."""
        for sample in outputs if self.draw else ():
            self._test_index += 1
            threshold = threshold_of(sample, runner.test_loop.evaluator)
            self._put(sample, threshold, name_of(sample), self._test_index, self.folder)

    def _put(
        self,
        sample: SegDataSample,
        threshold: float | None,
        name: str,
        step: int,
        folder: ListedFolder | None = None,
    ) -> None:
        """Draw an image, and show or keep it."""
        content = get(sample.img_path, backend_args=self.backend_args)
        image = mmcv.imfrombytes(content, channel_order='rgb')
        picture = draw_prediction(image, sample, threshold)
        if self.show:
            self._visualizer.show(picture, win_name=name, wait_time=self.wait_time)
        if folder is not None:
            folder.write(f'{name}.png', partial(write_png, pixels=picture))
        else:
            self._visualizer.add_image(name, picture, step)


def threshold_of(sample: SegDataSample, evaluator: Evaluator) -> float | None:
    """Return the threshold that a sample is scored at, None without the metric."""
    metrics = (m for m in evaluator.metrics if isinstance(m, FTUDiceMetric))
    metric = next(metrics, None)
    return metric and metric.threshold_of(sample)


def draw_prediction(
    image: np.ndarray, sample: SegDataSample, threshold: float | None = None
) -> np.ndarray:
    """Outline mask (green) and prediction (yellow) on an image.

    Args:
        image: RGB uint8 of shape (H, W, 3); left as it is.
        sample: Sample with ``gt_sem_seg`` if there is a mask, with ``pred_sem_seg`` and
            with probabilities in ``seg_logits``, each of shape (1, h, w).
        threshold: Probability above which a pixel is foreground; None takes
            ``pred_sem_seg``.

    Returns:
        RGB uint8 of shape (H, W, 3).
    """
    if threshold is None:
        prediction = sample.pred_sem_seg.data[0]
    else:
        prediction = sample.seg_logits.data[0] > threshold
    picture = image
    if 'gt_sem_seg' in sample:
        mask = sample.gt_sem_seg.data[0] == 1  # 255 is ignored
        picture = draw_outlines(picture, mask.cpu().numpy(), MASK_COLOUR)
    return draw_outlines(picture, prediction.cpu().numpy(), PREDICTION_COLOUR)
