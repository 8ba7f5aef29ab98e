"""What a prepared folder holds, for its manifest and for people."""

from typing import Any

import cv2
import numpy as np
import pandas as pd

from mmseg_ftu.io.resizing import INTERPOLATION
from mmseg_ftu.version import __version__

LAYOUT = 1  # raise it when other pixels would be written for the same source


def describe_folder(
    table: pd.DataFrame, listed: int, settings: dict[str, Any]
) -> dict[str, Any]:
    """Return the manifest's account of how the folder was made.

    Args:
        table: Rows of ``folds.csv``.
        listed: Number of images before empty ones were left out.
        settings: Settings of the run.
    """
    return {
        'layout': LAYOUT,
        'settings': settings,
        'interpolation': INTERPOLATION,
        'counts': {
            'images': len(table),
            'left_out_as_empty': listed - len(table),
            'groups': int(table['group'].nunique()),
            'by_organ': _counts(table['organ']),
            'by_data_source': _counts(table['data_source']),
            'by_fold': _counts(table['fold']),
        },
        'versions': {
            'mmseg_ftu': __version__,
            'numpy': np.__version__,
            'opencv': cv2.__version__,
        },
    }


def count_images(table: pd.DataFrame) -> str:
    """Show the images of each organ and fold."""
    counts = pd.crosstab(table['organ'], table['fold'], margins=True)
    groups = table['group'].nunique()
    return (
        f'Images by organ and fold ({groups} groups kept together):\n'
        + counts.to_string()
    )


def _counts(column: pd.Series) -> dict[str, int]:
    """Count values, in sorted order."""
    counts = column.value_counts().sort_index()
    return {str(value): int(count) for value, count in counts.items()}
