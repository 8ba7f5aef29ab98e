"""Weights from repositories of Hugging Face, through its cache.

``timm://<model>.<tag>`` is the repository that timm names for a model;
``hf://<owner>/<repository>[@<revision>][/<file>]`` is any. A file that is in the cache
needs no network. Many pathology encoders are gated: one has to accept their conditions
first.
"""

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
)
from timm.models import PretrainedCfg, get_pretrained_cfg, list_pretrained

from mmseg_ftu.engine.model_folder import CONFIG, FACTS
from mmseg_ftu.io.listing import some_of
from mmseg_ftu.models.backbones.packaged_weights import known_package

# What repositories hold, best first.
FILES = ('model.safetensors', 'pytorch_model.bin')
# In the Hub's words, what a file that is not there raises, in the cache or at all.
NOT_FOUND = (EntryNotFoundError, HfHubHTTPError, HFValidationError, OSError)


def find_of_timm(checkpoint: str) -> Path:
    """Return the file of ``timm://<model>.<tag>``, downloading it where necessary.

    Raises:
        FileNotFoundError: The file is not here and cannot be downloaded.
        ValueError: timm does not know the model.
    """
    cfg = _timm_cfg(checkpoint)
    if cfg is None or not cfg.hf_hub_id:
        model = checkpoint.removeprefix('timm://')
        known = list_pretrained(f'{model.split(".")[0].split("_")[0]}*')
        raise ValueError(
            f'init_cfg.checkpoint {checkpoint!r}: timm has no weights of that name; '
            f'similar: {some_of(known)}'
        )
    return _download(checkpoint, cfg.hf_hub_id, cfg.hf_hub_filename or FILES[0])


def _timm_cfg(checkpoint: str) -> PretrainedCfg | None:
    model = checkpoint.removeprefix('timm://')
    try:
        return get_pretrained_cfg(model, allow_unregistered=False)
    except RuntimeError:
        return None


def find_in_repository(checkpoint: str) -> Path:
    """Return the file of ``hf://<owner>/<repository>[@revision][/<file>]``.

    It is downloaded unless it is here.

    Without a file ``model.safetensors`` is taken, else ``pytorch_model.bin``. The
    repository's ``config.json`` is fetched too, as it says how images are normalised.

    Raises:
        FileNotFoundError: The file is not here and cannot be downloaded, for example
            because the conditions of the repository were not accepted.
        ValueError: The address has no repository.
    """
    owner, _, rest = checkpoint.removeprefix('hf://').partition('/')
    name, _, file = rest.partition('/')
    if not owner or not name:
        raise ValueError(
            f'init_cfg.checkpoint {checkpoint!r}: expected '
            'hf://<owner>/<repository>[@revision][/<file>]'
        )
    name, _, revision = name.partition('@')
    repository = f'{owner}/{name}'
    files = [file] if file else FILES
    path = _download(checkpoint, repository, *files, revision=revision or None)
    with suppress(*NOT_FOUND):  # then nothing is compared, which the encoder logs
        hf_hub_download(repository, CONFIG, revision=revision or None)
    return path


def _download(
    checkpoint: str, repository: str, *files: str, revision: str | None = None
) -> Path:
    """Return the first of the files that is there."""
    for file in files:
        try:
            return Path(hf_hub_download(repository, file, revision=revision))
        except GatedRepoError as error:
            page = f'https://huggingface.co/{repository}'
            raise FileNotFoundError(
                f'{checkpoint}: {repository} is gated. Log in at {page} and accept its '
                'conditions there; then run `hf auth login` on this machine, or set '
                f'HF_TOKEN. {_by_hand(repository, file)}'
            ) from error
        except NOT_FOUND as error:
            if isinstance(error, EntryNotFoundError) and file != files[-1]:
                continue
            raise FileNotFoundError(
                f'{checkpoint}: {" or ".join(files)} of {repository} is not in the '
                f'Hugging Face cache {constants.HF_HUB_CACHE} and could not be '
                f'downloaded ({type(error).__name__}: {error}). '
                f'{_by_hand(repository, files[0])}'
            ) from error
    raise AssertionError('at least one file')


def _by_hand(repository: str, file: str) -> str:
    folder = f'models--{repository.replace("/", "--")}'
    return (
        f'On a machine with a network run `hf download {repository} {file}` and copy '
        f'its cache folder {folder} into {constants.HF_HUB_CACHE}, or copy the file '
        "anywhere and set init_cfg=dict(type='Pretrained', "
        f"checkpoint='/path/to/{Path(file).name}')"
    )


def published_cfg(checkpoint: str, path: Path) -> dict[str, Any]:
    """Return what is published of weights: ``mean``, ``std`` and other numbers.

    Args:
        checkpoint: How the weights were named.
        path: Their file; a ``config.json`` beside it, in timm's form or that of a
            model folder, is read.

    Returns:
        timm's ``pretrained_cfg``; empty if nothing is known.
    """
    if checkpoint.startswith('pip://'):
        checkpoint = f'timm://{known_package(checkpoint)[1].model_name}'
    if checkpoint.startswith('timm://'):
        cfg = _timm_cfg(checkpoint)
        return asdict(cfg) if cfg else {}
    try:
        content = json.loads(path.with_name(CONFIG).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    if path.with_name(FACTS).is_file():
        return _of_model_folder(content)
    found = content.get('pretrained_cfg')
    return found if isinstance(found, dict) else {}


def _of_model_folder(config: dict[str, Any]) -> dict[str, Any]:
    """Return mean and deviation of a model folder's config, as shares of 255."""
    try:
        preprocessor = config['model']['data_preprocessor']
        return {
            key: tuple(float(value) / 255 for value in preprocessor[key])
            for key in ('mean', 'std')
        }
    except (KeyError, TypeError, ValueError):
        return {}
