"""Find published weight files and read their tensors.

Sources: ``timm://<model>.<tag>`` and ``hf://<owner>/<repository>[/<file>]`` (Hugging
Face, see ``hub_weights.py``), ``pip://<package>`` (see ``packaged_weights.py``), an
http(s) URL, or a local file (``.safetensors``, otherwise the format of ``torch.save``,
which ``mmseg_ftu/engine/safe_checkpoints.py`` reads without running code from it).
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from mmseg_ftu.engine.model_folder import is_model_folder, weights_path
from mmseg_ftu.engine.safe_checkpoints import download, load_local
from mmseg_ftu.models.backbones.hub_weights import find_in_repository, find_of_timm
from mmseg_ftu.models.backbones.packaged_weights import find_in_package

StateDict = dict[str, Tensor]

# Entries that hold the weights in published files, best first (timm's order).
NESTS = ('state_dict_ema', 'state_dict', 'model')


def find_checkpoint(checkpoint: str | Path) -> Path:
    """Return the local file of a checkpoint, downloading it where necessary.

    Args:
        checkpoint: ``timm://<model>.<tag>``, ``hf://<owner>/<repository>[/<file>]``,
            ``pip://<package>``, an http(s) URL, a path, or a model folder.

    Raises:
        FileNotFoundError: The file is not here and cannot be downloaded.
        ValueError: timm does not know the model, or the package is unknown or holds
            another file than the published one.
    """
    checkpoint = str(checkpoint)
    if checkpoint.startswith('timm://'):
        return find_of_timm(checkpoint)
    if checkpoint.startswith('hf://'):
        return find_in_repository(checkpoint)
    if checkpoint.startswith('pip://'):
        return find_in_package(checkpoint)
    if checkpoint.startswith(('http://', 'https://')):
        return download(checkpoint)
    path = Path(checkpoint).expanduser()
    if is_model_folder(path) or path.is_dir():
        return weights_path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'init_cfg.checkpoint: no file {checkpoint!r} (working directory '
            f'{Path.cwd()}); give a path, a model folder, an http(s) URL, '
            'timm://<model>.<tag>, hf://<owner>/<repository>[/<file>] or '
            'pip://<package>'
        )
    return path


def read_state_dict(path: Path, prefix: str | None = None) -> StateDict:
    """Read the tensors of a checkpoint without running code from it.

    Args:
        path: ``.safetensors``, otherwise a file written by ``torch.save``.
        prefix: Keep only names below this prefix, and cut it off.

    Raises:
        ValueError: The file is damaged, holds more than plain data, or no tensors.
    """
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
