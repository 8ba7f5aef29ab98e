"""Find published weight files and read their tensors.

Sources: ``timm://<model>.<tag>`` (Hugging Face cache, safetensors), an http(s) URL, or
a local file (``.safetensors``, otherwise the format of ``torch.save``, which
``mmseg_ftu/engine/safe_checkpoints.py`` reads without running code from it).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors.torch
from huggingface_hub import constants as hub_constants
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from safetensors import SafetensorError
from timm.models import get_pretrained_cfg, list_pretrained
from torch import Tensor

from mmseg_ftu.engine.safe_checkpoints import (
    DamagedCheckpointError,
    damaged,
    download,
    load_local,
)

StateDict = dict[str, Tensor]

# Entries that hold the weights in published files, best first (timm's order).
NESTS = ('state_dict_ema', 'state_dict', 'model')


def find_checkpoint(checkpoint: str | Path) -> Path:
    """Return the local file of a checkpoint, downloading it where necessary.

    Args:
        checkpoint: ``timm://<model>.<tag>``, an http(s) URL, or a path.

    Raises:
        FileNotFoundError: The file is not here and cannot be downloaded.
        ValueError: timm does not know the model.
    """
    checkpoint = str(checkpoint)
    if checkpoint.startswith('timm://'):
        return _find_in_hub(checkpoint)
    if checkpoint.startswith(('http://', 'https://')):
        return download(checkpoint)
    path = Path(checkpoint).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'init_cfg.checkpoint: no file {checkpoint!r} (working directory '
            f'{Path.cwd()}); give a path, an http(s) URL or timm://<model>.<tag>'
        )
    return path


def _find_in_hub(checkpoint: str) -> Path:
    model = checkpoint.removeprefix('timm://')
    try:
        cfg = get_pretrained_cfg(model, allow_unregistered=False)
    except RuntimeError:
        cfg = None
    if cfg is None or not cfg.hf_hub_id:
        known = list_pretrained(f'{model.split(".")[0].split("_")[0]}*')
        raise ValueError(
            f'init_cfg.checkpoint {checkpoint!r}: timm has no weights of that name; '
            f'similar: {some_of(known)}'
        )
    file = cfg.hf_hub_filename or 'model.safetensors'
    try:
        return Path(hf_hub_download(cfg.hf_hub_id, file))
    except (EntryNotFoundError, HfHubHTTPError, OSError) as error:
        cache = hub_constants.HF_HUB_CACHE
        folder = f'models--{cfg.hf_hub_id.replace("/", "--")}'
        raise FileNotFoundError(
            f'{checkpoint}: {file} of {cfg.hf_hub_id} is not in the Hugging Face cache '
            f'{cache} and could not be downloaded ({type(error).__name__}: {error}). '
            f'On a machine with a network run `hf download {cfg.hf_hub_id} {file}` and '
            f'copy its cache folder {folder} into {cache}, or copy the file anywhere '
            f"and set init_cfg=dict(type='Pretrained', checkpoint='/path/to/{file}')"
        ) from error


def read_state_dict(path: Path, prefix: str | None = None) -> StateDict:
    """Read the tensors of a checkpoint without running code from it.

    Args:
        path: ``.safetensors``, otherwise a file written by ``torch.save``.
        prefix: Keep only names below this prefix, and cut it off.

    Raises:
        ValueError: The file is damaged, holds more than plain data, or no tensors.
    """
    content: object
    if path.suffix == '.safetensors':
        try:
            content = safetensors.torch.load_file(path)
        except (SafetensorError, OSError) as error:
            text = damaged(path, path.stat().st_size, error)
            raise DamagedCheckpointError(text) from error
    else:
        content = load_local(path, 'cpu')
    for nest in NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
            break
    found = content if isinstance(content, Mapping) else {}
    tensors = {k: v for k, v in found.items() if isinstance(v, Tensor)}
    state = _strip_prefixes(tensors, prefix)
    if not state:
        raise ValueError(
            f'{path}: no weights found (looked at the top level and in {NESTS}'
            + (f', below the prefix {prefix!r})' if prefix else ')')
        )
    return state


def _strip_prefixes(state: StateDict, prefix: str | None) -> StateDict:
    """Cut off wrappers' names; of a whole segmentor keep the backbone."""
    if prefix:
        prefix = prefix.rstrip('.') + '.'
        inner = {k: v for k, v in state.items() if k.startswith(prefix)}
        return {k.removeprefix(prefix): v for k, v in inner.items()}
    for wrapper in ('module.', '_orig_mod.'):  # DataParallel/DDP, torch.compile
        if state and all(name.startswith(wrapper) for name in state):
            state = {name.removeprefix(wrapper): v for name, v in state.items()}
    inner = {k: v for k, v in state.items() if k.startswith('backbone.')}
    return {k.removeprefix('backbone.'): v for k, v in inner.items()} or state


def some_of(names: Iterable[str], limit: int = 6) -> str:
    """List the first names and say how many there are."""
    names = list(names)
    more = f', ... ({len(names)} in all)' if len(names) > limit else ''
    return ', '.join(names[:limit]) + more if names else 'nothing'
