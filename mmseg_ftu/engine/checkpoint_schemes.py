"""Close mmengine's other ways to a checkpoint: names of models, stores, URLs.

mmengine reads ``torchvision://``, ``open-mmlab://``, ``mmcls://``, ``pavi://`` and
``s3://`` with loaders of their own, which unpickle anything. Each is replaced by one
that fetches the same file and reads it through ``safe_checkpoints.py``.
"""

import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.fileio import get_file_backend
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    _get_mmengine_home,
    _process_mmcls_checkpoint,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from torch.serialization import MAP_LOCATION

from mmseg_ftu.engine.model_folder import find_weights
from mmseg_ftu.engine.safe_checkpoints import load_local, load_stream, load_url


def refuse_unsafe_checkpoints() -> None:
    """Make mmengine read all of its schemes without a fallback to unpickling."""
    for schemes, loader in LOADERS.items():
        CheckpointLoader.register_scheme(schemes, loader=loader, force=True)


def load_from_path(filename: str, map_location: MAP_LOCATION = None) -> object:
    """Load a file or a model folder, also from the Hub."""
    return load_local(find_weights(filename), map_location)


def load_from_torchvision(filename: str, map_location: MAP_LOCATION = None) -> object:
    """Load ``torchvision://<model>`` or ``modelzoo://<model>``."""
    urls = get_torchvision_models()
    return load_url(urls[_model(filename, urls)], map_location)


def load_from_openmmlab(filename: str, map_location: MAP_LOCATION = None) -> object:
    """Load ``open-mmlab://<model>`` or ``openmmlab://<model>``."""
    urls, renamed = get_external_models(), get_deprecated_model_names()
    model = _model(filename, {**urls, **renamed})
    url = urls[renamed.get(model, model)]
    if url.startswith(('http://', 'https://')):
        return load_url(url, map_location)
    return load_local(Path(_get_mmengine_home()) / url, map_location)


def load_from_mmcls(filename: str, map_location: MAP_LOCATION = None) -> object:
    """Load the backbone of ``mmcls://<model>``."""
    urls = get_mmcls_models()
    checkpoint = load_url(urls[_model(filename, urls)], map_location)
    return _process_mmcls_checkpoint(checkpoint)


def load_from_pavi(filename: str, map_location: MAP_LOCATION = None) -> object:
    """Load ``pavi://<path>``; needs the package ``pavi``."""
    try:
        from pavi import modelcloud
    except ImportError as error:
        raise ImportError(f'{filename}: the package pavi is not installed') from error
    model = modelcloud.get(filename.removeprefix('pavi://'))
    with TemporaryDirectory() as folder:
        path = Path(folder) / Path(model.name).name
        model.download(str(path))
        return load_local(path, map_location)


def load_from_store(
    filename: str, map_location: MAP_LOCATION = None, backend: str = 'petrel'
) -> object:
    """Load ``s3://<path>`` or ``petrel://<path>``, with or without a cluster's name."""
    store = get_file_backend(filename, backend_args=dict(backend=backend))
    return load_stream(io.BytesIO(store.get(filename)), filename, map_location)


def _model(filename: str, known: dict[str, Any]) -> str:
    model = filename.partition('://')[2]
    if model not in known:
        raise ValueError(f'{filename}: no such model; known are {sorted(known)}')
    return model


LOADERS = {
    ('', 'hf://'): load_from_path,
    ('http://', 'https://'): load_url,
    ('modelzoo://', 'torchvision://'): load_from_torchvision,
    ('open-mmlab://', 'openmmlab://'): load_from_openmmlab,
    'mmcls://': load_from_mmcls,
    'pavi://': load_from_pavi,
    (r'(\S+\:)?s3://', r'(\S+\:)?petrel://'): load_from_store,
}
