"""Check that the config of a model folder can do no more than build a model.

mmengine builds whatever ``type`` names, also functions of any module (``os.system``),
imports what ``custom_imports`` lists and the registry of a ``default_scope``;
mmpretrain registers models of transformers that bring code; losses of mmseg unpickle a
file that ``class_weight`` names. A model folder comes from anybody, so that its config
may hold none of these.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.registry import METRICS as BASE_METRICS
from mmengine.registry import MODELS as BASE_MODELS
from mmengine.registry import TRANSFORMS as BASE_TRANSFORMS

#: Modules that a config of a model folder may import: they register models.
IMPORTS = ('mmseg_ftu.plugin', 'mmpretrain.models')
SCOPES = ('mmengine', 'mmseg', 'mmcv', 'mmpretrain')
#: Where the classes are defined that a config of a model folder may name ...
TRUSTED = (
    *('mmseg_ftu.', 'mmseg.models.backbones.', 'mmseg.models.decode_heads.'),
    *('mmseg.models.necks.', 'mmseg.models.segmentors.'),
    *('mmseg.models.data_preprocessor', 'mmseg.datasets.transforms.'),
    *('mmcv.cnn.', 'mmcv.transforms.', 'torch.nn.', 'mmpretrain.models.backbones.'),
)
#: ... but for those that load programs or models by a name of their own.
FETCHING = (
    *('mmseg.models.backbones.vpd', 'mmseg.models.backbones.timm_backbone'),
    'mmpretrain.models.backbones.timm_backbone',
)
#: Keys that fetch weights or modules, and what only training needs: losses read files.
OF_OTHERS = (
    *('_scope_', 'init_cfg', 'pretrained', 'checkpoint_path', 'pretrained_cfg'),
    *('auxiliary_head', 'loss_decode', 'train_cfg'),
)
NAMED = ('type', 'model_name')  # keys whose values may have dots
#: Parts of a config that a model folder holds, and what they are made of.
PARTS: dict[str, type | tuple[type, ...]] = {
    'default_scope': str,
    'custom_imports': Mapping,
    'model': Mapping,
    'inference': Mapping,
    'test_evaluator': Mapping,
    'img_scale': (list, int, float),
    'crop_size': (list, int, float),
    'test_pipeline': list,
}
DEEPEST = 30  # of mappings and lists in one another
LARGEST = 65536  # of numbers; a layer that is wider fills the memory


def imports_of(parts: Mapping[str, Any], place: str) -> list[str]:
    """Return the modules that a config imports, which are some of `IMPORTS`.

    Args:
        parts: The config, from JSON.
        place: How messages call it.

    Raises:
        ValueError: If another one is named.
    """
    imports = parts.get('custom_imports') or {}
    wanted = imports.get('imports') if isinstance(imports, Mapping) else imports
    wanted = [wanted] if isinstance(wanted, str) else wanted or []
    for module in wanted if isinstance(wanted, list) else [wanted]:
        if module not in IMPORTS:
            raise ValueError(
                f'{place}: custom_imports {module!r} could run any code and is '
                f'refused; a model folder may import {", ".join(IMPORTS)}'
            )
    return list(wanted)


def check_model_config(parts: Mapping[str, Any], place: str) -> None:
    """Refuse a config that could do more than build a model for prediction.

    A type has to be a class of `TRUSTED` modules, imports are those of `IMPORTS`, the
    scope is one of `SCOPES`, `OF_OTHERS` are not there, no text can name a file or a
    module, and numbers are finite and at most `LARGEST`.

    Args:
        parts: The config, from JSON.
        place: How messages call it.

    Raises:
        ValueError: If something else is in it.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown or 'model' not in parts:
        problem = f'unknown entries {unknown}' if unknown else 'no "model"'
        raise ValueError(f'{place}: {problem}; a model folder has {", ".join(PARTS)}')
    imports_of(parts, place)
    for name, part in parts.items():
        if not isinstance(part, PARTS[name]):
            raise ValueError(f'{place}: {name}={str(part)[:60]!r} is of another kind')
    _check_settings(parts, place)
    for name, part in parts.items():
        for path, key, value in entries(part, name):
            _check_entry(path, key, value, place)


