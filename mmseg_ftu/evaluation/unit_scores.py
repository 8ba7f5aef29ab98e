"""Scores of units, not of pixels: are they found, how well, and how many.

F1 and panoptic quality: a unit is found where a predicted one overlaps it with an IoU
above .5, which no two can (Kirillov et al., arXiv 1801.00868).

Object F1, Dice and Hausdorff distance of the GlaS contest: each object is compared with
the one that overlaps it most, both ways, weighted by area (Sirinukunwattana et al.,
arXiv 1603.00275; https://warwick.ac.uk/fac/cross_fac/tia/data/glascontest/evaluation).
Deviation: where one mask is empty, the distance is not defined rather than infinite.

Ignored pixels belong to no unit. A predicted unit that is ignored by more than half and
found nothing does not count, as in panoptic quality.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass

import numpy as np

from mmseg_ftu.evaluation.object_hausdorff import HausdorffDistances
from mmseg_ftu.masks.clip_objects import clip_objects
from mmseg_ftu.masks.objects import Objects, find_objects
from mmseg_ftu.masks.overlaps import Overlaps, overlaps
from mmseg_ftu.masks.run_mask import RunMask

LEAST_IOU = 0.5  # exclusive: then no unit is found twice
LEAST_SHARE = 0.5  # of a true object, exclusive, in the contest


@dataclass(frozen=True)
class UnitScores:
    """Counts and sums of one image or of many, and the scores that they give.

    Attributes:
        truth: Number of true units.
        predicted: Number of predicted units.
        found: Number of true units that were found, IoU above .5.
        iou: Sum of their IoU.
        contest_found: Number of predicted units that hold more than half of the true
            one that they overlap most.
        predicted_area: Area of predicted units, px.
        truth_area: Area of true units, px.
        predicted_dice: Sum over predicted units of area x Dice with the true one.
        truth_dice: Sum over true units of area x Dice with the predicted one.
        predicted_weight: Area of predicted units with a distance, px.
        truth_weight: Area of true units with a distance, px.
        predicted_distance: Sum over predicted units of area x Hausdorff distance, px.
        truth_distance: The same over true units.
    """

    truth: int = 0
    predicted: int = 0
    found: int = 0
    iou: float = 0.0
    contest_found: int = 0
    predicted_area: float = 0.0
    truth_area: float = 0.0
    predicted_dice: float = 0.0
    truth_dice: float = 0.0
    predicted_weight: float = 0.0
    truth_weight: float = 0.0
    predicted_distance: float = 0.0
    truth_distance: float = 0.0

    @property
    def count_error(self) -> int:
        """Predicted units less true ones."""
        return self.predicted - self.truth

    @property
    def f1(self) -> float:
        """F1 at IoU .5, also the detection quality DQ; 1 if there are no units."""
        return self._f1(self.found)

    @property
    def sq(self) -> float:
        """Segmentation quality: mean IoU of what was found; NaN if nothing was."""
        return self.iou / self.found if self.found else np.nan

    @property
    def pq(self) -> float:
        """Panoptic quality, DQ x SQ; 1 if there are no units, in either mask."""
        return self.f1 * self.sq if self.found else self.f1

    @property
    def contest_f1(self) -> float:
        """F1 by the rules of the GlaS contest; 1 if there are no units."""
        return self._f1(self.contest_found)

    @property
    def object_dice(self) -> float:
        """Object Dice; 1 if there are no units, 0 if they are in one mask only."""
        if not (self.truth and self.predicted):
            return float(self.truth == self.predicted)
        both = self.predicted_dice / self.predicted_area
        return (both + self.truth_dice / self.truth_area) / 2

    @property
    def object_hausdorff(self) -> float:
        """Object Hausdorff distance; NaN unless there are units in both masks."""
        if not (self.predicted_weight and self.truth_weight):
            return np.nan
        both = self.predicted_distance / self.predicted_weight
        return (both + self.truth_distance / self.truth_weight) / 2

    def _f1(self, found: int) -> float:
        total = self.truth + self.predicted
        return 2 * found / total if total else 1.0

    @classmethod
    def pool(cls, scores: Iterable['UnitScores']) -> 'UnitScores':
        """Return the scores of all units of several images, as if they were one."""
        sums = [sum(column) for column in zip(*map(astuple, scores), strict=True)]
        return cls(*sums)


def score_units(
    prediction: Objects,
    truth: Objects,
    ignored: RunMask | None = None,
    with_hausdorff: bool = True,
    divided: bool = False,
) -> UnitScores:
    """Score the units of an image.

    Args:
        prediction: Predicted units.
        truth: True units, without ignored pixels.
        ignored: Pixels that are ignored.
        with_hausdorff: Compute the Hausdorff distance too, by far the slowest.
        divided: Let ignored pixels divide predicted units, as they divide true ones
            that are connected objects of a mask.
    """
    if ignored is not None and len(ignored):
        prediction = _counted(prediction, truth, ignored, divided)
    pairs = overlaps(prediction, truth)
    iou = _iou(pairs, prediction.area, truth.area)
    best, share = _most_overlapping(pairs, len(prediction))
    back = Overlaps(pairs.other, pairs.one, pairs.area)
    best_back, share_back = _most_overlapping(back, len(truth))
    sums: dict[str, float] = {}
    if with_hausdorff and len(prediction) and len(truth):
        distances = HausdorffDistances(prediction, truth)
        ahead = [
            distances.between(i, j) if j >= 0 else distances.nearest(i)
            for i, j in enumerate(best.tolist())
        ]
        behind = [
            distances.between(i, j) if i >= 0 else distances.nearest_to(j)
            for j, i in enumerate(best_back.tolist())
        ]
        sums = dict(
            predicted_weight=float(prediction.area.sum()),
            truth_weight=float(truth.area.sum()),
            predicted_distance=float(prediction.area @ ahead),
            truth_distance=float(truth.area @ behind),
        )
    is_found = iou > LEAST_IOU
    overlapping = best >= 0
    of_best = share[overlapping] / truth.area[best[overlapping]]
    return UnitScores(
        truth=len(truth),
        predicted=len(prediction),
        found=int(is_found.sum()),
        iou=float(iou[is_found].sum()),
        contest_found=int((of_best > LEAST_SHARE).sum()),
        predicted_area=float(prediction.area.sum()),
        truth_area=float(truth.area.sum()),
        predicted_dice=_dice_sum(prediction.area, truth.area, best, share),
        truth_dice=_dice_sum(truth.area, prediction.area, best_back, share_back),
        **sums,
    )


def _counted(
    prediction: Objects, truth: Objects, ignored: RunMask, divided: bool
) -> Objects:
    """Return the predicted units that count, without ignored pixels."""
    area = overlaps(prediction, find_objects(ignored))
    lost = np.bincount(area.one, area.area, len(prediction))
    counts = (lost <= prediction.area / 2)[lost < prediction.area]
    units = clip_objects(prediction.select(lost < prediction.area), ignored.gaps())
    if divided:
        parts = find_objects(units.mask)
        _, first = np.unique(parts.labels, return_index=True)
        units, counts = parts, counts[units.labels[first]]
    pairs = overlaps(units, truth)
    iou = _iou(pairs, units.area, truth.area)
    counts[pairs.one[iou > LEAST_IOU]] = True
    return units.select(counts)


def _iou(pairs: Overlaps, areas: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the IoU of each pair, (P,)."""
    union = areas[pairs.one] + others[pairs.other] - pairs.area
    iou: np.ndarray = pairs.area / union
    return iou


def _most_overlapping(pairs: Overlaps, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the other object that each overlaps most, and by how much, px.

    The first of equal ones counts; -1 and 0 where there is none.
    """
    order = np.lexsort((pairs.other, -pairs.area, pairs.one))
    one, first = np.unique(pairs.one[order], return_index=True)
    best, area = np.full(count, -1), np.zeros(count)
    best[one], area[one] = pairs.other[order][first], pairs.area[order][first]
    return best, area


def _dice_sum(
    areas: np.ndarray, others: np.ndarray, best: np.ndarray, shared: np.ndarray
) -> float:
    """Return the sum of area x Dice with the most overlapping object."""
    some = best >= 0
    dice = 2 * shared[some] / (areas[some] + others[best[some]])
    return float(areas[some] @ dice)
