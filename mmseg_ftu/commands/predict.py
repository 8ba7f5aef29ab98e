"""Predict images or slides: ``tools/predict.py CONFIG CKPT --input PATH --output DIR``.

PATH is an image or a slide, a folder, a pattern in quotes, the competition's folder
with test.csv, or a prepared folder. Several checkpoints are averaged. The same command
goes on after a stop; under torchrun or SLURM the processes share the images.
"""

import argparse
from pathlib import Path
from typing import Any

from mmseg_ftu.commands.cfg_options import add_cfg_options, take_cfg_options
from mmseg_ftu.inference.choices import (
    KINDS,
    LEAST_TISSUE,
    MASK_FORMATS,
    MODES,
    OBJECT_TYPES,
    UPSAMPLINGS,
    VIEWS,
)

STOPPED = 'stopped; run the same command again to go on'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add('config', help='path of the config, or mmseg_ftu::ftu/NAME.py of the package')
    add('checkpoints', nargs='+', help='paths or URLs of the weights')
    add('--input', required=True, metavar='PATH', help='what to predict')
    add('--output', required=True, type=Path, metavar='DIR', help='where files go')
    add(
        '--save',
        nargs='+',
        choices=KINDS,
        default=['masks', 'overlays'],
        help='what to write (default: masks overlays)',
    )
    add(
        '--mask-format',
        choices=MASK_FORMATS,
        default='auto',
        help='auto is png up to 8192 px a side, else tif',
    )
    add('--overwrite', action='store_true', help='replace results of other settings')
    add('--strict', action='store_true', help='stop at the first image that fails')

    add = parser.add_argument_group('what the images are').add_argument
    add(
        '--organ',
        help='names the objects; chooses the pixel size of training that tiles are '
        'brought to and, with --data-source, the threshold',
    )
    add('--data-source', help='e.g. HPA or Hubmap; chooses the threshold')
    add('--pixel-size', type=float, metavar='UM', help='um/px (default: of the file)')
    add('--fold', type=int, help='of a prepared folder: predict this held-out fold')
    add(
        '--allow-other-fold',
        action='store_true',
        help='accept a fold that the checkpoint was trained on',
    )

    add = parser.add_argument_group('how they are seen').add_argument
    add(
        '--mode',
        choices=MODES,
        default='auto',
        help='whole image, or tiles at the pixel size of training (default: auto)',
    )
    add('--size', type=int, help='longer side to resize to, px (default: of training)')
    add(
        '--training-pixel-size',
        type=float,
        metavar='UM',
        help='that tiles are brought to, um/px (default: of training)',
    )
    add('--tile', type=int, help='side of a tile, px (default: size of training)')
    add('--overlap', type=int, help='of tiles, px (default: a quarter)')
    add(
        '--min-tissue',
        type=float,
        default=LEAST_TISSUE,
        help='share of a tile below which it counts as empty (default: %(default)s)',
    )
    add('--views', nargs='+', choices=list(VIEWS), help='averaged (default: config)')
    add('--scales', nargs='+', type=float, help='averaged (default: of the config)')
    add('--weights', nargs='+', type=float, help='of the checkpoints (default: equal)')
    add('--stain-target', metavar='FILE', help="or 'none' (default: as in training)")
    add(
        '--allow-other-stain',
        action='store_true',
        help='accept a prepared folder with other stains than those of training',
    )

    add = parser.add_argument_group('from probability to mask').add_argument
    add(
        '--upsample', choices=UPSAMPLINGS, help='to the original size (default: config)'
    )
    add('--thresholds', metavar='FILE', help='of fit_thresholds.py (default: config)')
    add('--threshold', type=float, help='one for all images, 0..1')
    add('--fill-holes', action='store_true')
    add('--max-hole-um2', type=float, help='leave larger holes open')
    add('--min-area-um2', type=float, help='drop smaller objects')
    add('--min-area-px', type=float, help='the same in px of the original')
    add('--simplify', type=float, default=0.0, help='outlines in GeoJSON, px')
    add('--object-type', choices=OBJECT_TYPES, default='annotation', help='in QuPath')

    add = parser.add_argument_group('the machine').add_argument
    add('--device', help='e.g. cpu, cuda, cuda:1 (default: an accelerator if any)')
    add('--amp', action='store_true', help='half precision')
    add('--batch-size', type=int, help='images and views at once (default: 1, GPU 8)')
    add_cfg_options(parser)


def run(**options: Any) -> int:
    """Run the command."""
    import mmseg_ftu.plugin  # noqa: F401 (first: it keeps imports quiet)
    from mmseg_ftu.inference.command import predict

    summary = predict(**take_cfg_options(options))
    print(summary)
    return 1 if summary.failed else 0
