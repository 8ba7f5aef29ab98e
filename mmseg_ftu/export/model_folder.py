"""Write a model folder, which ``mmseg_ftu/engine/model_folder.py`` describes and reads.

It is made beside its place, tried there on an image, and gets its name at the end.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor

from mmseg_ftu.datasets.fold_record import trained_on
from mmseg_ftu.engine.check_model_config import OF_OTHERS, PARTS, check_model_config
from mmseg_ftu.engine.check_weights_hook import plain
from mmseg_ftu.engine.model_folder import (
    CARD,
    CONFIG,
    FACTS,
    FORMAT,
    NO_UNIT,
    PICTURES,
    WEIGHTS,
    find_model_folder,
    find_weights,
    is_model_folder,
    read_facts,
    read_model_config,
)
from mmseg_ftu.engine.runner import load_config
from mmseg_ftu.engine.safe_checkpoints import DATA_ENTRY, load_local, weights_of
from mmseg_ftu.export.licences import OPTIONS, doubt_of_sharing, spdx_of
from mmseg_ftu.export.model_card import card_of
from mmseg_ftu.export.model_place import EDITABLE, MADE_BY, require_free
from mmseg_ftu.export.model_scores import check_scores, read_scores
from mmseg_ftu.export.package_facts import PackageFacts, facts_of
from mmseg_ftu.export.probability import load_for_export
from mmseg_ftu.inference.checkpoint_recipe import recipe_of
from mmseg_ftu.inference.network import Network
from mmseg_ftu.inference.predictor import FTUPredictor
from mmseg_ftu.inference.provenance import versions
from mmseg_ftu.io.atomic_files import encode_png
from mmseg_ftu.io.atomic_folders import remove_left_folders, replacing_folder
from mmseg_ftu.io.images import read_image
from mmseg_ftu.io.listing import some_of
from mmseg_ftu.io.own_files import (
    digest_of,
    make_parent,
    mark_picture,
)
from mmseg_ftu.io.resizing import resize_image, target_shape
from mmseg_ftu.masks.draw_outlines import PREDICTION_COLOUR, draw_outlines
from mmseg_ftu.prepared_table import image_key
from mmseg_ftu.sample_tissue import draw_sample

PICTURE_SIDE = 768  # px, the longer side of a picture
#: The largest change of a probability that float16 weights may cause.
TOLERANCE = {False: 1e-5, True: 0.02}
OF_FACTS = 'unit', 'organ', 'data_source', 'training_pixel_size'


def export_model(
    checkpoint: str,
    out: str,
    *,
    config: str | None = None,
    name: str | None = None,
    authors: Sequence[str] = (),
    license: str | None = None,
    data: str | None = None,
    data_license: str | None = None,
    scores: Path | None = None,
    images: Sequence[Path] = (),
    half: bool = False,
    overwrite: bool = False,
    cfg_options: dict[str, Any] | None = None,
    **facts: Any,
) -> None:
    """Write a model folder.

    Args:
        checkpoint: Path or URL of the weights.
        out: Folder to write.
        config: Path of the config; None takes the one that training left beside the
            checkpoint.
        name: Name of the model; None takes that of the folder.
        authors: Names of the authors.
        license: SPDX identifier of the licence of the weights.
        data: What the model was trained on, for people.
        data_license: SPDX identifier of the licence of the training data.
        scores: ``evaluation_groups.csv`` of ``mmseg-ftu evaluate``, of images that were
            not trained on.
        images: Images for the card's pictures, with the prediction drawn on them.
        half: Store weights as float16: half the size.
        overwrite: Replace a model folder that this function wrote.
        cfg_options: Settings that override the config's, dotted keys.
        **facts: ``unit``, ``organ``, ``data_source`` and ``training_pixel_size`` of
            `facts_of`.

    Raises:
        ValueError: If an argument or the model cannot be used, or ``out`` is there.
    """
    place = Path(os.path.abspath(Path(out).expanduser()))
    if is_model_folder(checkpoint):  # what its card says is said again
        known = card_facts(checkpoint, place)
        authors, license = authors or known['authors'], license or known['license']
        data = data or known['data']
        data_license = data_license or known['data_license']
        for key in OF_FACTS:
            facts[key] = known[key] if facts.get(key) is None else facts[key]
    license = license and spdx_of(license, OPTIONS['license'])
    data_license = data_license and spdx_of(data_license, OPTIONS['data_license'])
    remove_left_folders(place)
    require_free(place, overwrite)
    make_parent(place)
    config = config or config_of(checkpoint)
    cfg = load_config(config, None, cfg_options)
    parts = parts_of(cfg)
    shown = [(path, _read_shown(path)) for path in images]
    table = read_scores(scores)
    if scores is None and is_model_folder(checkpoint):
        table = known['scores']
    model = load_for_export(load_config(config, None, cfg_options), checkpoint)
    said = facts_of(
        model,
        cfg,
        name=name or place.name,
        authors=tuple(authors) or ('unknown',),
        license=license or 'unknown',
        **facts,
    )
    meta = dict(model.meta)
    if size := facts.get('training_pixel_size'):
        meta['preparation'] = recipe_of(cfg, [meta], None, size).to_dict()
    with replacing_folder(place) as folder:
        _write_weights(folder / WEIGHTS, checkpoint, meta, half)
        _write_json(folder / CONFIG, parts)
        content = dict(
            made_by=MADE_BY,
            format=FORMAT,
            **_as_json(said),
            authors=list(authors),
            license=license,
            data=data,
            data_license=data_license,
            training=_training(meta),
            scores=table,
            versions=versions(),
            sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
        )
        _write_json(folder / FACTS, content)  # those below read the folder
        change = largest_change(cfg, checkpoint, folder)
        if change > TOLERANCE[half]:
            raise ValueError(
                f'the weights as written change a probability by {change:.2g}, more '
                f'than {TOLERANCE[half]:g}'
                + (': leave out --half' if half else '; this is a fault of mmseg_ftu')
            )
        pictures = _write_pictures(folder, shown, said, meta)
        (folder / CARD).write_text(card_of(said, content, pictures), 'utf-8')
        content['digests'] = {name: digest_of(folder / name) for name in EDITABLE}
        _write_json(folder / FACTS, content)
        require_free(place, overwrite)  # it took a while
    _report(place, content, change)


def config_of(checkpoint: str) -> str:
    """Return a model folder's own config, or the one that training left beside.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If there is no config or more than one.
    """
    if is_model_folder(checkpoint):
        return checkpoint
    path = Path(checkpoint).expanduser()
    if path.name == WEIGHTS and is_model_folder(path.parent):
        return str(path.parent)
    if '://' not in checkpoint and path.is_dir():
        find_model_folder(checkpoint)  # says what it lacks
    if '://' not in checkpoint and not path.is_file():
        raise FileNotFoundError(f'checkpoint {checkpoint} does not exist')
    found = sorted(path.parent.glob('*.py'))
    if len(found) != 1:
        what = some_of([path.name for path in found]) if found else 'none'
        raise ValueError(
            f'{checkpoint}: expected one config (.py) beside it, found {what}: give '
            '--config'
        )
    return str(found[0])


def card_facts(model: str, place: Path) -> dict[str, Any]:
    """Return what the card of a model folder says, to be said again of the same model.

    Args:
        model: The model folder, or its address.
        place: Where it is to be written.

    Raises:
        ValueError: If that is the folder itself.
    """
    folder = find_model_folder(model)
    if folder.resolve() == place.resolve():
        raise ValueError(f'{place} is the model itself: name another folder')
    facts = read_facts(folder)

    def text(key: str) -> str | None:
        value = facts.get(key)
        return value if isinstance(value, str) and value else None

    names = facts.get('authors')
    rows, size = facts.get('scores'), facts.get('pixel_size')
    by_organ = facts.get('pixel_sizes')
    return dict(
        authors=[str(name) for name in names] if isinstance(names, list) else [],
        **{key: text(key) for key in ('license', 'data', 'data_license', 'organ')},
        data_source=text('data_source'),
        unit=None if text('unit') == NO_UNIT else text('unit'),
        scores=check_scores(rows, f'{folder / FACTS}') if rows else [],
        training_pixel_size=(
            float(size) if isinstance(size, int | float) and not by_organ else None
        ),
    )


def parts_of(cfg: Config) -> dict[str, Any]:
    """Return the parts of a config that a model folder holds, fit for JSON.

    Raises:
        ValueError: If one cannot be held, or names a file.
    """
    parts = {name: _plain(cfg.get(name), name) for name in PARTS if name in cfg}
    check_model_config(parts, 'the config')
    return parts


def _plain(value: Any, path: str) -> Any:
    """Return data for JSON, without what fetches weights or modules."""
    if isinstance(value, Mapping):
        kept = {k: v for k, v in value.items() if k not in OF_OTHERS}
        return {str(k): _plain(v, f'{path}.{k}') for k, v in kept.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, f'{path}[{i}]') for i, v in enumerate(value)]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ValueError(f'the config holds {path}={value!r}, which JSON cannot hold')


def _write_weights(
    path: Path, checkpoint: str, meta: Mapping[str, Any], half: bool
) -> None:
    state = plain(weights_of(load_local(find_weights(checkpoint), 'cpu'), checkpoint))
    told = json.dumps(meta, default=_plain_number)
    stored = {name: _stored(tensor, half) for name, tensor in state.items()}
    path.write_bytes(safetensors.torch.save(stored, {DATA_ENTRY: told}))


def _stored(tensor: Tensor, half: bool) -> Tensor:
    """Return a tensor of its own; kernels and matrices as float16 if asked for."""
    if half and tensor.dtype == torch.float32 and tensor.ndim > 1:
        tensor = tensor.half()
    return tensor.detach().clone().contiguous()


def _plain_number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | Tensor):
        return value.tolist()
    raise ValueError(f'the checkpoint tells of its data {value!r}, which JSON cannot')


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + '\n', 'utf-8')


def _as_json(facts: PackageFacts) -> dict[str, Any]:
    return dict(
        name=facts.name,
        unit=facts.unit,
        organ=facts.organ,
        data_source=facts.data_source,
        pixel_size=facts.pixel_size,
        pixel_sizes=dict(facts.pixel_sizes),
        training_size=facts.training_size,
        stain=facts.stain,
        thresholds=dict(facts.thresholds),
        written=facts.written,
    )


def _training(meta: Mapping[str, Any]) -> dict[str, Any]:
    images = meta.get('train_images')
    return dict(
        images=None if images is None else len(images),
        fold=meta.get('fold'),
        folds_id=meta.get('folds_id'),
    )


def _read_shown(path: Path) -> np.ndarray:
    """Read an image for a picture of the card."""
    try:
        return read_image(path)
    except (ValueError, OSError) as error:
        raise ValueError(f'--image {path}: can not be read ({error})') from error


def largest_change(cfg: Config, checkpoint: str, folder: Path) -> float:
    """Return how much the folder's probabilities differ from the checkpoint's."""
    image = draw_sample(0, 256).rgb
    members = Network(cfg, [checkpoint]), Network(read_model_config(folder), [folder])
    before, after = (network([image])[0] for network in members)
    return float(np.abs(before - after).max())


def _write_pictures(
    folder: Path,
    images: Sequence[tuple[Path, np.ndarray]],
    facts: PackageFacts,
    meta: Mapping[str, Any],
) -> dict[str, bool]:
    """Write the pictures; returns whether each is of an image that was trained on."""
    if not images:
        return {}
    (folder / PICTURES).mkdir()
    predictor = FTUPredictor(folder)
    pictures = {}
    for number, (path, rgb) in enumerate(images, 1):
        found = predictor(path, organ=facts.organ, data_source=facts.data_source)
        small = rgb
        if max(rgb.shape[:2]) > PICTURE_SIDE:
            small = resize_image(rgb, target_shape(rgb.shape[:2], PICTURE_SIDE))
        drawn = draw_outlines(small, found.mask == 1, PREDICTION_COLOUR)
        name = f'{PICTURES}/{number}.png'
        (folder / name).write_bytes(mark_picture(encode_png(drawn)))
        key = image_key(path.stem, rgb.shape[:2], facts.data_source or '')
        pictures[name] = bool(trained_on(meta, {key: path.stem}))
    return pictures


def _report(place: Path, content: Mapping[str, Any], change: float) -> None:
    if doubt := doubt_of_sharing(content['license'], content['data_license']):
        print_log(doubt, 'current', logging.WARNING)
    size = (place / WEIGHTS).stat().st_size / 2**20
    print_log(
        f'wrote {place} ({WEIGHTS} {size:.1f} MiB); its probabilities are those of '
        f'the checkpoint within {change:.1g}',
        'current',
    )
    unsaid = [
        option
        for option, key in (
            ('--author', 'authors'),
            ('--license', 'license'),
            ('--data', 'data'),
            ('--data-license', 'data_license'),
            ('--scores', 'scores'),
        )
        if not content[key]
    ]
    if unsaid:
        print_log(
            f'the card does not say {", ".join(unsaid)}; `publish` needs the licences',
            'current',
            logging.WARNING,
        )
