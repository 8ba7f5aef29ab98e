"""A model folder: weights and all that is needed to use them, without code.

==================  =================================================================
``model.safetensors``  all weights, and how the training images were prepared
``config.json``        the parts of the config that build and run the model, as data
``model.json``         what is known of the model: organ, pixel size, licence, scores
``README.md``          the model card, for people and for the Hub
``images/``            pictures of the card
==================  =================================================================

``mmseg-ftu export model`` writes one (``mmseg_ftu/export/model_folder.py``). A folder,
or ``hf://OWNER/REPO[@REVISION]`` on the Hugging Face Hub, stands for a config and a
checkpoint. It brings no code: see ``check_model_config.py``.
"""

import hashlib
import json
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mmseg_ftu.engine.check_model_config import check_model_config, imports_of
from mmseg_ftu.engine.model_hub import HUB, download_model
from mmseg_ftu.engine.safe_checkpoints import download

WEIGHTS, CONFIG, FACTS = 'model.safetensors', 'config.json', 'model.json'
CARD, PICTURES = 'README.md', 'images'
NO_UNIT = 'foreground'  # `unit` of model.json where neither unit nor organ is known
LARGEST_JSON = 2**24  # bytes; a config has some thousand
CHECKPOINTS = '.pth', '.pt', '.ckpt', '.safetensors'  # suffixes
FORMAT = 1  # of model.json; raised when an older reader would go wrong


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
        ValueError: If they are not those that were exported.
    """
    folder = find_model_folder(name)
    if not (folder / WEIGHTS).is_file():
        raise ValueError(f'{folder / WEIGHTS}: it is not a file: fetch the model again')
    with open(folder / WEIGHTS, 'rb') as file:
        found = hashlib.file_digest(file, 'sha256').hexdigest()
    if found != read_facts(folder).get('sha256'):
        raise ValueError(
            f'{folder / WEIGHTS}: its SHA-256 is not that in {FACTS}, so it is '
            'damaged or another file: fetch or export the model again'
        )
    return folder / WEIGHTS


def find_weights(name: str | Path) -> Path:
    """Return the file of a checkpoint, downloading it where necessary.

    Args:
        name: A model folder or its address, an http(s) URL, or a path.

    Raises:
        FileNotFoundError: If it is not here and cannot be downloaded.
    """
    if str(name).startswith(('http://', 'https://')):
        return download(str(name))
    if is_model_folder(name) or Path(name).expanduser().is_dir():
        return weights_path(name)
    return Path(name).expanduser()


def own_weights(config: str | Path | Config) -> list[str | Path]:
    """Return the checkpoints that a config brings along.

    Raises:
        FileNotFoundError: If it is not there, or a folder that lacks files of a model.
        ValueError: If it is not a model folder: nothing else has weights and config.
    """
    if not isinstance(config, Config) and Path(config).suffix in CHECKPOINTS:
        beside = sorted(p.name for p in Path(config).parent.glob('*.py'))
        raise ValueError(
            f'{config} is a checkpoint: give the config that it was trained with first'
            + (f', here {Path(config).with_name(beside[0])}' if beside else '')
        )
    if not isinstance(config, Config) and '::' not in str(config):
        _refuse_no_model(config)
    if isinstance(config, Config) or not is_model_folder(config):
        raise ValueError(
            f'{"the config" if isinstance(config, Config) else config} has no weights: '
            'give a checkpoint, or a model folder in place of the config'
        )
    return [config]


def _refuse_no_model(name: str | Path) -> None:
    """Say what is wrong with a path that is neither a file nor a model folder.

    Raises:
        FileNotFoundError: If there is nothing, or a folder that lacks files of one.
    """
    path = Path(name).expanduser()
    if str(name).startswith(HUB) or path.is_file():
        return
    if not path.is_dir():
        raise FileNotFoundError(f'{name}: there is no such config or model folder')
    find_model_folder(name)


def read_facts(folder: Path) -> dict[str, Any]:
    """Read ``model.json``.

    Raises:
        ValueError: If it is not what ``mmseg-ftu export model`` writes, or a later
            version wrote it.
    """
    facts = _read_json(folder / FACTS)
    found = facts.get('format')
    if type(found) is not int or not 1 <= found <= FORMAT:
        raise ValueError(
            f'{folder / FACTS}: format {found!r}, this version reads up to {FORMAT}: '
            'install a newer mmseg_ftu'
        )
    return facts


class ImagesOfModel(NamedTuple):
    """The images that a model is for, as far as its folder says it.

    Attributes:
        organ: Their organ.
        data_source: Where they are from; with the organ it chooses the threshold.
    """

    organ: str | None = None
    data_source: str | None = None

    def source_of(self, data_source: str | None, organ: str | None) -> str | None:
        """Return the data source that chooses the threshold of an image.

        Args:
            data_source: That of the image, if it is known.
            organ: Organ of the image, if it is known.
        """
        if data_source is None and organ == self.organ:
            return self.data_source
        return data_source


ANY_IMAGES = ImagesOfModel()


def images_of_model(name: str | Path | Config) -> ImagesOfModel:
    """Return which images a model folder is for.

    Args:
        name: A model folder or its address; anything else is for any images.
    """
    if isinstance(name, Config) or not is_model_folder(name):
        return ANY_IMAGES
    facts = read_facts(find_model_folder(name))
    said = (facts.get(key) for key in ImagesOfModel._fields)
    return ImagesOfModel(*(x if isinstance(x, str) and x else None for x in said))


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
    check_model_config(parts, place)
    return Config(parts)


def _read_json(path: Path) -> dict[str, Any]:
    """Read an object that anybody may have written."""
    try:
        if not path.is_file():
            raise ValueError('it is not a file')
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f'it has more than {LARGEST_JSON:,} bytes')
        content = json.loads(
            path.read_text('utf-8'),
            object_pairs_hook=_without_twins,
            parse_constant=_refuse_constant,
        )
    except (ValueError, OSError, RecursionError) as error:
        raise ValueError(f'{path}: can not be read as JSON ({error})') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path}: holds a {type(content).__name__}, no object')
    return content


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse keys that occur twice: other readers take the other one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'{twin!r} occurs twice')
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f'{name} is not JSON')
