#!/usr/bin/env python
"""Outline masks (green) and predictions (yellow) of each organ in one picture."""

import argparse
from pathlib import Path

from mmseg_ftu.evaluation.overlay import draw_result


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('prepared', type=Path, help='folder made by prepare_*.py')
    parser.add_argument('result', type=Path, help='folder made by test.py --out')
    parser.add_argument('output', type=Path, help='the PNG to write')
    parser.add_argument(
        '--per-organ', type=int, default=2, help='images for each organ, best to worst'
    )
    return parser.parse_args()


if __name__ == '__main__':
    args = parse_args()
    try:
        draw_result(args.prepared, args.result, args.output, args.per_organ)
    except ValueError as error:
        raise SystemExit(f'error: {error}') from None
    print(f'wrote {args.output}')
