"""Predict images or slides: ``tools/predict.py CONFIG CKPT --input PATH --output DIR``.

A model folder stands for both: ``predict FOLDER --input PATH --output DIR``. PATH is an
image or a slide, a folder, a pattern in quotes, the competition's folder
with test.csv, or a prepared folder; --slides names a table of slides instead. Several
checkpoints are averaged. The same command goes on after a stop; under torchrun or SLURM
the processes share the images.
"""

import argparse
from pathlib import Path
from typing import Any

from mmseg_ftu.commands.cfg_options import add_cfg_options, take_cfg_options
from mmseg_ftu.commands.split_options import add_split_options
from mmseg_ftu.inference.choices import (
    KINDS,
    LEAST_TISSUE,
    MASK_FORMATS,
    MODES,
    MOST_ANNOTATIONS,
    OBJECT_TYPES,
    ORIGINS,
    OUTLINES,
    SMOOTH,
    UPSAMPLINGS,
    VIEWS,
)
from mmseg_ftu.masks.object_types import MOST_OBJECTS

STOPPED = 'stopped; run the same command again to go on'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add(
        'config',
        help='path of the config, mmseg_ftu::ftu/NAME.py of the package, or a model '
        'folder (export model) or its hf://OWNER/REPO[@REVISION]',
    )
    add(
        'checkpoints',
        nargs='*',
        default=[],  # else argparse lists it among what is required
        help='paths or URLs of the weights; none for those of a model folder',
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--input', metavar='PATH', help='images or slides to predict')
    source.add_argument(
        '--slides',
        type=Path,
        metavar='TABLE',
        help='csv table of images or slides: path, and where known pixel_size, organ, '
        'data_source, patient',
    )
    add('--output', required=True, type=Path, metavar='DIR', help='folder to write')
    add(
        '--save',
        nargs='+',
        choices=KINDS,
        default=['masks', 'overlays'],
        help='kinds of files to write (default: masks overlays)',
    )
    add(
        '--mask-format',
        choices=MASK_FORMATS,
        default='auto',
        help='format of the masks; auto (default): png up to 8192 px a side, else tif',
    )
    add('--overwrite', action='store_true', help='replace results of other settings')
    add('--strict', action='store_true', help='stop at the first image that fails')
    _add_images(parser)
    _add_views(parser)
    _add_masks(parser)
    _add_outlines(parser)
    _add_machine(parser)
    add_cfg_options(parser)


def _add_images(parser: argparse.ArgumentParser) -> None:
    """Add what the images are."""
    add = parser.add_argument_group('what the images are').add_argument
    add(
        '--organ',
        help='organ of all images: names the objects where neither --class nor the '
        'model folder does; chooses the pixel size of training that images are brought '
        "to and, with --data-source, the threshold (default: the model folder's own, "
        'where --data-source is not given either)',
    )
    add(
        '--data-source',
        help='source of all images, such as HPA or Hubmap; chooses the threshold '
        "(default for the threshold alone: the model folder's own)",
    )
    add(
        '--pixel-size',
        type=float,
        metavar='UM',
        help='pixel size of all images, um/px (default: what each file says)',
    )
    add('--fold', type=int, help='predict this held-out fold of a prepared folder')
    add(
        '--allow-other-fold',
        action='store_true',
        help='accept a fold that the checkpoint was trained on',
    )


def _add_views(parser: argparse.ArgumentParser) -> None:
    """Add how the network sees the images."""
    add = parser.add_argument_group('how they are seen').add_argument
    add(
        '--mode',
        choices=MODES,
        default='auto',
        help='whole image, or tiles at the pixel size of training (default: auto)',
    )
    add(
        '--size',
        type=int,
        help='longer side to resize to, px (default: that of training)',
    )
    add(
        '--training-pixel-size',
        type=float,
        metavar='UM',
        help='pixel size that tiles are brought to, um/px (default: that of training)',
    )
    add('--tile', type=int, help='side of a tile, px (default: the size of training)')
    add(
        '--overlap',
        type=int,
        help='overlap of tiles, px (default: a quarter of a tile)',
    )
    add(
        '--min-tissue',
        type=float,
        default=LEAST_TISSUE,
        help='share of a tile below which it counts as empty (default: %(default)s)',
    )
    add(
        '--views',
        nargs='+',
        choices=list(VIEWS),
        help="views of an image to average over (default: the config's)",
    )
    add(
        '--scales',
        nargs='+',
        type=float,
        help="factors of the size to average over (default: the config's)",
    )
    add(
        '--weights',
        nargs='+',
        type=float,
        help='weights of the checkpoints, one each (default: all equal)',
    )
    add(
        '--stain-target',
        metavar='FILE',
        help="target of stain normalisation, or 'none' (default: that of training)",
    )
    add(
        '--allow-other-stain',
        action='store_true',
        help='accept a prepared folder with other stains than those of training',
    )


def _add_masks(parser: argparse.ArgumentParser) -> None:
    """Add how masks are made of probabilities."""
    add = parser.add_argument_group('from probability to mask').add_argument
    add(
        '--upsample',
        choices=UPSAMPLINGS,
        help="way to bring probabilities to the original size (default: the config's)",
    )
    add(
        '--thresholds',
        metavar='FILE',
        help="file of thresholds by fit_thresholds.py (default: the config's)",
    )
    add('--threshold', type=float, help='one threshold for all images, 0..1')
    add('--fill-holes', action='store_true', help='fill the holes of objects')
    add(
        '--max-hole-um2',
        type=float,
        help='area of the largest hole that --fill-holes fills, um2 (default: any)',
    )
    add_split_options(add)
    add(
        '--min-area-um2',
        type=float,
        help='area below which objects are dropped, um2',
    )
    add(
        '--min-area-px',
        type=float,
        help='area below which objects are dropped, px of the original',
    )


def _add_outlines(parser: argparse.ArgumentParser) -> None:
    """Add how outlines are written."""
    add = parser.add_argument_group('outlines in GeoJSON').add_argument
    add(
        '--outline',
        choices=OUTLINES,
        help='outlines in GeoJSON: exact (default), along the edges of pixels, or '
        'smooth, with about a tenth of the points',
    )
    add(
        '--simplify',
        type=float,
        metavar='PX',
        help='largest distance of a smooth outline from the exact one, px of the '
        f'original (default: {SMOOTH})',
    )
    add(
        '--object-type',
        choices=OBJECT_TYPES,
        default='auto',
        help='type that objects have in QuPath; auto (default): annotations, which can '
        f'be edited, up to {MOST_ANNOTATIONS} of an image, else detections',
    )
    add(
        '--max-objects',
        type=int,
        default=MOST_OBJECTS,
        help='the most objects of an image in GeoJSON, and a hundred times as many '
        'points; the smallest are left out (default: %(default)s)',
    )
    add(
        '--origin',
        choices=ORIGINS,
        default='bounds',
        help='where GeoJSON counts from on slides with an empty canvas (.mrxs): bounds '
        '(default), as QuPath does, or slide, the corner of the canvas',
    )
    add('--geojson-gz', action='store_true', help='write .geojson.gz')
    add(
        '--class',
        dest='class_name',
        metavar='NAME',
        help='name of the units in GeoJSON and tables (default: that of the model '
        'folder, else by organ)',
    )


def _add_machine(parser: argparse.ArgumentParser) -> None:
    """Add what the images are computed on."""
    add = parser.add_argument_group('the machine').add_argument
    add(
        '--device',
        help='device, such as cpu or cuda:1 (default: an accelerator if any)',
    )
    add('--amp', action='store_true', help='compute in half precision')
    add(
        '--compile',
        action='store_true',
        help='torch.compile: minutes at the start, for many tiles of a size on a GPU; '
        'needs a C++ compiler',
    )
    add(
        '--batch-size',
        type=int,
        help='images and views that are computed at once (default: 1, on a GPU 8)',
    )


def run(**options: Any) -> int:
    """Run the command."""
    import mmseg_ftu.plugin  # noqa: F401 (first: it keeps imports quiet)
    from mmseg_ftu.inference.command import predict

    summary = predict(**take_cfg_options(options))
    print(summary)
    return 1 if summary.failed else 0
