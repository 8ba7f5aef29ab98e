"""What the page may ask for: fixed names and numbers, never a path.

====================================  =====================================
``/``                                 the page
``/static/NAME``                      its scripts and styles
``/images.json``                      the images, in the order of the table
``/image/N.json``                     one of them: size, layers, notes
``/image/N/thumbnail.jpg``            small
``/image/N/tile/LEVEL/X_Y.jpg``       a tile of the picture
``/image/N/layer/K/LEVEL/X_Y``        a tile of a layer, bytes, with a margin
``/image/N/units.json``               its units; ``?threshold=T``: above T
``/image/N/unit/M.json``              the outline of one of them, likewise
``/image/N/at/X_Y.json``              which of them cover a pixel, likewise
====================================  =====================================
"""

import json
import re
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from mmseg_ftu.version import __version__
from mmseg_ftu.view.catalogue import Catalogue, encode_jpeg

STATIC = Path(__file__).with_name('static')
TYPES = {
    '.html': 'text/html; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.txt': 'text/plain; charset=utf-8',
}
JSON = 'application/json'
MARGIN = 1  # px around a tile of a layer, so that outlines join
NUMBER = r'(0|[1-9]\d{0,8})'


class NotFoundError(Exception):
    """Nothing is served under that name."""


class Reply(NamedTuple):
    """An answer.

    Attributes:
        content: The bytes.
        type: Content type.
        encoding: Content encoding; ``''`` for none.
    """

    content: bytes
    type: str
    encoding: str = ''


def reply_to(catalogue: Catalogue, path: str, query: str = '') -> Reply:
    """Answer a request.

    Args:
        catalogue: The images.
        path: Path as it was asked for, not decoded.
        query: What came after the question mark.

    Raises:
        NotFoundError: If there is nothing of that name.
        ValueError: If a file behind it is damaged.
        OSError: If a file cannot be opened.
    """
    for pattern, answer in ROUTES:
        if found := re.fullmatch(pattern, path, re.ASCII):
            try:
                return answer(catalogue, query, *map(_argument, found.groups()))
            except IndexError:
                break
    raise NotFoundError(path)


def _argument(text: str) -> Any:
    return int(text) if text.isdecimal() else text


def _page(catalogue: Catalogue, query: str) -> Reply:
    return _static(catalogue, query, 'page.html')


def _static(catalogue: Catalogue, query: str, name: str) -> Reply:
    path = _static_files().get(name)
    if path is None:
        raise NotFoundError(name)
    return Reply(path.read_bytes(), TYPES[path.suffix])


@cache
def _static_files() -> dict[str, Path]:
    """Return the files of the page by name; no name of a request reaches the disk."""
    paths = [path for path in STATIC.rglob('*') if path.suffix in TYPES]
    return {path.relative_to(STATIC).as_posix(): path for path in paths}


def _images(catalogue: Catalogue, query: str) -> Reply:
    catalogue.check_unchanged()
    return _json(
        folder=str(catalogue.folder),
        truth=str(catalogue.truth.path) if catalogue.truth else None,
        version=__version__,
        images=[row.describe() for row in catalogue.rows],
    )


def _image(catalogue: Catalogue, query: str, number: int) -> Reply:
    with catalogue.opened(number) as image:
        return _json(**image.describe())


def _thumbnail(catalogue: Catalogue, query: str, number: int) -> Reply:
    return Reply(catalogue.thumbnail(number), 'image/jpeg')


def _tile(
    catalogue: Catalogue, query: str, number: int, level: int, x: int, y: int
) -> Reply:
    with catalogue.opened(number) as image:
        tile = image.picture.get().tile(level, x, y)
    if tile is None:
        raise NotFoundError
    return Reply(encode_jpeg(tile), 'image/jpeg')


def _layer(
    catalogue: Catalogue,
    query: str,
    number: int,
    place: int,
    level: int,
    x: int,
    y: int,
) -> Reply:
    with catalogue.opened(number) as image:
        tile = image.layers()[place].pyramid.tile(level, x, y, MARGIN)
    if tile is None:
        raise NotFoundError
    content = zlib.compress(tile.tobytes(), 1)
    return Reply(content, 'application/octet-stream', encoding='deflate')


def _units(catalogue: Catalogue, query: str, number: int) -> Reply:
    with catalogue.opened(number) as image:
        units = image.units(_threshold(query)).describe()
        return _json(**units, notes=image.notes)


def _unit(catalogue: Catalogue, query: str, number: int, place: int) -> Reply:
    with catalogue.opened(number) as image:
        return _json(polygons=image.outline(place, _threshold(query)))


def _units_at(catalogue: Catalogue, query: str, number: int, x: int, y: int) -> Reply:
    with catalogue.opened(number) as image:
        return _json(units=image.units_at(x, y, _threshold(query)))


def _threshold(query: str) -> float | None:
    """Return the threshold of a query, None where it has none.

    Raises:
        NotFoundError: If it is not a number of 0 to 1.
    """
    given = parse_qs(query).get('threshold')
    if given is None:
        return None
    if not re.fullmatch(r'[01](\.\d{1,6})?', given[-1], re.ASCII):
        raise NotFoundError
    threshold = float(given[-1])
    if threshold > 1:
        raise NotFoundError
    return threshold


def _json(**content: Any) -> Reply:
    text = json.dumps(content, separators=(',', ':'))
    return Reply(text.encode(), JSON)


ROUTES: list[tuple[str, Callable[..., Reply]]] = [
    ('/', _page),
    (r'/static/((?:openseadragon/)?[\w.]+)', _static),
    ('/images.json', _images),
    (f'/image/{NUMBER}.json', _image),
    (f'/image/{NUMBER}/thumbnail.jpg', _thumbnail),
    (f'/image/{NUMBER}/tile/{NUMBER}/{NUMBER}_{NUMBER}.jpg', _tile),
    (f'/image/{NUMBER}/layer/{NUMBER}/{NUMBER}/{NUMBER}_{NUMBER}', _layer),
    (f'/image/{NUMBER}/units.json', _units),
    (f'/image/{NUMBER}/unit/{NUMBER}.json', _unit),
    (f'/image/{NUMBER}/at/{NUMBER}_{NUMBER}.json', _units_at),
]