def _check_settings(parts: Mapping[str, Any], place: str) -> None:
    """Check what prediction reads itself."""
    inference = parts.get('inference', {})
    evaluator = parts.get('test_evaluator', {})
    steps = parts.get('test_pipeline', [])
    inner = [parts['model'].get(k, {}) for k in ('data_preprocessor', 'test_cfg')]
    faults = {
        'default_scope': parts.get('default_scope', SCOPES[0]) not in SCOPES,
        'inference.views': not _all(inference.get('views', []), str),
        'inference.scales': not _all(inference.get('scales', []), int, float),
        'inference.upsample': not isinstance(inference.get('upsample', ''), str),
        'test_evaluator.thresholds': not isinstance(
            evaluator.get('thresholds') or {}, Mapping
        ),
        'model.data_preprocessor or model.test_cfg': not _all(inner, Mapping),
        'test_pipeline': not _all(steps, Mapping)
        or not all(isinstance(step.get('type'), str) for step in steps),
    }
    for name, is_fault in faults.items():
        if is_fault:
            raise ValueError(f'{place}: {name} is not what `export model` writes')


def _all(values: object, *kinds: type) -> bool:
    return isinstance(values, list) and all(isinstance(v, kinds) for v in values)


def _check_entry(path: str, key: str, value: object, place: str) -> None:
    if key == 'type' and not is_trusted(value):
        raise ValueError(
            f'{place}: {path}.type={value!r} is not known as a harmless part of a '
            'model, and is refused'
        )
    if key in OF_OTHERS:
        raise ValueError(
            f'{place}: {path}.{key} is refused: all weights of a model folder are in '
            'its safetensors, and training is set in a config of your own'
        )
    if isinstance(value, int | float) and not abs(value) <= LARGEST:  # NaN too
        name = f'{path}.{key}'.strip('.')
        raise ValueError(
            f'{place}: {name}={str(value)[:20]} is not a number of a model (they are '
            f'up to {LARGEST}), and is refused'
        )
    in_imports = path.startswith('custom_imports')
    if isinstance(value, str) and not in_imports and is_name_of_more(key, value):
        raise ValueError(
            f'{place}: {path}.{key}={value!r} could name a file, an address or a '
            'module, and is refused'
        )


def is_name_of_more(key: str, text: str) -> bool:
    """Tell whether a text could name a file, an address or a module.

    Args:
        key: What it is the value of.
        text: The text.
    """
    return bool({*text} & {*'/\\:~'}) or ('.' in text and key not in NAMED)


def is_trusted(value: object) -> bool:
    """Tell whether a ``type`` names a registered class of `TRUSTED` modules."""
    scope, _, name = value.rpartition('.') if isinstance(value, str) else ('', '', '')
    if scope and scope not in SCOPES:
        return False
    found = [
        one.module_dict[name]
        for registry in (BASE_MODELS, BASE_TRANSFORMS, BASE_METRICS)
        for one in (registry, *registry.children.values())
        if name in one.module_dict
    ]
    return bool(found) and all(
        isinstance(one, type)
        and one.__module__.startswith(TRUSTED)
        and not one.__module__.startswith(FETCHING)
        for one in found
    )


def entries(
    part: object, path: str, depth: int = 0
) -> Iterator[tuple[str, str, object]]:
    """Yield the path of each mapping inside, with its keys and values.

    The values of a list have the key of the list.

    Raises:
        ValueError: If mappings and lists lie too deep in one another.
    """
    if depth > DEEPEST:
        raise ValueError(f'{path[:60]}...: lists and mappings lie too deep')
    if isinstance(part, Mapping):
        for key, value in part.items():
            yield path, str(key), value
            if isinstance(value, Mapping | list | tuple):
                yield from entries(value, f'{path}.{key}', depth + 1)
    elif isinstance(part, list | tuple):
        place, _, key = path.rpartition('.')
        for i, value in enumerate(part):
            if isinstance(value, Mapping | list | tuple):
                yield from entries(value, f'{path}[{i}]', depth + 1)
            else:
                yield place, key, value
