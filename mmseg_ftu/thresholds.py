"""The probability above which a pixel is foreground, by data source and organ."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

#: ``{source: {organ: t, 'default': t}, 'default': t}`` with t in 0..1; instead of the
#: inner table a source may have one number.
Thresholds = Mapping[str, float | Mapping[str, float]]
T = TypeVar('T')

LAYOUT = 1  # of the file that mmseg-ftu thresholds writes

# The same as `thresholds` of configs/_base_/datasets/hubmap_768x768.py, which has the
# source; here for those who use the metric or the predictor without these configs.
PAPER_THRESHOLDS: dict[str, float | dict[str, float]] = {
    'HPA': {'default': 0.5, 'lung': 0.15},
    'Hubmap': {'default': 0.4, 'lung': 0.1},
    'default': 0.5,
}


def threshold_for(
    thresholds: Thresholds, data_source: str | None, organ: str | None
) -> float:
    """Look up the threshold of an image.

    Args:
        thresholds: Table ``{source: {organ: t, 'default': t}, 'default': t}`` with t in
            0..1; instead of the inner table a source may have one number.
        data_source: Data source of the image, e.g. ``HPA``; upper or lower case.
        organ: Organ of the image, e.g. ``lung``; upper or lower case.

    Returns:
        The entry of (source, organ), else the source's default, else the outermost.

    Raises:
        ValueError: If none of the three is there.
    """
    entry = _entry(thresholds, data_source)
    table = {} if entry is None else entry
    if not isinstance(table, Mapping):
        return table
    for candidate in (
        _entry(table, organ),
        table.get('default'),
        thresholds.get('default'),
    ):
        if candidate is not None and not isinstance(candidate, Mapping):
            return candidate
    raise ValueError(
        f'no threshold for data source {data_source!r}, organ {organ!r}: add it or a '
        f"'default' to thresholds (there are {sorted(thresholds)})"
    )


def _entry(table: Mapping[str, T], name: str | None) -> T | None:
    """Return the entry of a name in any case, None if there is none."""
    if name is None:
        return None
    if name in table:
        return table[name]
    spelt = {str(key).casefold(): key for key in table}
    key = spelt.get(name.casefold())
    return None if key is None else table[key]


def source_without_entry(thresholds: Thresholds, data_source: str | None) -> str | None:
    """Say that a table of thresholds does not know a data source.

    Args:
        thresholds: Table of thresholds, as `threshold_for` takes it.
        data_source: Data source of an image.

    Returns:
        A sentence; None where the table knows it, or no source at all.
    """
    sources = sorted({*thresholds} - {'default'})
    if (
        data_source is None
        or not sources
        or _entry(thresholds, data_source) is not None
    ):
        return None
    return (
        f'the thresholds hold nothing for the data source {data_source!r} (they know '
        f'{", ".join(sources)}), so their default is used'
    )


def organ_alone(thresholds: Thresholds, organ: str | None) -> str | None:
    """Say that an organ without its data source does not choose a threshold.

    Args:
        thresholds: Table of thresholds, as `threshold_for` takes it.
        organ: Organ of an image whose data source is unknown.

    Returns:
        A sentence; None where no data source has a threshold for this organ.
    """
    found = {
        source: table[organ]
        for source, table in thresholds.items()
        if isinstance(table, Mapping) and organ is not None and organ in table
    }
    if not found:
        return None
    listed = ', '.join(f'{source} {value}' for source, value in found.items())
    return (
        f'the threshold of {organ} depends on the data source ({listed}), which is not '
        f'known, so {threshold_for(thresholds, None, organ)} is used: say '
        '--data-source, or --threshold'
    )


def check_thresholds(thresholds: Mapping[str, Any]) -> None:
    """Raise ValueError unless every threshold is a number in 0..1."""
    if isinstance(thresholds.get('default'), Mapping):
        raise ValueError(
            f'threshold of default: {thresholds["default"]}, not a number; only a '
            'data source may have a table of organs'
        )
    for source, table in thresholds.items():
        entries = table if isinstance(table, Mapping) else {'': table}
        for organ, value in entries.items():
            place = f'{source} {organ}'.strip()
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f'threshold of {place}: {value!r}, not a number')
            if not 0 <= value <= 1:
                raise ValueError(f'threshold of {place}: {value} is not in 0..1')


def load_thresholds(path: str | Path) -> dict[str, Any]:
    """Read the thresholds of a file.

    Args:
        path: JSON written by ``tools/fit_thresholds.py``, or one that holds nothing but
            ``{source: {organ: t, 'default': t}, 'default': t}``.

    Raises:
        ValueError: If there is no such file or it holds something else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except OSError as error:
        raise ValueError(f'thresholds {path}: {error.strerror}') from None
    except ValueError as error:  # of JSON or of Unicode
        raise ValueError(f'thresholds {path}: is not JSON ({error})') from None
    if isinstance(content, dict) and 'thresholds' in content:
        if content.get('layout', LAYOUT) != LAYOUT:
            raise ValueError(
                f'thresholds {path}: has the layout {content["layout"]}, this version '
                f'reads {LAYOUT}; fit them again with mmseg-ftu thresholds'
            )
        content = content['thresholds']
    if not isinstance(content, dict) or not content:
        raise ValueError(
            f'thresholds {path}: holds no table; expected '
            '{"SOURCE": {"ORGAN": 0.5, "default": 0.5}, "default": 0.5}'
        )
    try:
        check_thresholds(content)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None
    return content
