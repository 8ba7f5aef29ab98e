"""Model folders of an ensemble have to say the same of their network.

The first folder gives the config. Weights fit any config of the same layers, also one
that normalises colours in another way: they would predict nonsense without an error.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmseg_ftu.engine.model_folder import is_model_folder, read_model_config


def check_members(
    config: str | Path | Config, checkpoints: Sequence[str | Path]
) -> None:
    """Compare the networks of model folders, and tell if one only gives the config.

    Args:
        config: What gives the config.
        checkpoints: The members of the ensemble.

    Raises:
        ValueError: If a folder holds another network than the one that gives the
            config.
    """
    if isinstance(config, Config) or not is_model_folder(config):
        return
    names = [str(name) for name in checkpoints]
    if str(config) not in names:
        print_log(
            f'{config} gives the config, and its weights are not used; to use them '
            'too, name it once more',
            'current',
            logging.WARNING,
        )
    others = sorted({*names} - {str(config)})
    for name in filter(is_model_folder, others):
        expected, found = (read_model_config(n).model for n in (config, name))
        place = difference(expected, found, 'model')
        if place:
            raise ValueError(
                f'{name} is of another network than {config}: their {place} differ. '
                'Predict with each of them alone'
            )


def difference(one: Any, other: Any, path: str) -> str | None:
    """Return the place of the first difference of two configs, None if there is none.

    Args:
        one: A part of a config.
        other: The same part of another one.
        path: How the part is called.
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one} | {*other}):
            if key not in one or key not in other:
                return f'{path}.{key}'
            if found := difference(one[key], other[key], f'{path}.{key}'):
                return found
        return None
    return None if one == other else path
