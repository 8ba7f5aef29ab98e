"""What a prediction was made with, by content: so that a resumed run can trust it."""

import hashlib
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config

from mmseg_ftu.engine.model_folder import find_weights
from mmseg_ftu.version import __version__

#: What prediction reads of a config. Others (data, schedule, hooks) change no result,
#: and some of them differ with environment variables.
CONFIG_PARTS = (
    *('custom_imports', 'default_scope', 'inference', 'model', 'test_pipeline'),
    *('img_scale', 'crop_size', 'tta_pipeline', 'tta_model'),
)
FOLD_KEYS = ('fold', 'folds_id', 'train_images')  # what checkpoints tell of training


def hash_config(cfg: Config) -> str:
    """Return a SHA-256 of what prediction reads of a config, in hexadecimal digits.

    Args:
        cfg: The config as it is used: bases and options merged.
    """
    parts = {name: cfg.get(name) for name in CONFIG_PARTS}
    text = json.dumps(parts, sort_keys=True, default=_name_of)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def describe_checkpoints(
    checkpoints: Sequence[str],
    weights: Sequence[float],
    metas: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return path, SHA-256, weight and training images of each checkpoint.

    Args:
        checkpoints: Paths, model folders or URLs; of these the weights are hashed.
        weights: Weights of the checkpoints, one each.
        metas: ``dataset_meta`` of the checkpoints; what they tell of `FOLD_KEYS` is
            taken over, see ``mmseg_ftu.datasets.fold_record``.
    """
    described = []
    for path, weight, meta in zip(checkpoints, weights, metas, strict=True):
        sha256 = hash_file(find_weights(path))
        entry: dict[str, Any] = dict(path=str(path), weight=weight, sha256=sha256)
        entry |= {key: meta[key] for key in FOLD_KEYS if key in meta}
        described.append(entry)
    return described


def versions() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    return dict(
        mmseg_ftu=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        opencv=cv2.__version__,
        platform=sys.platform,
    )


def _name_of(value: object) -> str:
    """Name what JSON cannot hold; classes and functions without their address."""
    return getattr(value, '__qualname__', None) or str(value)
