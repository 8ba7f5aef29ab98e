"""What ``tools/train.py`` and ``tools/test.py`` do, callable from Python.

The arguments are those of mmseg's own tools.
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.fileio import exists
from mmengine.runner import Runner

from mmseg_ftu.engine.config_thresholds import fill_in_thresholds, set_thresholds
from mmseg_ftu.engine.model_folder import is_model_folder
from mmseg_ftu.engine.override_config import override_config
from mmseg_ftu.engine.read_config import read_config
from mmseg_ftu.engine.scale_epochs import scale_epochs
from mmseg_ftu.engine.work_dir import (
    alone_in,
    dataset_configs,
    default_work_dir,
    refuse_unheard,
)
from mmseg_ftu.io.own_files import (
    ListedFolder,
    lies_in,
    refuse_nesting,
)
from mmseg_ftu.prepared_folder import TABLE, FolderPaths


def train(
    config: str,
    work_dir: str | None = None,
    resume: bool = False,
    amp: bool = False,
    cfg_options: dict[str, Any] | None = None,
    launcher: str = 'none',
    epochs: int | None = None,
    compile: bool = False,
) -> Runner:
    """Train a segmentor.

    Args:
        config: Path of the config.
        work_dir: Folder for logs and checkpoints; None takes `default_work_dir`.
        resume: Go on from the newest intact checkpoint in ``work_dir``.
        amp: Train in mixed precision, see `use_amp`.
        cfg_options: Settings that override the config's, dotted keys.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.
        epochs: Number of epochs, with schedules to match, see `scale_epochs`; None
            is that of the config.
        compile: Compile the network, see ``CompileNetworkHook``.

    Returns:
        The runner, after training.

    Raises:
        ValueError: If the work dir holds checkpoints and ``resume`` is not given, none
            of them is intact, another process trains there, the data are not prepared,
            or the config cannot be scaled to ``epochs``.
        FloatingPointError: If the loss or the weights become infinite or NaN.
    """
    if is_model_folder(config):
        raise ValueError(
            f'{config}: a model folder has no data to train on: give a config of your '
            'own, and the folder as load_from (--cfg-options load_from=...)'
        )
    cfg = load_config(config, work_dir, cfg_options, launcher)
    refuse_run_in_data(cfg)
    refuse_unprepared_data(cfg, 'train_dataloader', 'val_dataloader')
    if not resume:
        refuse_other_run(cfg.work_dir)
    if epochs is not None:
        scale_epochs(cfg, epochs)
    if amp:
        use_amp(cfg)
    if compile:
        hooks = cfg.setdefault('default_hooks', {})  # of mmseg's own configs, too
        hooks['compile_network'] = dict(type='CompileNetworkHook')
    cfg.resume = resume
    with alone_in(Path(cfg.work_dir), launcher):
        if not resume:
            refuse_other_run(cfg.work_dir)  # of a process that has ended just now
        runner = build_runner(cfg)
        runner.train()
    return runner


def evaluate(
    config: str,
    checkpoint: str,
    work_dir: str | None = None,
    out: str | None = None,
    show: bool = False,
    show_dir: str | None = None,
    wait_time: float = 2,
    cfg_options: dict[str, Any] | None = None,
    launcher: str = 'none',
    tta: bool = False,
    thresholds: str | None = None,
) -> dict[str, float]:
    """Evaluate a checkpoint.

    Args:
        config: Path of the config.
        checkpoint: Path or URL of the weights.
        work_dir: Folder for logs; None takes `default_work_dir`.
        out: Folder for predicted masks and the per-image table; new, empty or made
            by an earlier test.
        show: Show each prediction in a window.
        show_dir: Folder for a picture of each prediction, ``<id>.png``: mask (green)
            and prediction (yellow, at the threshold that scores it) outlined. New,
            empty or made by an earlier test.
        wait_time: How long each window stays (s).
        cfg_options: Settings that override the config's, dotted keys.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.
        tta: Average over the views of the config's ``tta_pipeline``.
        thresholds: JSON of thresholds to use instead of the config's, see
            ``mmseg_ftu.evaluation.load_thresholds``; ``cfg_options`` for
            ``test_evaluator.thresholds`` override it.

    Returns:
        The metrics.

    Raises:
        ValueError: If the folder of data is not prepared, or ``out`` or ``show_dir``
            holds files of others, or lies in the data or they in it.
    """
    if is_model_folder(config):
        raise ValueError(
            f'{config}: a model folder has no data to test on: give your own config '
            'and the folder as its checkpoint, or `predict` and `evaluate`'
        )
    cfg = load_config(config, work_dir, cfg_options, launcher)
    refuse_unprepared_data(cfg, 'test_dataloader')
    cfg.load_from = checkpoint
    hooks = cfg.setdefault('default_hooks', {})  # of mmseg's own configs, too
    hooks.setdefault('check_weights', dict(type='CheckWeightsHook'))
    for folder in filter(None, (out, show_dir)):
        refuse_nesting(Path(folder), data_folders(cfg))
        ListedFolder(Path(folder))
    if show or show_dir:
        hook = dict(type='DrawPredictionsHook', draw=True, folder=show_dir)
        cfg.default_hooks.visualization = hook | dict(show=show, wait_time=wait_time)
    if tta:
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.model = dict(cfg.tta_model, module=cfg.model)
    if out is not None:
        cfg.test_evaluator.output_dir = out
    if thresholds is not None:
        set_thresholds(cfg, thresholds, cfg_options)
    metrics: dict[str, float] = build_runner(cfg).test()
    return metrics


def refuse_other_run(work_dir: str) -> None:
    """Raise ValueError if a folder holds checkpoints, which a new run would replace."""
    kinds = ('epoch_*.pth', 'iter_*.pth', 'best_*.pth')
    found = sorted(p.name for kind in kinds for p in Path(work_dir).glob(kind))
    if found:
        raise ValueError(
            f'{work_dir} holds the checkpoints of an earlier run ({", ".join(found)}): '
            'go on with it by --resume, name another --work-dir, or remove them'
        )


def refuse_run_in_data(cfg: Config) -> None:
    """Raise ValueError if the work dir lies in a folder of images."""
    for folder in data_folders(cfg, 'train_dataloader'):
        if lies_in(Path(cfg.work_dir), folder):
            raise ValueError(
                f'--work-dir {cfg.work_dir} lies in the data, {folder}: name another'
            )


def refuse_unprepared_data(cfg: Config, *loaders: str) -> None:
    """Raise ValueError if a folder of ours is not prepared.

    The data sets say the same, but only after mmengine has printed the whole config.
    """
    for part in (part for name in loaders for part in dataset_configs(cfg.get(name))):
        if part.get('type') == 'HuBMAPDataset' and part.get('data_root'):
            paths = FolderPaths(Path(part.data_root), part.get('ann_file', TABLE))
            paths.require_finished(
                partial(exists, backend_args=part.get('backend_args'))
            )


def data_folders(cfg: Config, loader: str = 'test_dataloader') -> list[Path]:
    """Return the folders that a loader of a config reads."""
    dataset = cfg[loader].dataset
    parts = dataset.get('datasets') or [dataset]
    return [Path(part.data_root) for part in parts if part.get('data_root')]


def load_config(
    config: str,
    work_dir: str | None = None,
    cfg_options: dict[str, Any] | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config and apply what the command line says.

    Raises:
        ValueError: If ``cfg_options`` hold a ``fold`` or a ``data_root`` that reaches
            no data set, or the fold is not a number.
    """
    cfg = read_config(config)
    fill_in_thresholds(cfg)
    cfg.launcher = launcher
    override_config(cfg, cfg_options)
    for name, variable in (('fold', 'FOLD'), ('data_root', 'FTU_DATA')):
        if name in (cfg_options or {}):
            refuse_unheard(cfg, name, variable)
    cfg.work_dir = work_dir or cfg.get('work_dir') or default_work_dir(cfg, config)
    return cfg


