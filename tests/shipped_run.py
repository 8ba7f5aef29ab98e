"""The quickstart as it ships, made small: for tests of what a real run does.

Data loaders with persistent workers, seeded augmentation, batch norm, dropout, drop
path, the switch and all default hooks are those of the config; the network is slimmer,
crops are of 64 px, and there are four epochs.

Also a script, so that torchrun can start it:
``torchrun --nproc_per_node=2 tests/shipped_run.py WORK_DIR DATA RESULT [KEY=VALUE]``.
"""

import contextlib
import json
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_ftu.engine.runner import build_runner

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
WIDTHS = [16, 16, 24, 24]


@HOOKS.register_module(force=True)
class StopHook(Hook):
    """Stop the run at the beginning of an epoch, as ctrl-C does."""

    def __init__(self, epoch):
        self.epoch = epoch

    def before_train_epoch(self, runner):
        if runner.epoch == self.epoch:
            raise KeyboardInterrupt


@HOOKS.register_module(force=True)
class WatchHook(Hook):
    """Note the learning rate of each epoch, and the saved buffers at validation."""

    priority = 'LOWEST'

    def __init__(self):
        self.rates, self.buffers = [], []

    def before_train_epoch(self, runner):
        self.rates.append(runner.optim_wrapper.get_lr()['lr'][0])

    def before_val_epoch(self, runner):
        model = getattr(runner.model, 'module', runner.model)
        saved = model.state_dict()
        self.buffers.append(
            {k: saved[k].clone() for k, _ in model.named_buffers() if k in saved}
        )


def shipped_config(
    work_dir, root, fold=0, workers=True, ema=False, **overrides
) -> Config:
    """Return the quickstart's config for a prepared folder, made small.

    Without workers it is quicker, for tests of what doesn't depend on them.
    """
    cfg = Config.fromfile(CONFIGS / 'tissue' / 'coat_slim_daformer_switch.py')
    cfg.work_dir = str(work_dir)
    arch = dict(embed_dims=WIDTHS, serial_depths=[1, 1, 1, 1])
    cfg.model.backbone.update(arch=arch, drop_path_rate=0.2)
    head = dict(in_channels=WIDTHS, embed_channels=16, channels=16)
    cfg.model.decode_head.update(head)
    cfg.model.auxiliary_head.in_channels = WIDTHS
    for kind in ('train', 'val', 'test'):
        loader = cfg[f'{kind}_dataloader']
        loader.dataset.update(data_root=str(root), fold=fold)
        if not workers:
            loader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.pipeline[2].transforms[0].size = (64, 64)
    cfg.train_cfg.update(max_epochs=4, val_interval=1)
    cfg.custom_hooks[0].schedule[1].begin = 2
    cfg.custom_hooks.append(dict(type='WatchHook'))
    if ema:
        cfg.custom_hooks.append(dict(type='EMAHook', momentum=0.2))
    cfg.param_scheduler[0].end = cfg.param_scheduler[1].begin = 1
    cfg.param_scheduler[1].end = 4
    cfg.vis_backends = cfg.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    cfg.log_level = 'WARNING'
    # no longer needed, and mmengine prettifies the whole text for each checkpoint
    for name in list(cfg):
        if name.endswith('_pipeline') or name in ('augmentations', 'meta_keys'):
            cfg.pop(name)
    cfg.merge_from_dict(overrides)
    return cfg


def build(cfg: Config) -> Runner:
    """Build the runner as the tools do, under a name that no other has."""
    build.count = getattr(build, 'count', 0) + 1
    cfg.experiment_name = f'{Path(cfg.work_dir).name}_{build.count}'
    return build_runner(cfg)


def end_workers(runner: Runner) -> None:
    """End the workers of data loaders; collected as garbage they wait for 5 s each."""
    for loop in (runner._train_loop, runner._val_loop, runner._test_loop):
        iterator = getattr(getattr(loop, 'dataloader', None), '_iterator', None)
        if iterator is not None:
            iterator._shutdown_workers()


def log_of(cfg: Config) -> str:
    """Return all that was logged in a work dir."""
    logs = sorted(Path(cfg.work_dir).glob('*/*.log'))
    return '\n'.join(log.read_text() for log in logs)


def watched(runner: Runner) -> WatchHook:
    """Return the runner's `WatchHook`."""
    return next(hook for hook in runner.hooks if isinstance(hook, WatchHook))


if __name__ == '__main__':
    work_dir, data, result, *options = sys.argv[1:]
    options = {k: json.loads(v) for k, _, v in (o.partition('=') for o in options)}
    stop = options.pop('stop', None)
    config = shipped_config(work_dir, data, launcher='pytorch', **options)
    if stop:
        config.custom_hooks.append(dict(type='StopHook', epoch=stop))
    run = build(config)
    with contextlib.suppress(KeyboardInterrupt):
        run.train()
    torch.save(
        dict(
            buffers=watched(run).buffers,
            best=run.message_hub.get_info('best_score'),
        ),
        f'{result}.{run.rank}',
    )
