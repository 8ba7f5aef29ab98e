"""The features of a GeoJSON text, one after another.

A file of QuPath is a FeatureCollection, a bare list of features, or one feature. Only
one feature is decoded at a time, since the numbers of a large file take ten times its
size as Python objects.
"""

import json
import re
from collections.abc import Generator, Iterator
from typing import Any

# yields features and returns the place behind them
Features = Generator[dict[str, Any], None, int]
BLANK = re.compile(r'[ \t\n\r]*')
DECODER = json.JSONDecoder()
SHAPES = {'Polygon', 'MultiPolygon', 'Point', 'MultiPoint', 'GeometryCollection'}
SHAPES |= {'LineString', 'MultiLineString'}


def iterate_features(text: str) -> Iterator[dict[str, Any]]:
    """Yield the features of a text.

    A geometry that stands alone becomes a feature without properties.

    Args:
        text: A FeatureCollection, a list of features, a feature or a geometry.

    Raises:
        ValueError: If the text is not JSON, or is not GeoJSON; it says where.
    """
    start = _skip(text, 0)
    if text[start : start + 1] == '[':
        end = yield from _elements(text, start)
    elif text[start : start + 1] == '{':
        end = yield from _of_object(text, start)
    else:
        raise ValueError('is not GeoJSON: it begins with neither { nor [')
    if _skip(text, end) < len(text):
        raise ValueError(f'goes on behind its end, at character {end}')


def _of_object(text: str, start: int) -> Features:
    """Yield the features of an object; returns where it ends."""
    members: dict[str, Any] = {}
    place = _skip(text, start + 1)
    while text[place : place + 1] != '}':
        key, place = _decode(text, place)
        place = _skip(text, _expect(text, _skip(text, place), ':'))
        if key == 'features' and text[place : place + 1] == '[':
            members[key] = True
            place = yield from _elements(text, place)
        else:
            members[key], place = _decode(text, place)
        place = _skip(text, place)
        if text[place : place + 1] != '}':
            place = _skip(text, _expect(text, place, ','))
    if 'features' not in members:
        yield _as_feature(members)
    return place + 1


def _elements(text: str, start: int) -> Features:
    """Yield the features of a list; returns where it ends."""
    place = _skip(text, start + 1)
    number = 0
    while text[place : place + 1] != ']':
        element, place = _decode(text, place)
        number += 1
        if not isinstance(element, dict) or element.get('type') != 'Feature':
            raise ValueError(
                f'object {number} of its list is not a GeoJSON feature: '
                f'{json.dumps(element)[:60]}'
            )
        yield element
        place = _skip(text, place)
        if text[place : place + 1] != ']':
            place = _skip(text, _expect(text, place, ','))
    return place + 1


def _decode(text: str, place: int) -> tuple[Any, int]:
    """Return the value at a place, and the place behind it."""
    try:
        return DECODER.raw_decode(text, place)
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # Python bounds the digits of a whole number
        raise ValueError(
            f'holds a number of too many digits behind character {place:,}: export it '
            'again'
        ) from error


def _as_feature(members: dict[str, Any]) -> dict[str, Any]:
    """Return an object that stands alone as a feature."""
    if members.get('type') == 'Feature':
        return members
    if members.get('type') in SHAPES:
        return {'type': 'Feature', 'geometry': members, 'properties': {}}
    names = ', '.join(map(repr, [*members][:5])) or 'nothing'
    raise ValueError(
        f'is JSON but not GeoJSON: it holds {names}, and neither features nor a '
        'geometry'
    )


def _skip(text: str, place: int) -> int:
    """Return the place of the next character that is not blank."""
    found = BLANK.match(text, place)
    return found.end() if found else place


def _expect(text: str, place: int, mark: str) -> int:
    """Return the place behind a mark."""
    if text[place : place + 1] != mark:
        raise json.JSONDecodeError(f'Expecting {mark!r}', text, place)
    return place + 1
