"""Prepare slides with annotations of QuPath for training; see docs/howto/slides.md."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from mmseg_ftu.commands.preparation_options import add_run_options, add_split_options
from mmseg_ftu.commands.stain_options import add_stain_options

STOPPED = 'stopped; run the same command again to go on'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add('slides', type=Path, help='folder of slides or images')
    add(
        'annotations',
        type=Path,
        help='folder of their annotations, of the same names: GeoJSON of QuPath '
        '(.geojson, .json, .gz), ROIs of ImageJ (.zip, .roi)',
    )
    add('target', type=Path, help='folder to write, beside the others')
    add_run_options(parser, 'folds and choice')
    add_tile_options(parser.add_argument_group('tiles'))
    add_class_options(parser.add_argument_group('classes of the annotations'))
    add_detail_options(parser.add_argument_group('what is known of the slides'))
    add_split_options(parser, 'the table')
    add_stain_options(parser)


def add_tile_options(group: argparse._ArgumentGroup) -> None:
    """Add size and choice of tiles."""
    add = group.add_argument
    add(
        '--pixel-size',
        type=float,
        required=True,
        metavar='UM',
        help='pixel size of the tiles, um/px: slides are brought to it',
    )
    add('--tile', type=int, default=512, help='side of a tile, px (%(default)s)')
    add(
        '--overlap',
        type=int,
        default=0,
        help='least overlap of neighbours, px (%(default)s)',
    )
    add(
        '--negatives',
        type=float,
        default=1.0,
        metavar='RATIO',
        help='tiles without a unit for each with one (%(default)s)',
    )
    add(
        '--least-tissue',
        type=float,
        default=0.25,
        metavar='SHARE',
        help='least share of tissue in a tile without a unit (%(default)s)',
    )
    add(
        '--empty',
        choices=('refuse', 'keep', 'skip'),
        default='refuse',
        help='what to do with slides without a unit (%(default)s)',
    )


def add_class_options(group: argparse._ArgumentGroup) -> None:
    """Add what classes mean."""
    add = partial(group.add_argument, nargs='+', default=[], metavar='NAME')
    add(
        '--class',
        dest='classes',
        help="classes of units, such as Glomerulus, 'Tumor: Positive' or 'Glom*'; "
        'Unclassified: those without a class (default: all but the following)',
    )
    add(
        '--region',
        dest='regions',
        help='classes whose outlines say what was annotated: the rest is ignored',
    )
    add('--ignore', dest='ignored', help='classes that are ignored')


def add_detail_options(group: argparse._ArgumentGroup) -> None:
    """Add organ, group, pixel size and origin of slides."""
    add = group.add_argument
    add('--index', type=Path, help='csv table with one row a slide')
    add('--id-column', default='id', help='column of names in the table (%(default)s)')
    add(
        '--group',
        default='',
        metavar='COLUMN|PATTERN',
        help='patients, whose slides stay in one fold: a column of the table, or a '
        "pattern of names with the patient in brackets, such as '(P[0-9]+)_.*' "
        '(default: each slide on its own)',
    )
    organ = group.add_mutually_exclusive_group(required=True)
    organ.add_argument('--organ', default='', help='organ of all slides')
    organ.add_argument('--organ-column', default='', help='column of organs')
    add('--data-source', default='own', help='name of the data set (%(default)s)')
    own = group.add_mutually_exclusive_group()
    own.add_argument(
        '--slide-pixel-size',
        default='',
        metavar='UM',
        help="the slides' own pixel size, um/px (default: as the files say)",
    )
    own.add_argument(
        '--pixel-size-column', default='', help="column of the slides' own pixel sizes"
    )
    add(
        '--origin',
        choices=('bounds', 'slide'),
        help='where coordinates begin on slides with an empty canvas (.mrxs): at the '
        'scanned part, as in QuPath (bounds), or at the corner of the canvas (slide)',
    )


def run(**options: Any) -> None:
    """Run the command."""
    from dataclasses import fields

    from mmseg_ftu.preparation.slide_options import SlideOptions
    from mmseg_ftu.preparation.slides import prepare_slides
    from mmseg_ftu.preparation.staining import take_stain_options

    names = [field.name for field in fields(SlideOptions)]
    meaning = {name: options.pop(name) for name in names}
    print(prepare_slides(SlideOptions(**meaning), **take_stain_options(options)))
