"""Read checkpoints without running code that hides in them.

A pickle can run any code. Here they are read with torch's ``weights_only=True`` and in
no other way, while mmengine falls back to plain unpickling where that fails, and its
own list of safe names holds ``getattr``. Importing this package calls
``refuse_unsafe_checkpoints``; pretrained backbones read through ``load_local`` too.
"""

import argparse
import pickle
import re
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader


def _statistic(owner: type, name: str) -> object:
    """Stand in for ``getattr``, by which a ``HistoryBuffer`` names its four methods."""
    if owner is HistoryBuffer and name in ('min', 'max', 'mean', 'current'):
        return vars(HistoryBuffer)[name]
    raise pickle.UnpicklingError(f'GLOBAL getattr({owner.__name__},{name!r})')


# Plain data that training scripts (DeiT's descendants, mmengine) store next to the
# weights. Rebuilding these runs no code from the file.
SAFE_GLOBALS = [
    argparse.Namespace,
    HistoryBuffer,
    (_statistic, 'builtins.getattr'),
    np.ndarray,
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Int64DType,
    np.empty(0).__reduce__()[0],  # _reconstruct; numpy 2 moved it
    np.float64(0).__reduce__()[0],  # scalar, likewise
]


def refuse_unsafe_checkpoints() -> None:
    """Make mmengine read files and URLs as ``load_local`` does, with no fallback."""
    CheckpointLoader.register_scheme('', loader=load_local, force=True)
    CheckpointLoader.register_scheme(
        ('http://', 'https://'), loader=load_url, force=True
    )


def load_local(filename: str | Path, map_location=None) -> object:
    """Load what ``torch.save`` wrote: tensors and plain data.

    Args:
        filename: Path of the file.
        map_location: As for ``torch.load``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or loading it would run code.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r'GLOBAL (\S+)', str(error))
        if found is None:
            raise ValueError(damaged(path, error)) from error
        raise ValueError(
            f'{path} is refused: besides weights it holds {found[1]}, and to load that '
            'is to run code from the file. Take the safetensors file of the same '
            'model, or, if you trust its author, load it yourself and save the '
            'weights alone: torch.save(model.state_dict(), path)'
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ValueError(damaged(path, error)) from error


def load_url(url: str, map_location=None, model_dir=None, **_) -> object:
    """Download a checkpoint, once, and load it."""
    return load_local(download(url, model_dir), map_location)


def download(url: str, folder: str | Path | None = None) -> Path:
    """Fetch a file into a folder (by default torch's cache) unless it is there.

    Raises:
        FileNotFoundError: If it can't be downloaded.
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


def damaged(path: Path, error: Exception) -> str:
    """Say that a file can't be read, and why."""
    # torch's own text starts with advice to unpickle without restriction
    text = str(error).partition('WeightsUnpickler error:')[2] or str(error)
    reason = text.strip().split('\n')[0].rstrip('.') or 'unknown format'
    return (
        f'{path} ({path.stat().st_size} bytes) is damaged or no checkpoint: {reason}. '
        'Delete it and download it again'
    )
