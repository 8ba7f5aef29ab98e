"""Export a trained segmentor as a BioImage.IO package, for QuPath, deepImageJ, ilastik.

The package is one ``.zip``: TorchScript weights (and ONNX, if asked for), descriptions,
test tensors, a page and a picture. ``bioimageio.core`` runs its own test on it before
it gets its name.
"""

import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import torch
import yaml
from mmengine.config import Config
from mmengine.logging import print_log

from mmseg_ftu.engine.runner import load_config
from mmseg_ftu.export import onnx as onnx_export
from mmseg_ftu.export.package_description import (
    COVER,
    NEW,
    OLD,
    ONNX,
    README,
    TEST_INPUT,
    TEST_OUTPUT,
    TILE,
    TORCHSCRIPT,
    describe,
)
from mmseg_ftu.export.package_facts import PackageFacts, check_words, facts_of
from mmseg_ftu.export.package_pages import cover_of, page_of
from mmseg_ftu.export.probability import Probability, load_for_export
from mmseg_ftu.export.torchscript import quiet, trace_to_torchscript
from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.images import read_image
from mmseg_ftu.io.listing import some_of
from mmseg_ftu.io.own_files import (
    PACKAGE_MARK,
    is_own_package,
    make_parent,
    require_own,
)
from mmseg_ftu.sample_tissue import ORGANS, draw_sample

FILES = (NEW, OLD, README, TORCHSCRIPT, ONNX, TEST_INPUT, TEST_OUTPUT, COVER)
SHORTEST_NAME = 5
COMPRESSED = ('.yaml', '.md', '.npy', '.png')  # weights hardly shrink


def export_bioimageio(
    config: str,
    checkpoint: str,
    out: str,
    *,
    authors: Sequence[str],
    license: str,
    name: str | None = None,
    image: str | None = None,
    onnx: bool = False,
    without_stain_step: bool = False,
    overwrite: bool = False,
    cfg_options: dict[str, Any] | None = None,
    **facts: Any,
) -> None:
    """Write a package, after ``bioimageio.core`` has tested it.

    Args:
        config: Path of the config.
        checkpoint: Path or URL of the weights.
        out: Path of the ``.zip`` file.
        authors: Names of the authors, at least one.
        license: SPDX identifier of the licence of the weights.
        name: Name of the model; None takes that of the config.
        image: Image of the test tensors, at the pixel size of training; its middle is
            taken. None draws synthetic tissue.
        onnx: Add ONNX weights.
        without_stain_step: Go on where training images were stain-normalised.
        overwrite: Replace a package that this function wrote.
        cfg_options: Settings that override the config's, dotted keys.
        **facts: Further arguments of `facts_of`.

    Raises:
        ImportError: Without the extra ``[bioimageio]``, or ``[onnx]`` if asked for.
        ValueError: An argument or the model cannot be used, the package does not pass
            the test, or ``out`` is there.
    """
    require_free(Path(out), overwrite)
    make_parent(Path(out))
    import_bioimageio()
    check_license(license)
    if name is None:
        name = Path(config).stem
    if len(name) < SHORTEST_NAME:  # bioimageio.spec's rule
        raise ValueError(f'--name {name!r}: give at least {SHORTEST_NAME} letters')
    check_words(name, authors, license, facts.get('organ'), facts.get('unit'))
    if onnx:
        onnx_export.import_onnx()
    cfg = load_config(config, None, cfg_options)
    shown, what = _test_image(image, facts.get('organ'))
    model = load_for_export(cfg, checkpoint)
    said = facts_of(
        model,
        cfg,
        name=name,
        authors=authors,
        license=license,
        **facts,
    )
    _refuse_stains(said, without_stain_step)
    content_of = {
        **_weights_of(model, config, checkpoint, cfg, onnx),
        **_shown_files(model, said, shown),
        README: page_of(said, what, onnx).encode(),
    }
    content = pack(with_descriptions(content_of, said))
    with tempfile.TemporaryDirectory() as folder:
        check_package(content, Path(folder))
    require_free(Path(out), overwrite)  # it took minutes
    write_bytes(Path(out), content)
    _report(out, content, said)


def require_free(path: Path, overwrite: bool) -> None:
    """Raise ValueError unless a package may be written there."""
    if path.suffix != '.zip':
        raise ValueError(f'--out {path}: give a name that ends with .zip')
    if path.is_file() and not overwrite:
        raise ValueError(f'{path} is there already: name another, or --overwrite')
    require_own(path, is_own_package)
    if path.is_file():
        with ZipFile(path) as archive:
            added = sorted({*archive.namelist()} - {*FILES})
        if added:
            raise ValueError(
                f'{path} holds files that were added to the package: {some_of(added)}; '
                'move it away'
            )


def check_license(license: str) -> None:
    """Raise ValueError unless the format knows a licence, and say which is like it."""
    listed = files('bioimageio.spec').joinpath('static', 'spdx_licenses.json')
    known = [entry['licenseId'] for entry in json.loads(listed.read_text())['licenses']]
    if license not in known:
        lower = {name.lower(): name for name in known}
        like = get_close_matches(license.lower(), lower, 3)
        hint = ' or '.join(lower[name] for name in like) or 'CC-BY-4.0, for example'
        raise ValueError(
            f'--license {license!r} is not an SPDX identifier, see '
            f'https://spdx.org/licenses: do you mean {hint}?'
        )


