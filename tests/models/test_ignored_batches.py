"""A batch without a pixel that counts has the loss 0, and training goes on."""

import json

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmseg.registry import DATASETS, HOOKS, MODELS
from slim_models import CONFIGS
from tiny_run import WIDTHS, Squares, build, hook_of, tiny_config

from mmseg_ftu.models.losses import KINDS

BCE = dict(
    type='CrossEntropyLoss',
    use_sigmoid=True,
    avg_non_ignore=True,
    loss_name='loss_bce',
)
LOSSES = {
    'bce': BCE,
    'bce over all pixels': dict(BCE, avg_non_ignore=False),
    'lovasz of mmseg': dict(
        type='LovaszLoss', loss_type='binary', per_image=True, loss_name='loss_lovasz'
    ),
    **{kind: dict(type='BinaryLoss', kind=kind) for kind in KINDS},
    'lovasz of each image': dict(type='BinaryLoss', kind='lovasz', per_image=True),
    'several': [BCE, dict(type='BinaryLoss', kind='dice', loss_weight=0.5)],
}
AUXILIARY = [
    dict(type='AuxiliaryHead', in_channels=WIDTHS, in_index=1, loss_weight=0.2),
    dict(
        type='FCNHead',
        in_channels=WIDTHS[1],
        in_index=1,
        channels=8,
        num_convs=1,
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=BCE,
    ),
]


@DATASETS.register_module(force=True)
class HalfIgnored(Squares):
    """Squares, the first half of them ignored all over."""

    def __getitem__(self, index):
        item = super().__getitem__(index)
        if index < self.length // 2:
            item['data_samples'].gt_sem_seg.data.fill_(255)
        return item


@HOOKS.register_module(force=True)
class NoteLossHook(Hook):
    """Note the loss and the weights after each step."""

    def __init__(self):
        self.losses, self.finite = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(outputs['loss'].item())
        weights = runner.model.parameters()
        self.finite.append(all(torch.isfinite(w).all() for w in weights))


def shipped_losses():
    """Return the different losses of the shipped configs."""
    paths = sorted(CONFIGS.glob('[!_]*/*.py'))
    found = [Config.fromfile(p).model.decode_head.loss_decode for p in paths]
    return [json.loads(text) for text in sorted({json.dumps(loss) for loss in found})]


def batch(indices):
    """Return what ``train_step`` takes; the first four are ignored all over."""
    items = [HalfIgnored()[i] for i in indices]
    return {key: [item[key] for item in items] for key in ('inputs', 'data_samples')}


def backward(model, data):
    """Return the losses and the gradients of a batch, by name."""
    model.zero_grad()
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    named = model.named_parameters()
    return losses, {name: p.grad for name, p in named if p.grad is not None}


@pytest.mark.parametrize(
    'loss', [*LOSSES.values(), *shipped_losses()], ids=lambda loss: str(loss)[:60]
)
def test_all_ignored_gives_zero_and_zero_gradients(loss, tmp_path):
    cfg = tiny_config(tmp_path).model
    cfg.decode_head.loss_decode = loss
    cfg.auxiliary_head = AUXILIARY
    model = MODELS.build(cfg).train()
    usual, gradients = backward(model, batch([4, 5]))
    losses, zeros = backward(model, batch([0, 1]))
    assert set(losses) == set(usual)
    assert [value.item() for value in losses.values()] == [0] * len(losses)
    # distributed training waits for the gradients of all parameters
    assert set(zeros) == set(gradients)
    assert all((gradient == 0).all() for gradient in zeros.values())
    assert any(gradient.abs().sum() > 0 for gradient in gradients.values())


@pytest.mark.parametrize('loss', LOSSES.values(), ids=list(LOSSES))
def test_an_ignored_image_leaves_the_others_of_the_batch(loss, tmp_path):
    cfg = tiny_config(tmp_path, **{'model.decode_head.dropout_ratio': 0}).model
    cfg.decode_head.loss_decode = loss
    model = MODELS.build(cfg).train()
    losses, gradients = backward(model, batch([0, 5]))
    assert all(torch.isfinite(value) for value in losses.values())
    assert sum(value.item() for value in losses.values()) > 0
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())


@pytest.mark.parametrize('auxiliary', AUXILIARY, ids=lambda head: head['type'])
def test_a_run_goes_on(auxiliary, tmp_path):
    cfg = tiny_config(tmp_path)
    cfg.model.auxiliary_head = auxiliary
    cfg.train_dataloader.dataset.type = 'HalfIgnored'
    cfg.train_dataloader.sampler.shuffle = False
    cfg.train_cfg.max_epochs = 2
    cfg.custom_hooks = [dict(type='NoteLossHook')]
    runner = build(cfg)
    runner.train()
    note = hook_of(runner, NoteLossHook)
    assert [loss == 0 for loss in note.losses] == [True, False, True, False]
    assert all(note.finite)
    assert 0 <= runner.val_loop.run()['Dice'] <= 1
