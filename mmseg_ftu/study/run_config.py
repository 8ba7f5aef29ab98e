"""The config of one run: a model, an arm over it, a fold and a seed.

It is written into the folder of the run as a file that ``tools/train.py`` takes, so
each run can be repeated by hand.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmseg.registry import HOOKS, MODELS

from mmseg_ftu.engine.aux_schedule import check_reached
from mmseg_ftu.engine.override_config import override_config
from mmseg_ftu.engine.read_config import OWN, find_config, read_config
from mmseg_ftu.engine.scale_epochs import entries, scale_epochs
from mmseg_ftu.engine.work_dir import dataset_configs
from mmseg_ftu.study.study_design import TTA_VIEWS, Arm, Study
from mmseg_ftu.switched_aux_loss import SwitchAuxHook, check_phases

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
EPOCH_LISTS = ('custom_hooks', 'param_scheduler')  # where an arm counts epochs
#: What configs are computed from and no longer need: mmengine writes the whole config
#: into each checkpoint.
LEFT_OVER = ('augmentations', 'meta_keys', 'train_pipeline', 'val_pipeline')


def model_config(study: Study, model: str, arm: str) -> Config:
    """Return the config of a model with an arm over it, without data, fold and seed.

    The order is: the model at the length of the study, the study's options, the files
    of the arm, the auxiliary head if there is an ``aux_head``, the options of the arm,
    the study's hooks.

    Raises:
        FileNotFoundError: If a config file is missing.
        ValueError: If one cannot be read or does not fit the others.
    """
    cfg = deepcopy(_read_model(locate_config(study, study.models[model])))
    epochs = study.epochs[model]
    scale_epochs(cfg, epochs)
    override_config(cfg, study.options)
    lay_over(cfg, study.arms[arm], study, epochs)
    if study.hooks:
        cfg.custom_hooks = [*cfg.get('custom_hooks', ()), *study.hooks]
    if (length := cfg.train_cfg.get('max_epochs')) != epochs:
        raise ValueError(
            f'{model}, arm {arm}: a file or an option makes train_cfg.max_epochs '
            f'{length}; the length of a run is `epochs` of the study, {epochs}'
        )
    _set_pace(cfg, max(1, epochs // study.curve_points))
    for name in LEFT_OVER:
        cfg.pop(name, None)
    return cfg


@cache
def _read_model(path: str) -> Config:
    """Read the config of a model once; reading takes longer than all the rest."""
    return read_config(path)


@cache
def _read_part(path: Path) -> dict[str, Any]:
    """Read a config file of an arm once."""
    cfg = Config.fromfile(path, import_custom_modules=False)
    return dict(cfg._cfg_dict.to_dict())


def _set_pace(cfg: Config, pace: int) -> None:
    """Validate and save every so many epochs, keep no best, log into a file only.

    A schedule that waits for a plateau counts validations, so their pace is left alone.
    """
    schedules = entries(cfg.get('param_scheduler'))
    if not any('Plateau' in str(entry['type']) for entry in schedules):
        cfg.train_cfg.val_interval = pace
    saving = dict(type='ResumableCheckpointHook', interval=pace, save_best=None)
    backends = [dict(type='LocalVisBackend')]
    drawing = dict(type='FTULocalVisualizer', name='visualizer', vis_backends=backends)
    cfg.merge_from_dict(
        dict(
            default_hooks=dict(checkpoint=saving),
            visualizer=drawing,
            vis_backends=backends,
        )
    )


def run_config(
    study: Study, model: str, arm: str, fold: int, seed: int, data: Path
) -> Config:
    """Return the config of one run.

    Args:
        study: The study.
        model: Name of the model.
        arm: Name of the arm.
        fold: The fold that is held out.
        seed: Seed of weights, batches, augmentation and dropout.
        data: The prepared folder.

    Raises:
        FileNotFoundError: If a config file is missing.
        ValueError: If one cannot be read or does not fit the others.
    """
    cfg = model_config(study, model, arm)
    set_run(cfg, fold, seed, str(data))
    return cfg


def check_hooks(cfg: Config, whose: str) -> None:
    """Make the hooks of a config, so that a mistake shows before the first run.

    Args:
        cfg: The config of a run.
        whose: Its model and arm, for messages.

    Raises:
        ValueError: If a hook cannot be made, or phases of the auxiliary loss do not fit
            the run or its model.
    """
    for entry in cfg.get('custom_hooks', ()):
        try:
            hook = HOOKS.build(deepcopy(dict(entry)))
            if isinstance(hook, SwitchAuxHook):
                head = cfg.model.get('auxiliary_head')
                if head is None:
                    raise ValueError('the model has no auxiliary_head')
                check_phases(hook.schedule, MODELS.build(deepcopy(dict(head))))
                check_reached(hook.schedule, cfg.train_cfg.max_epochs)
        except Exception as error:  # hooks may raise anything
            raise ValueError(
                f'{whose}: the hook {entry.get("type")} cannot be used ({error})'
            ) from error


def set_run(cfg: Config, fold: int, seed: int, data: str) -> None:
    """Write fold, seed and data into all places of a config that name them."""
    for part in data_parts(cfg):
        part.data_root = data
        part.fold = fold
    for key, value in (('fold', fold), ('data_root', data)):
        if key in cfg:
            cfg[key] = value
    cfg.randomness = {**cfg.get('randomness', {}), 'seed': seed}


def data_parts(cfg: Config) -> Iterator[ConfigDict]:
    """Yield the data sets of a config that have folds.

    Raises:
        ValueError: If a loader has none.
    """
    for loader in LOADERS:
        parts = [p for p in dataset_configs(cfg.get(loader)) if 'fold' in p]
        if not parts:
            raise ValueError(
                f'{loader} has no data set with a fold, so a study cannot choose what '
                'is held out; base the config on configs/_base_/datasets'
            )
        yield from parts


def lay_over(cfg: Config, arm: Arm, study: Study, epochs: int) -> None:
    """Put an arm over the config of a model.

    Args:
        cfg: The config; written into.
        arm: The arm.
        study: The study, whose folder the arm's files are searched in.
        epochs: Length of the run.

    Raises:
        FileNotFoundError: If a file of the arm is missing.
        ValueError: If the arm does not fit the model.
    """
    for file in arm.base:
        place = find_config(locate_config(study, file))
        cfg.merge_from_dict(_at_length(_read_part(place), arm, epochs))
    heads = {k: v for k, v in arm.options.items() if k.split('.')[0] == 'aux_head'}
    override_config(cfg, heads)
    _add_auxiliary_head(cfg, arm)
    rest = {k: v for k, v in arm.options.items() if k not in heads}
    override_config(cfg, _at_length(rest, arm, epochs))


def _at_length(part: Mapping[str, Any], arm: Arm, epochs: int) -> dict[str, Any]:
    """Return settings of an arm with their epoch numbers brought to the run's length.

    Raises:
        ValueError: If two phases would begin in one epoch.
    """
    if arm.epochs is None or not {*EPOCH_LISTS} & {*part}:
        return deepcopy(dict(part))
    counted = {key: part[key] for key in EPOCH_LISTS if key in part}
    scaled = Config(dict(counted, train_cfg=dict(max_epochs=arm.epochs)))
    try:
        scale_epochs(scaled, epochs)
    except ValueError as error:
        raise ValueError(f'arm {arm.name}: {error}') from None
    moved = scaled._cfg_dict.to_dict()
    return deepcopy({**part, **{key: moved[key] for key in counted}})


def _add_auxiliary_head(cfg: Config, arm: Arm) -> None:
    """Make the auxiliary head of ``aux_head``, as the ``_aux.py`` of each model does.

    Raises:
        ValueError: If the model does not tell the widths of its stages.
    """
    if not cfg.get('aux_head'):
        return
    if not cfg.get('stage_channels'):
        raise ValueError(
            f'arm {arm.name} has an aux_head, but the config of the model has no '
            'stage_channels: write there the widths of its encoder stages'
        )
    head = dict(in_channels=list(cfg.stage_channels), **cfg.aux_head)
    cfg.merge_from_dict(dict(model=dict(auxiliary_head=head)))


def locate_config(study: Study, name: str) -> str:
    """Return where a config of a study lies.

    Args:
        study: The study.
        name: ``mmseg_ftu::FOLDER/NAME.py`` of the package, or a path, which is
            searched from the folder of the study file, then from the current one.
    """
    beside = study.path.parent / name
    if f'{OWN}::' in name or not beside.is_file():
        return name
    return str(beside)


def config_hash(cfg: Config, views: Sequence[str] = TTA_VIEWS) -> str:
    """Return a name for all that a config says but for its data, fold and seed.

    Args:
        cfg: The config of a run.
        views: The views that its score averages over, unless they are the usual ones.

    Returns:
        12 hexadecimal digits, the same on every machine.
    """
    same = Config(cfg._cfg_dict.to_dict())
    set_run(same, 0, 0, '')
    text = json.dumps(same._cfg_dict.to_dict(), sort_keys=True, default=_name_of)
    if tuple(views) != TTA_VIEWS:
        text += json.dumps(list(views))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _name_of(value: object) -> str:
    """Name what JSON cannot hold; classes and functions without their address."""
    return getattr(value, '__qualname__', None) or str(value)
