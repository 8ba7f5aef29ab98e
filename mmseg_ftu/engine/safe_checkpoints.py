"""Read checkpoints without running code that hides in them.

A pickle can run any code. Here they are read with torch's ``weights_only=True`` and in
no other way, while mmengine falls back to plain unpickling where that fails, and its
own list of safe names holds ``getattr``. ``mmseg_ftu/engine/plain_data.py`` lists what
a file may hold besides tensors. Importing this package calls
``refuse_unsafe_checkpoints``; pretrained backbones read through ``load_local`` too.
"""

import io
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlparse

import torch
from safetensors import SafetensorError, safe_open
from torch.serialization import MAP_LOCATION

from mmseg_ftu.engine.plain_data import SAFE_GLOBALS, finish

# The first bytes of what torch.save wrote before its version 1.6.
OLD_FORMAT = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'

SAFETENSORS = '.safetensors'
DATA_ENTRY = 'mmseg_ftu_dataset_meta'  # in the header of a model folder's weights

NO_DEVICE = 'Attempting to deserialize object on'  # torch's words


class DamagedCheckpointError(ValueError):
    """The file is incomplete, altered, or was not written by ``torch.save``."""


class RefusedCheckpointError(ValueError):
    """The file is whole but holds more than plain data."""


def load_local(filename: str | Path, map_location: MAP_LOCATION = None) -> object:
    """Load what ``torch.save`` wrote, tensors and plain data, or safetensors.

    Args:
        filename: Path of the file.
        map_location: Device for the tensors, as for ``torch.load``; ``meta`` reads
            everything and keeps of the tensors only their shapes.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedCheckpointError: If it cannot be read.
        RefusedCheckpointError: If loading it could run code.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    if path.suffix == SAFETENSORS:
        return load_safetensors(path, map_location)
    with path.open('rb') as stream:
        content = load_stream(stream, str(path), map_location)
        if zipfile.is_zipfile(stream) and not is_intact(stream):
            raise DamagedCheckpointError(  # torch itself compares no sums
                f'{path} is damaged: its bytes are not those that were written. Put an '
                'intact copy in its place'
            )
    return content


def load_safetensors(path: Path, map_location: MAP_LOCATION = None) -> object:
    """Load a safetensors file as a checkpoint; those of model folders tell their data.

    Args:
        path: Path of the file.
        map_location: Device for the tensors.

    Raises:
        DamagedCheckpointError: If it cannot be read.
    """
    try:
        with safe_open(path, framework='pt') as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            told = json.loads((file.metadata() or {}).get(DATA_ENTRY, '{}'))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise DamagedCheckpointError(
            damaged(path, path.stat().st_size, error)
        ) from error
    if map_location is not None and not callable(map_location):
        state = {name: tensor.to(map_location) for name, tensor in state.items()}
    told = told if isinstance(told, dict) else {}
    return dict(state_dict=state, meta=dict(dataset_meta=told))


def load_stream(
    stream: BinaryIO, name: str, map_location: MAP_LOCATION = None
) -> object:
    """Load an open file like `load_local`; messages call it ``name``."""
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            with warnings.catch_warnings():  # a refusal says more
                warnings.simplefilter('ignore', UserWarning)
                content = torch.load(stream, map_location, weights_only=True)
            return finish(content)
    except MemoryError:
        raise
    except Exception as error:  # of bytes that anybody may have written
        found = re.search(r"GLOBAL (\S+)|<(?:class|function) '?([^' >]+)", str(error))
        whole = is_intact(stream)
        refusal = isinstance(error, pickle.UnpicklingError)
        if found and refusal and (whole or is_old_format(stream)):
            text = refused(name, found[1] or found[2])
            raise RefusedCheckpointError(text) from error
        if not whole:
            size = stream.seek(0, io.SEEK_END)
            raise DamagedCheckpointError(damaged(name, size, error)) from error
        if isinstance(error, torch.OutOfMemoryError) or NO_DEVICE in str(error):
            raise
        raise RefusedCheckpointError(refused(name, f'({reason(error)})')) from error


def weights_of(checkpoint: object, name: str | Path) -> Mapping[str, torch.Tensor]:
    """Return the weights of a loaded checkpoint.

    Args:
        checkpoint: What `load_local` returned.
        name: How messages call the file.

    Raises:
        ValueError: If it holds no weights.
    """
    found = checkpoint
    if isinstance(checkpoint, Mapping):
        found = checkpoint.get('state_dict', checkpoint)
    if not isinstance(found, Mapping):
        raise ValueError(f'{name}: holds a {type(found).__name__}, no weights')
    return found


def dataset_meta_of(checkpoint: object) -> dict[str, Any]:
    """Return what a loaded checkpoint says of its data, ``{}`` if it says nothing."""
    for key in ('meta', 'dataset_meta'):
        checkpoint = checkpoint.get(key) if isinstance(checkpoint, Mapping) else None
    return dict(checkpoint) if isinstance(checkpoint, Mapping) else {}


def is_old_format(stream: BinaryIO) -> bool:
    """Tell whether the file begins as those of torch before version 1.6."""
    stream.seek(0)
    return stream.read(len(OLD_FORMAT)) == OLD_FORMAT


def is_intact(stream: BinaryIO) -> bool:
    """Tell whether the file is a ZIP with right checksums, as torch writes it."""
    try:
        archive = zipfile.ZipFile(stream)
        pickled = any(Path(name).name == 'data.pkl' for name in archive.namelist())
        return pickled and archive.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return False


def load_url(
    url: str,
    map_location: MAP_LOCATION = None,
    model_dir: str | Path | None = None,
    **_: object,
) -> object:
    """Download a checkpoint, once, and load it."""
    return load_local(download(url, model_dir), map_location)


def download(url: str, folder: str | Path | None = None) -> Path:
    """Fetch a file into a folder (by default torch's cache) unless it is there.

    Raises:
        FileNotFoundError: If it cannot be downloaded.
    """
    name = Path(urlparse(url).path).name
    path = Path(folder or Path(torch.hub.get_dir()) / 'checkpoints') / name
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = re.search(r'-([0-9a-f]{8,64})\.', name)  # torch.hub's naming rule
    try:
        torch.hub.download_url_to_file(url, str(path), digest and digest[1])
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f'{url} could not be downloaded ({error}). Fetch it elsewhere and copy it '
            f'to {path}, or give its path instead'
        ) from error
    return path


def refused(name: str, found: str) -> str:
    """Say what a file holds that is not read, and what to do."""
    return (
        f'{name} is refused: besides weights it holds {found}, and to load that is '
        'to run code from the file. The file itself is whole: keep it. Take the '
        'safetensors file of the same model, or, if you trust its author, save the '
        'weights alone: checkpoint = torch.load(path, weights_only=False); '
        "torch.save(dict(state_dict=checkpoint['state_dict']), new_path)"
    )


def damaged(name: str | Path, size: int, error: Exception) -> str:
    """Say that a file of ``size`` bytes cannot be read, and why."""
    return (
        f'{name} ({size} bytes) is damaged or no checkpoint: {reason(error)}. '
        'Put an intact copy in its place'
    )


def reason(error: Exception) -> str:
    """Return the first line of torch's text, without its advice to unpickle all."""
    text = str(error).partition('WeightsUnpickler error:')[2] or str(error)
    return text.strip().split('\n')[0].rstrip('.') or type(error).__name__
