"""A model folder: weights and all that is needed to use them, without code.

==================  =================================================================
``model.safetensors``  all weights, and how the training images were prepared
``config.json``        the parts of the config that build and run the model, as data
``model.json``         what is known of the model: organ, pixel size, licence, scores
``README.md``          the model card, for people and for the Hub
``images/``            pictures of the card
==================  =================================================================

``mmseg-ftu export model`` writes one (``mmseg_ftu/export/model_folder.py``). A folder,
or ``hf://OWNER/REPO[@REVISION]`` on the Hugging Face Hub, stands wherever a config and
a checkpoint may. Nothing in it can run code: see `check_model`.
"""

import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import METRICS as BASE_METRICS
from mmengine.registry import MODELS as BASE_MODELS
from mmengine.registry import TRANSFORMS as BASE_TRANSFORMS

from mmseg_ftu.engine.model_hub import HUB, download_model
from mmseg_ftu.engine.safe_checkpoints import download

WEIGHTS, CONFIG, FACTS = 'model.safetensors', 'config.json', 'model.json'
CARD, PICTURES = 'README.md', 'images'
FORMAT = 1  # of model.json; raised when an older reader would go wrong
#: Modules that a config of a model folder may import: they register models.
IMPORTS = ('mmseg_ftu.plugin', 'mmpretrain.models')
SCOPES = ('mmengine', 'mmseg', 'mmcv', 'mmpretrain')
#: Where the classes are defined that a config of a model folder may name ...
TRUSTED = (
    *('mmseg_ftu.', 'mmseg.models.', 'mmseg.datasets.transforms.', 'mmcv.cnn.'),
    *('mmcv.transforms.', 'mmengine.model.', 'torch.nn.'),
    *('mmpretrain.models.backbones.', 'mmpretrain.models.necks.'),
    *('mmpretrain.models.heads.', 'mmpretrain.models.losses.'),
    *('mmpretrain.models.utils.', 'mmpretrain.datasets.transforms.'),
)
#: ... but for those that load programs or models by a name of their own.
FETCHING = ('mmseg.models.backbones.vpd', 'mmseg.models.text_encoder')
OF_OTHERS = ('_scope_', 'init_cfg', 'pretrained')  # keys that fetch weights or modules
#: Parts of a config that a model folder holds.
PARTS = (
    *('default_scope', 'custom_imports', 'model', 'inference', 'test_evaluator'),
    *('img_scale', 'crop_size', 'test_pipeline'),
)


def is_model_folder(name: str | Path) -> bool:
    """Tell whether a name means a model folder, here or on the Hub."""
    return str(name).startswith(HUB) or (Path(name).expanduser() / CONFIG).is_file()


def find_model_folder(name: str | Path) -> Path:
    """Return the folder that a name means, downloading it where necessary.

    Args:
        name: A model folder, or ``hf://OWNER/REPO[@REVISION]``.

    Raises:
        FileNotFoundError: If one of its files is missing or cannot be downloaded.
    """
    if str(name).startswith(HUB):
        folder = download_model(str(name), (WEIGHTS, CONFIG, FACTS, CARD))
    else:
        folder = Path(name).expanduser()
    missing = [
        file for file in (WEIGHTS, CONFIG, FACTS) if not (folder / file).exists()
    ]
    if missing:
        raise FileNotFoundError(
            f'{name}: not a model folder, it lacks {", ".join(missing)}: write one '
            'with `mmseg-ftu export model`'
        )
    return folder


def weights_path(name: str | Path) -> Path:
    """Return the weights of a model folder.

    Args:
        name: A model folder, or ``hf://OWNER/REPO[@REVISION]``.

    Raises:
        FileNotFoundError: If one of its files is missing or cannot be downloaded.
    """
    return find_model_folder(name) / WEIGHTS


def find_weights(name: str | Path) -> Path:
    """Return the file of a checkpoint, downloading it where necessary.

    Args:
        name: A model folder or its address, an http(s) URL, or a path.

    Raises:
        FileNotFoundError: If it is not here and cannot be downloaded.
    """
    if str(name).startswith(('http://', 'https://')):
        return download(str(name))
    if is_model_folder(name):
        return weights_path(name)
    return Path(name).expanduser()


