"""The OME-XML of a TIFF: names, sizes, pixel sizes and channels of its images.

It is read element by element. A document type is refused, since that is where XML
defines entities, which can blow up a small text to gigabytes or name other files;
OME-XML has none.
"""

import re
from typing import NamedTuple
from xml.parsers import expat

from mmseg_ftu.io.raster import RefusedError

#: um; those of OME's units that a pixel may have. 'pixel' and others are not lengths.
UNITS = {
    'm': 1e6,
    'dm': 1e5,
    'cm': 1e4,
    'mm': 1e3,
    'nm': 1e-3,
    'pm': 1e-6,
    **dict.fromkeys(('\u00b5m', '\u03bcm', 'um'), 1.0),  # micro sign, Greek mu, u
    '\u00c5': 1e-4,
    'in': 25_400.0,
    'thou': 25.4,
}
COLOURS = (0xFF0000FF, 0x00FF00FF, 0x0000FFFF)  # red, green and blue as RGBA
NUMBERED = re.compile(r'(channel|ch|c)?[ :_-]*[\d:]*', re.IGNORECASE)  # says nothing


class Length(NamedTuple):
    """A physical size as it is written.

    Attributes:
        value: The number.
        unit: Unit of the value; OME's default is the micrometre.
    """

    value: float
    unit: str

    @property
    def um(self) -> float | None:
        """The length in um; None if the unit is not one of length."""
        factor = UNITS.get(self.unit)
        return None if factor is None else factor * self.value


class OmeImage(NamedTuple):
    """One image of the file.

    Attributes:
        name: Name of the image, ``''`` if it has none.
        shape: Height and width, px.
        pixel_size: Width and height of a pixel; None each where it is not given.
        channels: Name and colour of each channel, ``''`` and None where not given.
    """

    name: str
    shape: tuple[int, int]
    pixel_size: tuple[Length | None, Length | None]
    channels: tuple[tuple[str, int | None], ...]

    def refuse_other_channels(self) -> None:
        """Raise where three channels are not red, green and blue, in this order.

        Raises:
            RefusedError: If their names or colours say so.
        """
        names = [name.strip().lower() for name, _ in self.channels]
        colours = [colour for _, colour in self.channels]
        if names in (['red', 'green', 'blue'], ['r', 'g', 'b']):
            return
        if not all(NUMBERED.fullmatch(name) for name in names):
            listed = ', '.join(name or '?' for name, _ in self.channels)
            raise RefusedError(
                f'holds the channels {listed}, not red, green and blue; export it as '
                'RGB'
            )
        if any(colour is not None for colour in colours) and colours != [*COLOURS]:
            raise RefusedError(
                'holds channels of other colours than red, green and blue; export it '
                'as RGB'
            )


def ome_images(text: str) -> list[OmeImage]:
    """Read the images that an OME-XML describes; none if the XML is not whole.

    Raises:
        RefusedError: If it has a document type.
    """
    reader = _Reader()
    parser = expat.ParserCreate('utf-8', ' ')
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.start
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, ValueError) as error:
        if isinstance(error, RefusedError):
            raise
        return []
    return reader.images


def _refuse_doctype(*_: object) -> None:
    raise RefusedError('has a document type in its OME-XML; export it again')


class _Reader:
    """Collects what the elements say, as the parser comes to them."""

    def __init__(self) -> None:
        self.images: list[OmeImage] = []
        self._name = ''

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(' ')[2]  # without the namespace
        if tag == 'Image':
            self._name = attributes.get('Name', '')
        elif tag == 'Pixels':
            shape = int(attributes.get('SizeY', '')), int(attributes.get('SizeX', ''))
            size = _length(attributes, 'X'), _length(attributes, 'Y')
            self.images.append(OmeImage(self._name, shape, size, ()))
        elif tag == 'Channel' and self.images:
            channel = attributes.get('Name', ''), _colour(attributes.get('Color'))
            last = self.images[-1]
            self.images[-1] = last._replace(channels=(*last.channels, channel))


def _length(attributes: dict[str, str], axis: str) -> Length | None:
    text = attributes.get(f'PhysicalSize{axis}')
    unit = attributes.get(f'PhysicalSize{axis}Unit', '\u00b5m')
    try:
        return None if text is None else Length(float(text), unit)
    except ValueError:
        return None


def _colour(text: str | None) -> int | None:
    """Return a colour, which is written as a signed number, as 0xRRGGBBAA."""
    try:
        return None if text is None else int(text) % 2**32
    except ValueError:
        return None
