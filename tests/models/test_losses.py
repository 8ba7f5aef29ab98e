"""BinaryLoss against formulas written out here, and in mmseg's place in a head."""

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor


def case(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits (2, 1, 6, 7) and masks (2, 6, 7) with some ignored pixels."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 1, 6, 7, generator=generator)
    mask = torch.randint(0, 2, (2, 6, 7), generator=generator)
    mask[:, 0] = 255
    return logits, mask


def dice(p: Tensor, g: Tensor) -> Tensor:
    return 1 - 2 * (p * g).sum() / (p.sum() + g.sum())


def jaccard(p: Tensor, g: Tensor) -> Tensor:
    return 1 - (p * g).sum() / (p.sum() + g.sum() - (p * g).sum())


def tversky(p: Tensor, g: Tensor) -> Tensor:
    hit, false, missed = (p * g).sum(), (p * (1 - g)).sum(), ((1 - p) * g).sum()
    return 1 - hit / (hit + 0.3 * false + 0.7 * missed)


def focal(p: Tensor, g: Tensor) -> Tensor:
    right = torch.where(g == 1, p, 1 - p)
    alpha = torch.where(g == 1, 0.25, 0.75)
    return (-alpha * (1 - right) ** 2 * right.log()).mean()


def lovasz(p: Tensor, g: Tensor) -> Tensor:
    # Definition: sum over sorted hinge errors times the increase of the Jaccard loss
    # of the set of all pixels with at least that error.
    errors = 1 - p.logit() * (2 * g - 1)
    order = errors.argsort(descending=True)
    total, previous = 0.0, 0.0
    for k in range(1, len(order) + 1):
        wrong = torch.zeros(len(g), dtype=torch.bool)
        wrong[order[:k]] = True
        predicted = torch.where(wrong, 1 - g, g)
        union = torch.maximum(predicted, g).sum()
        loss = 1 - (predicted * g).sum() / union
        total += errors[order[k - 1]].clamp(min=0) * (loss - previous)
        previous = loss
    return total


FORMULAS = {
    'dice': (dice, {}),
    'jaccard': (jaccard, {}),
    'tversky': (tversky, dict(alpha=0.3, beta=0.7)),
    'focal': (focal, dict(alpha=0.25, gamma=2.0)),
    'lovasz': (lovasz, dict(per_image=False)),
}
each_kind = pytest.mark.parametrize('kind', list(FORMULAS))


def build(kind: str, **kwargs):
    return MODELS.build(
        dict(type='BinaryLoss', kind=kind, **FORMULAS[kind][1], **kwargs)
    )


@each_kind
def test_equals_the_formula_over_the_pixels_that_count(kind):
    logits, mask = case()
    kept = (mask != 255).flatten()
    p = logits.flatten()[kept].double().sigmoid()
    expected = FORMULAS[kind][0](p, mask.flatten()[kept].double())
    loss = build(kind, loss_weight=3.0)(logits, mask, ignore_index=255)
    assert loss.item() == pytest.approx(3 * expected.item(), rel=1e-4)


@each_kind
def test_a_better_prediction_has_a_lower_loss_and_gradients_point_there(kind):
    _, mask = case()
    truth = (mask == 1).float()[:, None] * 2 - 1
    loss = build(kind)
    values = [loss(scale * truth, mask).item() for scale in (-4, -1, 1, 4)]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1] + 0.1
    logits = torch.zeros_like(truth, requires_grad=True)
    loss(logits, mask).backward()
    kept = (mask != 255)[:, None]
    assert (logits.grad[kept] * truth[kept]).sum() < 0
    assert (logits.grad[~kept] == 0).all()


@each_kind
@pytest.mark.parametrize('label', [0, 1, 255])
def test_uniform_masks_stay_finite(kind, label):
    logits = case()[0].requires_grad_()
    loss = build(kind)(logits, torch.full((2, 6, 7), label))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    if label == 255:
        assert loss == 0


@each_kind
def test_half_precision_logits_are_computed_in_float32(kind):
    logits, mask = case()
    half = logits.half()
    assert build(kind)(half, mask).dtype == torch.float32
    torch.testing.assert_close(build(kind)(half, mask), build(kind)(half.float(), mask))


def test_lovasz_equals_mmsegs():
    logits, mask = case()
    theirs = MODELS.build(
        dict(type='LovaszLoss', loss_type='binary', per_image=False, reduction='none')
    )
    torch.testing.assert_close(
        build('lovasz')(logits, mask), theirs(logits[:, 0], mask, ignore_index=255)
    )


def test_names_and_mistakes():
    assert build('tversky').loss_name == 'loss_tversky'
    assert build('dice', loss_name='loss_overlap').loss_name == 'loss_overlap'
    with pytest.raises(ValueError, match=r"kind='huber'.*dice.*lovasz"):
        MODELS.build(dict(type='BinaryLoss', kind='huber'))
    with pytest.raises(ValueError, match=r"kind='dice'.*bogus"):
        MODELS.build(dict(type='BinaryLoss', kind='dice', bogus=1))
    logits, mask = case()
    with pytest.raises(ValueError, match='got 2 channels'):
        build('dice')(logits.expand(-1, 2, -1, -1), mask)
    with pytest.raises(ValueError, match='remove the sampler'):
        build('dice')(logits, mask, weight=torch.ones(2, 6, 7))
