"""``--cfg-options``: override settings of a config, and say which it did not have."""

import inspect
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import mmseg.registry
from mmengine.config import Config
from mmengine.registry import Registry

from mmseg_ftu.io.launched_as import launched_as

#: Top-level keys that are read whether or not a config has them: mmengine's, and ours.
READ_ANYWAY = {
    *('auto_scale_lr', 'compile', 'custom_hooks', 'data_preprocessor', 'default_hooks'),
    *('efficient_conv_bn_eval', 'env_cfg', 'experiment_name', 'find_unused_parameters'),
    *('inference', 'launcher', 'load_from', 'log_level', 'log_processor'),
    *('model_wrapper_cfg', 'param_scheduler', 'randomness', 'resume', 'sync_bn'),
    *('visualizer', 'work_dir'),
}
DELETE = '_delete_'  # mmengine's word for: replace this dict, do not merge


def override_config(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Merge options into a config, and warn on stderr of keys that it did not have.

    Such a key is added, as configs may leave out what has a default. Nothing is said of
    a key that the class of its dict (``type=...``) takes, nor of dicts that are
    replaced (``_delete_=True``). The first of several processes writes the warning.

    Args:
        cfg: The config; changed in place.
        options: Values by dotted key, such as ``train_cfg.max_epochs``.

    Raises:
        ValueError: If a key leads into something that holds no keys, or beyond the end
            of a list.
    """
    options = dict(options or {})
    replaced = [key.removesuffix(DELETE) for key in options if key.endswith(DELETE)]
    unknown: dict[str, tuple[str, list[str]]] = {}
    for key in options:
        if not any(key.startswith(place) for place in replaced):
            place, name, siblings = _follow(cfg, key)
            if name not in siblings and (place or name not in READ_ANYWAY):
                unknown.setdefault(f'{place}{name}', (key, siblings))
    try:
        cfg.merge_from_dict(options)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f'--cfg-options {" ".join(options)}: {error}') from error
    for path, (key, siblings) in unknown.items():
        if launched_as()[0] == 0 and not _is_argument(cfg, path):
            print(_warning(key, path, siblings), file=sys.stderr)


def _follow(cfg: Config, key: str) -> tuple[str, str, list[str]]:
    """Follow a dotted key as far as the config has it.

    Returns:
        The place of the last dict or list that is there, with a full stop at the end;
        the part of the key that is looked up in it; and what it holds.

    Raises:
        ValueError: If a part is looked up in something that has no keys, or beyond the
            end of a list.
    """
    node: Any = cfg
    parts = key.split('.')
    for i, part in enumerate(parts):
        place = '.'.join(parts[:i])
        if isinstance(node, list):
            held = [str(index) for index in range(len(node))]
        elif isinstance(node, Mapping | Config):
            held = [str(name) for name in node]
        else:
            raise ValueError(
                f'--cfg-options {key}: {place} is {node!r} in the config, which holds '
                f'no {part!r}; set {place} as a whole'
            )
        if part not in held or i == len(parts) - 1:
            break
        node = node[int(part) if isinstance(node, list) else part]
    if isinstance(node, list) and part not in held:
        raise ValueError(
            f'--cfg-options {key}: {place} is a list of {len(held)} in the config, '
            f'counted from 0, and has no {part!r}'
        )
    return place and f'{place}.', part, held


def _is_argument(cfg: Config, path: str) -> bool:
    """Tell whether the class of the dict that holds a key takes it by this name."""
    *parts, name = path.split('.')
    node: Any = cfg
    for part in parts:
        node = node[int(part) if isinstance(node, list) else part]
    kind = node.get('type') if parts else None
    if isinstance(kind, str):
        found = (registry.get(kind) for registry in _registries())
        kind = next((cls for cls in found if cls is not None), None)
    if not inspect.isclass(kind):
        return False
    classes: tuple[Any, ...] = kind.__mro__
    return any(name in inspect.signature(cls.__init__).parameters for cls in classes)


def _registries() -> list[Registry]:
    held = vars(mmseg.registry).values()
    return [registry for registry in held if isinstance(registry, Registry)]


def _warning(key: str, path: str, siblings: list[str]) -> str:
    place, _, name = path.rpartition('.')
    text = f'warning: --cfg-options {key}: the config has no {path}, so it was added'
    near = get_close_matches(name, siblings, n=1)
    return f'{text}; did you mean {place and f"{place}."}{near[0]}?' if near else text
