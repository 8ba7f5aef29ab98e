"""Draw what was prepared: slides with their annotations, images with their masks."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add('prepared', type=Path, help='prepared folder')
    add('output', type=Path, help='HTML page to write')
    add(
        '--images',
        type=int,
        default=8,
        help='images of each slide, or of each organ (%(default)s)',
    )
    add(
        '--thumbnail',
        type=int,
        default=512,
        metavar='PX',
        help='longer side of their pictures (%(default)s)',
    )


def run(prepared: Path, output: Path, images: int, thumbnail: int) -> None:
    """Run the command."""
    from mmseg_ftu.report.prepared_page import write_prepared_page

    print(write_prepared_page(prepared, output, images, thumbnail))
