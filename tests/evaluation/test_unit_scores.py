"""Scores of units against their definitions, written down pixel by pixel."""

import numpy as np
import pytest
from run_masks import runs_of
from scipy import ndimage
from scipy.spatial.distance import cdist

from mmseg_ftu.evaluation.object_hausdorff import HausdorffDistances
from mmseg_ftu.evaluation.unit_scores import UnitScores, score_units
from mmseg_ftu.masks.label_image import objects_of_labels

NAN = float('nan')


def score(prediction, truth, ignored=None):
    """Score two label images."""
    objects = [objects_of_labels(np.asarray(a))[0] for a in (prediction, truth)]
    runs = None if ignored is None else runs_of(np.asarray(ignored))
    return score_units(*objects, runs)


def sets_of(labels):
    """Return the pixels of each label as sets."""
    labels = np.asarray(labels)
    return [
        {*map(tuple, np.argwhere(labels == k))} for k in np.unique(labels[labels > 0])
    ]


def hausdorff(a, b):
    distances = cdist([*a], [*b])
    return max(distances.min(axis=0).max(), distances.min(axis=1).max())


def panoptic(prediction, truth):
    """Return F1, SQ and PQ by their definition."""
    ious = [len(p & t) / len(p | t) for p in prediction for t in truth]
    found = [iou for iou in ious if iou > 0.5]
    wrong, missed = len(prediction) - len(found), len(truth) - len(found)
    if not prediction and not truth:
        return 1, NAN, 1
    f1 = len(found) / (len(found) + wrong / 2 + missed / 2)
    sq = np.mean(found) if found else NAN
    return f1, sq, sum(found) / (len(found) + wrong / 2 + missed / 2)


def contest(segmented, truth):
    """Return F1, object Dice and object Hausdorff by the rules of the contest."""
    if not segmented or not truth:
        equal = float(not segmented and not truth)
        return equal, equal, NAN
    found = 0
    for s in segmented:
        best = max(truth, key=lambda g: len(s & g))
        found += len(s & best) / len(best) > 0.5
    precision, recall = found / len(segmented), found / len(truth)
    f1 = 2 * precision * recall / (precision + recall) if found else 0

    def one_way(objects, others):
        total, dice, distance = sum(map(len, objects)), 0, 0
        for a in objects:
            best = max(others, key=lambda b: len(a & b))
            if a & best:
                dice += len(a) / total * 2 * len(a & best) / (len(a) + len(best))
                distance += len(a) / total * hausdorff(a, best)
            else:
                distance += len(a) / total * min(hausdorff(a, b) for b in others)
        return dice, distance

    ways = one_way(segmented, truth), one_way(truth, segmented)
    return f1, *np.mean(ways, axis=0)


def assert_by_definition(scores, prediction, truth):
    found = (scores.f1, scores.sq, scores.pq)
    assert found == pytest.approx(panoptic(prediction, truth), nan_ok=True)
    found = (scores.contest_f1, scores.object_dice, scores.object_hausdorff)
    assert found == pytest.approx(contest(prediction, truth), nan_ok=True, rel=1e-5)
    assert scores.count_error == len(prediction) - len(truth)