def import_bioimageio() -> ModuleType:
    """Import what tests a package, or say how to install it."""
    try:
        import bioimageio.core
    except ImportError as error:
        raise ImportError(
            f"{error.name} is missing: pip install 'mmseg_ftu[bioimageio]'"
        ) from error
    return bioimageio.core


def _refuse_stains(facts: PackageFacts, allowed: bool) -> None:
    if facts.normalises_stains and not allowed:
        raise ValueError(
            f'the model was trained on normalised stains ({facts.stain}), and a '
            'package cannot hold that step, so other programs would find less. Train '
            'on images as they are, or go on with --without-stain-step; the page of '
            'the package then says it'
        )


def _test_image(path: str | None, organ: str | None) -> tuple[np.ndarray, str]:
    """Return RGB uint8 ``(TILE, TILE, 3)`` and what it is."""
    if path is None:
        index = ORGANS.index(organ) if organ in ORGANS else 0
        sample = draw_sample(index, 2 * TILE)
        rgb = sample.rgb
        what = f'synthetic tissue ({sample.row["organ"]}), drawn by mmseg_ftu'
    elif not Path(path).is_file():
        raise ValueError(f'--image {path}: there is no such file')
    else:
        rgb, what = read_image(Path(path)), 'a part of an image given by the exporter'
    top, left = ((side - TILE) // 2 for side in rgb.shape[:2])
    if min(top, left) < 0:
        raise ValueError(
            f'--image {path}: {rgb.shape[1]} x {rgb.shape[0]} px are too few, give '
            f'{TILE} x {TILE} px at least'
        )
    return np.ascontiguousarray(rgb[top : top + TILE, left : left + TILE]), what


def _weights_of(
    model: Probability, config: str, checkpoint: str, cfg: Config, onnx: bool
) -> dict[str, bytes]:
    files = {TORCHSCRIPT: trace_to_torchscript(model)}
    if onnx:
        files[ONNX], _ = onnx_export.graph_of(model, cfg, config, checkpoint)
    return files


def _shown_files(
    model: Probability, facts: PackageFacts, shown: np.ndarray
) -> dict[str, bytes]:
    """Return the test tensors and the picture."""
    tensor = torch.from_numpy(shown).permute(2, 0, 1)[None].float().contiguous()
    with torch.inference_mode():
        probability = model(tensor)
    if not torch.isfinite(probability).all():
        raise ValueError('the network answers NaN or infinity for the test image')
    return {
        TEST_INPUT: _npy(tensor.numpy()),
        TEST_OUTPUT: _npy(probability.numpy()),
        COVER: cover_of(shown, probability[0, 0].numpy(), facts.threshold),
    }


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def with_descriptions(
    files: Mapping[str, bytes], facts: PackageFacts
) -> dict[str, bytes]:
    """Return the files of a package with its descriptions, which come first."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    version = torch.__version__.partition('+')[0]
    described = describe(facts, digests, version, onnx_export.OPSET)
    texts = {
        name: yaml.safe_dump(entry, sort_keys=False, allow_unicode=True).encode()
        for name, entry in described.items()
    }
    return {**texts, **files}


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of files; equal files give equal bytes."""
    stream = io.BytesIO()
    with ZipFile(stream, 'w') as archive:
        archive.comment = PACKAGE_MARK
        for name, data in files.items():
            info = ZipInfo(name)  # of 1980
            info.external_attr = 0o644 << 16
            compression = ZIP_DEFLATED if name.endswith(COMPRESSED) else ZIP_STORED
            archive.writestr(info, data, compression)
    return stream.getvalue()


def check_package(content: bytes, folder: Path) -> None:
    """Run the test of ``bioimageio.core`` on a package, for both descriptions.

    Args:
        content: The archive.
        folder: An empty folder to work in.

    Raises:
        ValueError: If it does not pass.
    """
    with ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
    for name in (NEW, OLD):
        with offline(), quiet():
            summary = import_bioimageio().test_description(folder / name)
        if summary.status != 'passed':
            faults = [
                f'{".".join(map(str, error.loc))}: {error.msg}'
                for detail in summary.details
                for error in detail.errors
            ]
            raise ValueError(
                f'bioimageio.core does not accept the package ({name}): '
                f'{"; ".join(faults) or summary.status}'
            )


@contextmanager
def offline() -> Iterator[None]:
    """Keep bioimageio from asking the network whether links lead somewhere."""
    from bioimageio.spec import ValidationContext

    with ValidationContext(perform_io_checks=False):
        yield


def _report(out: str, content: bytes, facts: PackageFacts) -> None:
    digest = hashlib.sha256(content).hexdigest()[:12]
    lines = [
        f'wrote {out} ({len(content) / 2**20:.0f} MiB, SHA-256 {digest}...); '
        'bioimageio.core accepts it'
    ]
    if facts.threshold != 0.5:
        lines.append(
            f'its threshold is {facts.threshold:g}; QuPath always takes 0.5, which the '
            'page of the package says'
        )
    if facts.pixel_size is None:
        lines.append(
            'the pixel size of training is unknown, so users have to guess it: give '
            '--training-pixel-size'
        )
    for line in lines:
        print_log(line, 'current')
