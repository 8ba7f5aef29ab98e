"""Read checkpoints without running code that hides in them.

mmengine falls back to plain unpickling where ``weights_only=True`` fails, and a pickle
can run any code. The entry points of this package call ``refuse_unsafe_checkpoints``.
"""

import os
from pathlib import Path
from pickle import UnpicklingError

import torch
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint


def refuse_unsafe_checkpoints() -> None:
    """Make mmengine read files and URLs with ``weights_only=True`` and no fallback."""
    CheckpointLoader.register_scheme('', loader=load_local, force=True)
    CheckpointLoader.register_scheme(
        ('http://', 'https://'), loader=load_url, force=True
    )


def load_local(filename: str, map_location=None) -> dict:
    """Load a checkpoint file of mmengine or torch.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is truncated, or holds more than tensors and plain data.
    """
    path = os.path.expanduser(filename)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    allowed = getattr(mmengine_checkpoint, 'get_torch_safe_globals', list)()
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location=map_location, weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f'checkpoint {path} holds objects that could run code when loaded, and is '
            'refused. If you trust where it comes from, convert it once: '
            "torch.save(torch.load(path, weights_only=False)['state_dict'], new_path). "
            f'({str(error).splitlines()[0]})'
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise ValueError(
            f'checkpoint {path} is truncated or damaged: {error}'
        ) from error


def load_url(filename: str, map_location=None, model_dir=None, **_) -> dict:
    """Download a checkpoint into torch's cache and load it as ``load_local`` does."""
    folder = Path(model_dir or Path(torch.hub.get_dir()) / 'checkpoints')
    path = folder / Path(filename).name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(filename, str(path))
    return load_local(str(path), map_location)
