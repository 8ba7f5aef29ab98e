"""What ``tools/train.py`` and ``tools/test.py`` do, callable from Python.

The arguments are those of mmseg's own tools.
"""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner


def train(
    config: str,
    work_dir: str | None = None,
    resume: bool = False,
    amp: bool = False,
    cfg_options: dict | None = None,
    launcher: str = 'none',
) -> Runner:
    """Train a segmentor.

    Args:
        config: Path of the config.
        work_dir: Where logs and checkpoints go, ``work_dirs/<config name>`` if None.
        resume: Go on from the newest intact checkpoint in ``work_dir``.
        amp: Train in mixed precision (needs an accelerator).
        cfg_options: Settings that override the config's, dotted keys.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Returns:
        The runner, after training.

    Raises:
        ValueError: If ``amp`` is asked for on a CPU, or none of the checkpoints to
            go on from is intact.
        FloatingPointError: If the loss or the weights become infinite or NaN.
    """
    cfg = load_config(config, work_dir, cfg_options, launcher)
    if amp:
        use_amp(cfg)
    cfg.resume = resume
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
    cfg_options: dict | None = None,
    launcher: str = 'none',
    tta: bool = False,
    thresholds: str | None = None,
) -> dict[str, float]:
    """Evaluate a checkpoint.

    Args:
        config: Path of the config.
        checkpoint: Path or URL of the weights.
        work_dir: Where logs go, ``work_dirs/<config name>`` if None.
        out: Folder for predicted masks and the per-image table.
        show: Show each prediction in a window.
        show_dir: Folder for pictures of the predictions.
        wait_time: How long each window stays (s).
        cfg_options: Settings that override the config's, dotted keys.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.
        tta: Average over the views of the config's ``tta_pipeline``.
        thresholds: JSON of thresholds to use instead of the config's, see
            ``mmseg_ftu.evaluation.load_thresholds``.

    Returns:
        The metrics.
    """
    cfg = load_config(config, work_dir, cfg_options, launcher)
    cfg.load_from = checkpoint
    if show or show_dir:
        hook = dict(type='SegVisualizationHook', draw=True, show=show)
        cfg.default_hooks.visualization = hook | dict(wait_time=wait_time)
        cfg.visualizer.save_dir = show_dir or cfg.visualizer.get('save_dir')
    if tta:
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.model = dict(cfg.tta_model, module=cfg.model)
    if out is not None:
        cfg.test_evaluator.output_dir = out
    if thresholds is not None:
        cfg.test_evaluator.thresholds = thresholds
    return build_runner(cfg).test()


def load_config(
    config: str,
    work_dir: str | None = None,
    cfg_options: dict | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config and apply what the command line says."""
    cfg = Config.fromfile(config)
    cfg.launcher = launcher
    cfg.merge_from_dict(cfg_options or {})
    cfg.work_dir = (
        work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(config).stem)
    )
    return cfg


def use_amp(cfg: Config) -> None:
    """Switch the config's optimizer wrapper to automatic mixed precision."""
    if get_device() == 'cpu':
        raise ValueError(
            '--amp needs an accelerator and this machine has none: leave it out'
        )
    wrapper = cfg.optim_wrapper.setdefault('type', 'OptimWrapper')
    if wrapper not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f'--amp can not be combined with optim_wrapper.type={wrapper}')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def build_runner(cfg: Config) -> Runner:
    """Build the runner, with distributed CPUs set up."""
    if cfg.get('launcher') == 'pytorch' and get_device() == 'cpu':
        distribute_over_cpus(cfg)
    return Runner.from_cfg(cfg)


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
