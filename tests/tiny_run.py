"""A real Runner on a tiny model, for tests of what happens during training.

Also a script, so that torchrun can start it:
``torchrun --nproc_per_node=2 tests/tiny_run.py WORK_DIR [OPTIONS]``, options as JSON.
"""

import json
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModule
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, HOOKS, MODELS
from mmseg.structures import SegDataSample
from torch import nn
from torch.utils.data import Dataset

from mmseg_ftu.engine.runner import build_runner
from mmseg_ftu.switched_aux_loss import find_auxiliary_head

WIDTHS = [8, 12, 16]
NO_DROPOUT = 'model.decode_head.dropout_ratio'
SCHEDULE = [dict(begin=0, in_index=1), dict(begin=2, in_index=0)]


@MODELS.register_module(force=True)
class TinyEncoder(BaseModule):
    """Three serial convolutions with strides 2, 4 and 8."""

    def __init__(self):
        super().__init__()
        widths = [3, *WIDTHS]
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.GELU())
            for a, b in zip(widths, WIDTHS, strict=False)
        )

    def forward(self, x):
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


@DATASETS.register_module(force=True)
class Squares(Dataset):
    """Images of 32 x 32 with a bright square; a function of the index only."""

    metainfo = dict(classes=('background', 'ftu'), palette=[[0, 0, 0], [255, 0, 0]])

    def __init__(self, length=8, ignore=False):
        self.length = length
        self.ignore = ignore

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(0, 100, (3, 32, 32), generator=generator)
        mask = torch.zeros(1, 32, 32, dtype=torch.int64)
        top, left = torch.randint(0, 16, (2,), generator=generator).tolist()
        mask[:, top : top + 12, left : left + 12] = 1
        image += 120 * mask
        if self.ignore:
            mask[:, :, :4] = 255
        sample = SegDataSample(gt_sem_seg=PixelData(data=mask))
        organ = 'kidney' if index % 2 else 'lung'
        sample.set_metainfo(
            dict(
                img_id=str(index),
                img_path=f'{index}.png',
                organ=organ,
                data_source='HPA',
                ori_shape=(32, 32),
                img_shape=(32, 32),
                pad_shape=(32, 32),
            )
        )
        return dict(inputs=image.to(torch.uint8), data_samples=sample)


@HOOKS.register_module(force=True)
class InterruptHook(Hook):
    """Stop the run at the beginning of an epoch, as ctrl-C does."""

    def __init__(self, epoch):
        self.epoch = epoch

    def before_train_epoch(self, runner):
        if runner.epoch == self.epoch:
            raise KeyboardInterrupt


@HOOKS.register_module(force=True)
class RecordHook(Hook):
    """Note the stems' weights at the start and, with the stages, after each epoch."""

    priority = 'LOWEST'

    def __init__(self):
        self.stages, self.stems, self.logged, self.weights = [], [], [], []

    def before_train(self, runner):
        self.note_stems(runner)

    def after_train_epoch(self, runner):
        self.note_stems(runner)
        self.stages.append(find_auxiliary_head(runner.model).in_index)
        scalar = runner.message_hub.get_scalar('train/aux_in_index')
        self.logged.append(scalar.current())
        self.weights.append(runner.message_hub.get_scalar('train/aux_weight').current())

    def note_stems(self, runner):
        stems = find_auxiliary_head(runner.model).stems
        self.stems.append([stem.weight.detach().clone() for stem in stems])


def tiny_config(work_dir, **overrides) -> Config:
    """Return the config of a run of 4 epochs that switches after 2."""

    def loader(batch_size, shuffle, length):
        return dict(
            batch_size=batch_size,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=shuffle),
            dataset=dict(type='Squares', length=length),
            collate_fn=dict(type='pseudo_collate'),
        )

    cfg = Config(
        dict(
            default_scope='mmseg',
            work_dir=str(work_dir),
            model=dict(
                type='BinaryEncoderDecoder',
                data_preprocessor=dict(
                    type='SegDataPreProcessor',
                    mean=[128] * 3,
                    std=[64] * 3,
                    size_divisor=1,
                ),
                backbone=dict(type='TinyEncoder'),
                decode_head=dict(
                    type='FCNHead',
                    in_channels=WIDTHS[-1],
                    in_index=2,
                    channels=8,
                    num_convs=1,
                    dropout_ratio=0.1,
                    num_classes=2,
                    out_channels=1,
                    threshold=0.5,
                    loss_decode=dict(
                        type='CrossEntropyLoss',
                        use_sigmoid=True,
                        avg_non_ignore=True,
                        loss_name='loss_bce',
                    ),
                ),
                auxiliary_head=dict(
                    type='AuxiliaryHead',
                    in_channels=WIDTHS,
                    in_index=1,
                    loss_weight=0.2,
                ),
                train_cfg=dict(),
                test_cfg=dict(mode='whole'),
            ),
            train_dataloader=loader(4, True, 8),
            val_dataloader=loader(2, False, 5),
            val_evaluator=dict(type='FTUDiceMetric'),
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=4, val_interval=1),
            val_cfg=dict(type='ValLoop'),
            optim_wrapper=dict(
                type='OptimWrapper',
                optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.1),
            ),
            param_scheduler=[
                dict(
                    type='ReduceOnPlateauLR',
                    monitor='val_loss_bce',
                    patience=0,
                    factor=0.5,
                    threshold=0.5,
                )
            ],
            default_hooks=dict(
                checkpoint=dict(
                    type='ResumableCheckpointHook', save_best='Dice', rule='greater'
                ),
                epoch_seed=dict(type='EpochSeedHook'),
                check_finite=dict(type='CheckFiniteLossHook'),
                check_weights=dict(type='CheckWeightsHook'),
            ),
            custom_hooks=[
                dict(type='SwitchAuxHook', schedule=SCHEDULE),
                dict(type='RecordHook'),
            ],
            randomness=dict(seed=0),
            find_unused_parameters=True,
            log_level='WARNING',
            experiment_name=f'tiny_{abs(hash(str(work_dir)))}',
        )
    )
    cfg.merge_from_dict(overrides)
    return cfg


def build(cfg: Config) -> Runner:
    """Build the runner as the tools do, with a random but fixed initialisation."""
    torch.manual_seed(0)
    return build_runner(cfg)


def hook_of(runner: Runner, kind: type):
    """Return the runner's hook of a type."""
    return next(hook for hook in runner.hooks if isinstance(hook, kind))


def gradient_norms(runner: Runner) -> dict[str, list[float]]:
    """Return what `GradientNormHook` logged, by name."""
    scalars = runner.message_hub.log_scalars.items()
    return {k: v.data[0].tolist() for k, v in scalars if k.startswith('grad_')}


if __name__ == '__main__':
    folder = Path(sys.argv[1])
    options = json.loads(sys.argv[2]) if sys.argv[2:] else {}
    config = tiny_config(folder, launcher='pytorch', **{NO_DROPOUT: 0.0}, **options)
    config.train_dataloader.batch_size = 2
    config.default_hooks.checkpoint = None
    run = build(config)
    run.train()
    record = hook_of(run, RecordHook)
    metrics = run.val_loop.run()
    if run.rank == 0:
        torch.save(
            dict(
                state=run.model.module.state_dict(),
                stages=record.stages,
                metrics=metrics,
                norms=gradient_norms(run),
            ),
            folder / 'result.pt',
        )