def use_amp(cfg: Config) -> None:
    """Switch the config's optimizer wrapper to automatic mixed precision.

    That is float16 with loss scaling on an accelerator, bfloat16 on a CPU.
    """
    wrapper = cfg.optim_wrapper.setdefault('type', 'OptimWrapper')
    if wrapper not in ('OptimWrapper', 'AmpOptimWrapper', 'Bf16OptimWrapper'):
        raise ValueError(f'--amp can not be combined with optim_wrapper.type={wrapper}')
    if get_device() == 'cpu' or wrapper == 'Bf16OptimWrapper':
        cfg.optim_wrapper.type = 'Bf16OptimWrapper'
        cfg.optim_wrapper.when = 'always'
        for name in ('loss_scale', 'dtype', 'use_fsdp'):  # of AmpOptimWrapper
            cfg.optim_wrapper.pop(name, None)
        return
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def build_runner(cfg: Config) -> Runner:
    """Build the runner, with distributed CPUs set up."""
    if cfg.get('launcher') == 'pytorch' and get_device() == 'cpu':
        distribute_over_cpus(cfg)
    return TrackedRunner.from_cfg(cfg)


class TrackedRunner(Runner):
    """A runner whose config in the work dir is that of what was trained there.

    mmengine writes the config when a runner is made. One that is to resume then
    replaces the record of the run although its checkpoint is refused a moment later.
    """

    def dump_config(self) -> None:
        """Write the config; where a run goes on, not before its checkpoint fits."""
        if not self._resume:
            super().dump_config()

    def load_or_resume(self) -> None:
        """Load the checkpoint, then write the config of a run that goes on."""
        super().load_or_resume()
        if self._resume:
            super().dump_config()


def distribute_over_cpus(cfg: Config) -> None:
    """Let ``torchrun`` processes without an accelerator talk through gloo.

    mmengine's own set-up calls CUDA whatever the machine has.
    """
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
