"""When something changes in an arm: for marks in its learning curves."""

from typing import Any

from mmengine.config import Config

from mmseg_ftu.engine.epoch_numbers import epoch_of
from mmseg_ftu.engine.scale_epochs import entries
from mmseg_ftu.study.run_config import model_config
from mmseg_ftu.study.study_design import Study


def phases_of(study: Study, model: str, arm: str) -> list[tuple[float, str]]:
    """Return the epochs (0-based) at which phases of a run begin, with labels.

    They come from the schedule of ``SwitchAuxHook`` and from restarts. Where the
    configs are no longer there, nothing is marked.
    """
    try:
        cfg = model_config(study, model, arm)
    except (OSError, ValueError):
        return []
    return marks_of(cfg, study.epochs[model])


def marks_of(cfg: Config, epochs: int) -> list[tuple[float, str]]:
    """Return the epochs at which the hooks of a config change something.

    Args:
        cfg: The config of a run.
        epochs: Its length; a begin between 0 and 1 is a share of it.
    """
    marks: dict[int, list[str]] = {}
    for hook in entries(cfg.get('custom_hooks')):
        for phase in hook.get('schedule') or []:
            label = stage_label(phase.get('in_index'))
            marks.setdefault(epoch_of(phase.get('begin', 0), epochs), []).append(label)
        if 'Restart' in str(hook['type']) and 'at' in hook:
            marks.setdefault(epoch_of(hook['at'], epochs), []).append('restart')
    return [
        (float(epoch), ', '.join(labels)) for epoch, labels in sorted(marks.items())
    ]


def stage_label(in_index: Any) -> str:
    """Say which stages the auxiliary loss is on."""
    if in_index is None:
        return 'off'
    if isinstance(in_index, int):
        return f'stage {in_index}'
    if isinstance(in_index, str):
        return in_index
    return 'stages ' + ', '.join(map(str, in_index))
