"""What all heads with one output channel have to be told."""

from collections.abc import Mapping
from typing import Any


def require_threshold(head: str, arguments: Mapping[str, Any]) -> None:
    """Refuse a head with one output channel and no threshold.

    Args:
        head: Its name, for the message.
        arguments: Those of mmseg's ``BaseDecodeHead``.

    Raises:
        ValueError: ``threshold`` is missing, and mmseg would take .3 in silence.
    """
    out_channels = arguments.get('out_channels') or arguments.get('num_classes')
    if out_channels == 1 and arguments.get('threshold') is None:
        raise ValueError(
            f'{head} with one output channel needs threshold=..., e.g. 0.5; mmseg '
            'would take 0.3'
        )