def read_facts(folder: Path) -> dict[str, Any]:
    """Read ``model.json``.

    Raises:
        ValueError: If it is not what ``mmseg-ftu export model`` writes, or a later
            version wrote it.
    """
    facts = _read_json(folder / FACTS)
    found = facts.get('format')
    if type(found) is not int or found > FORMAT:
        raise ValueError(
            f'{folder / FACTS}: format {found!r}, this version reads up to {FORMAT}: '
            'install a newer mmseg_ftu'
        )
    return facts


def read_model_config(name: str | Path) -> Config:
    """Read the config of a model folder.

    Raises:
        FileNotFoundError: If one of its files is missing or cannot be downloaded.
        ValueError: If it holds anything but the data of a model.
    """
    folder = find_model_folder(name)
    read_facts(folder)
    parts = _read_json(folder / CONFIG)
    place = f'{name}, {CONFIG}'
    for module in imports_of(parts, place):  # they register what the model is made of
        import_module(module)
    check_model(parts, place)
    return Config(parts)


def imports_of(parts: Mapping[str, Any], place: str) -> list[str]:
    """Return the modules that a config imports, which are some of `IMPORTS`.

    Args:
        parts: The config, from JSON.
        place: How messages call it.

    Raises:
        ValueError: If another one is named.
    """
    imports = parts.get('custom_imports') or {}
    wanted = imports.get('imports', []) if isinstance(imports, Mapping) else [imports]
    wanted = [wanted] if isinstance(wanted, str) else wanted
    for module in wanted:
        if module not in IMPORTS:
            raise ValueError(
                f'{place}: custom_imports {module!r} could run any code and is '
                f'refused; a model folder may import {", ".join(IMPORTS)}'
            )
    return list(wanted)


def check_model(parts: Mapping[str, Any], place: str) -> None:
    """Refuse a config that could do more than build a model.

    mmengine builds whatever ``type`` names, also functions of any module
    (``os.system``), imports what ``custom_imports`` lists and the registry of a
    ``default_scope``; mmpretrain registers models of transformers that bring code. So a
    type has to be a class of `TRUSTED` modules, imports are those of `IMPORTS`, and the
    scope is one of `SCOPES`.

    Args:
        parts: The config, from JSON.
        place: How messages call it.

    Raises:
        ValueError: If something else is in it.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown or not isinstance(parts.get('model'), Mapping):
        problem = f'unknown entries {unknown}' if unknown else 'no "model"'
        raise ValueError(f'{place}: {problem}; a model folder has {", ".join(PARTS)}')
    imports_of(parts, place)
    scope = parts.get('default_scope', SCOPES[0])
    if scope not in SCOPES:
        raise ValueError(
            f'{place}: default_scope={scope!r} is refused; give one of '
            f'{", ".join(SCOPES)}'
        )
    for name, part in parts.items():
        for path, key, value in entries(part, name):
            if key == 'type' and not is_trusted(value):
                raise ValueError(
                    f'{place}: {path}.type={value!r} is not known as a harmless '
                    'part of a model, and is refused'
                )
            if key in OF_OTHERS:
                raise ValueError(
                    f'{place}: {path}.{key} is refused: all weights of a model folder '
                    f'are in {WEIGHTS}'
                )


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


def entries(part: object, path: str) -> Iterator[tuple[str, str, object]]:
    """Yield the path of each mapping inside, with its keys and values."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            yield path, str(key), value
            yield from entries(value, f'{path}.{key}')
    elif isinstance(part, list | tuple):
        for i, value in enumerate(part):
            yield from entries(value, f'{path}[{i}]')


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text('utf-8'))
    except (ValueError, OSError) as error:
        raise ValueError(f'{path}: can not be read as JSON ({error})') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path}: holds a {type(content).__name__}, no object')
    return content
