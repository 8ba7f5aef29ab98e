"""Outline masks (green) and predictions (yellow) of each organ in one picture."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('prepared', type=Path, help='folder made by prepare_*.py')
    parser.add_argument('result', type=Path, help='folder made by test.py --out')
    parser.add_argument('output', type=Path, help='the PNG to write')
    parser.add_argument(
        '--per-organ', type=int, default=2, help='images for each organ, best to worst'
    )


def run(prepared: Path, result: Path, output: Path, per_organ: int) -> None:
    """Run the command."""
    from mmseg_ftu.evaluation.overlay import draw_result

    draw_result(prepared, result, output, per_organ)
    print(f'wrote {output}')