def blobs(seed, shape=(40, 50), share=0.35):
    """Draw random blobs, each with its label."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 2)
    return ndimage.label(noise > np.quantile(noise, 1 - share), np.ones((3, 3)))[0]


@pytest.mark.parametrize('seed', range(6))
def test_blobs(seed):
    truth = blobs(seed)
    moved = np.roll(truth > 0, (seed % 3, 2), (0, 1)) | (
        blobs(seed + 50, share=0.1) > 0
    )
    prediction = ndimage.label(moved, np.ones((3, 3)))[0]
    scores = score(prediction, truth)
    assert_by_definition(scores, sets_of(prediction), sets_of(truth))
    assert scores.found > 0


@pytest.mark.parametrize('seed', range(4))
def test_touching_objects_of_label_images(seed):
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 4, (5, 6)), np.ones((4, 4), int))
    prediction = np.where(rng.random(truth.shape) < 0.8, truth, 0)
    prediction[:8] = np.kron(rng.integers(0, 6, (2, 6)), np.ones((4, 4), int))
    scores = score(prediction, truth)
    assert_by_definition(scores, sets_of(prediction), sets_of(truth))


ROW = np.array([[1, 1, 1, 1, 0, 0, 2, 2, 0, 0]])


@pytest.mark.parametrize(
    ('prediction', 'truth', 'expected'),
    [
        (0 * ROW, 0 * ROW, (1, NAN, 1, 1, 1, NAN, 0)),
        (ROW, 0 * ROW, (0, NAN, 0, 0, 0, NAN, 2)),
        (0 * ROW, ROW, (0, NAN, 0, 0, 0, NAN, -2)),
        (ROW, ROW, (1, 1, 1, 1, 1, 0, 0)),
        # IoU of exactly .5, and exactly half of a true object: neither is enough
        ([[1, 1, 0, 0]], [[1, 1, 1, 1]], (0, NAN, 0, 0, 2 / 3, 2, 0)),
        # a tie: the first of two true objects is the partner, both ways count
        ([[1, 1, 1, 1]], [[1, 1, 2, 2]], (0, NAN, 0, 2 / 3, 2 / 3, 2, -1)),
        # nothing overlaps: the nearest counts
        ([[1, 0, 0, 0, 0, 0]], [[0, 0, 1, 0, 0, 2]], (0, NAN, 0, 0, 0, 2.75, -1)),
    ],
)
def test_by_hand(prediction, truth, expected):
    s = score(prediction, truth)
    found = (s.f1, s.sq, s.pq, s.contest_f1, s.object_dice, s.object_hausdorff)
    assert (*found, s.count_error) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ('prediction', 'truth', 'ignored', 'f1', 'predicted'),
    [
        # more than half ignored, nothing found: it does not count
        ([[1, 1, 1, 0]], [[0, 0, 0, 0]], [[1, 1, 0, 0]], 1, 0),
        # half ignored: it counts
        ([[1, 1, 0, 0]], [[0, 0, 0, 0]], [[1, 0, 0, 0]], 0, 1),
        # more than half ignored, but the rest is a unit: found
        ([[1, 1, 1, 1, 1]], [[0, 0, 0, 1, 1]], [[1, 1, 1, 0, 0]], 1, 1),
        # what is ignored does not divide a unit
        ([[1, 1, 1, 1, 1]], [[1, 1, 0, 1, 1]], [[0, 0, 1, 0, 0]], 1, 1),
    ],
)
def test_ignored_pixels(prediction, truth, ignored, f1, predicted):
    scores = score(prediction, truth, ignored)
    assert (scores.f1, scores.predicted) == (f1, predicted)


@pytest.mark.parametrize('seed', range(3))
def test_ignored_pixels_by_definition(seed):
    rng = np.random.default_rng(seed)
    ignored = ndimage.zoom(rng.random((4, 5)) < 0.3, 10, order=0)
    truth, raw = blobs(seed) * ~ignored, blobs(seed + 90) + 0
    raw[ignored == 0] = np.roll(blobs(seed), 1, 1)[ignored == 0] + 100
    raw[(np.roll(blobs(seed), 1, 1) == 0) & ~ignored] = 0
    kept = []
    for whole in sets_of(raw):
        left = {p for p in whole if not ignored[p]}
        found = any(len(left & t) > 0.5 * len(left | t) for t in sets_of(truth))
        if found or 2 * len(left) >= len(whole):
            kept.append(left)
    assert_by_definition(score(raw, truth, ignored), kept, sets_of(truth))


def test_pooled_scores_are_those_of_one_large_image():
    pairs = [(np.roll(blobs(k), 2, 1), blobs(k)) for k in range(3)]
    pairs[0][0][:20] = 0
    pooled = UnitScores.pool(score(p, t) for p, t in pairs)
    far = 1000  # so that no object of another image is near
    wide = [
        np.concatenate(
            [np.pad(np.where(a, a + 100 * k, 0), ((0, 0), (0, far))) for k, a in parts],
            axis=1,
        )
        for parts in (
            [(k, pair[side]) for k, pair in enumerate(pairs)] for side in (0, 1)
        )
    ]
    one = score(*wide)
    for name in ('f1', 'sq', 'pq', 'contest_f1', 'object_dice', 'object_hausdorff'):
        assert getattr(pooled, name) == pytest.approx(getattr(one, name)), name


def test_nearest_measures_no_more_than_needed():
    labels = np.zeros((40, 400), int)
    for k in range(20):
        labels[5:10, 20 * k : 20 * k + 6] = k + 1
    other = np.zeros_like(labels)
    other[20:26, 200:204] = 1
    one, two = objects_of_labels(labels)[0], objects_of_labels(other)[0]
    distances = HausdorffDistances(one, two)
    expected = min(hausdorff(a, b) for a in sets_of(labels) for b in sets_of(other))
    assert distances.nearest_to(0) == pytest.approx(expected)
    assert len(distances._known) < 5
