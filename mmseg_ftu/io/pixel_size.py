"""The pixel size that an image file gives, or why it is not used.

A TIFF gives it in its OME-XML, in ImageJ's description, or in its resolution tags. The
tags are also written by programs that know nothing of a microscope: 72 px per inch for
screens, 300 or 2400 for printers and flat-bed scanners. 2400 px per inch would be 10.6
um/px. So from tags, pixel sizes are taken up to that of an objective of 2x, whereas a
length that was written as such may also be that of an overview.
"""

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import tifffile

from mmseg_ftu.io.ome import UNITS, ome_images
from mmseg_ftu.io.tiff import image_of_series, main_series

if TYPE_CHECKING:  # of the extra [slides]
    from openslide import OpenSlide

SMALLEST = 0.05  # um/px, less than the optical resolution at 100x
LARGEST_OF_TAG, LARGEST = 5.0, 20.0  # um/px
SQUARE = 0.02  # share by which width and height of a pixel may differ
TAG_UNITS = {'CENTIMETER': (1e4, 'cm'), 'INCH': (25_400.0, 'inch')}
IMAGEJ_UNITS = UNITS | {'inch': UNITS['in'], 'micron': 1.0, 'microns': 1.0}
# OpenSlide's names: of its properties, and of a TIFF of no scanner that it knows
WIDTH_AND_HEIGHT, VENDOR = ('openslide.mpp-x', 'openslide.mpp-y'), 'openslide.vendor'
GENERIC = 'generic-tiff'


class PixelSize(NamedTuple):
    """What a file says.

    Attributes:
        um: Pixel size, um/px; None where it is unknown or not to be believed.
        fault: Why what the file says is not used, if so.
    """

    um: float | None = None
    fault: str | None = None


UNKNOWN = PixelSize()


def tiff_pixel_size(file: tifffile.TiffFile) -> PixelSize:
    """Return the pixel size that an open TIFF gives."""
    try:
        for find in (_of_ome, _of_imagej, _of_tags):
            found = find(file)
            if found is not None:
                return found
    except Exception:  # it is damaged, which the reader says with the reason
        pass
    return UNKNOWN


def slide_pixel_size(slide: 'OpenSlide') -> PixelSize:
    """Return the pixel size that a slide gives."""
    properties = slide.properties
    names = [name for name in WIDTH_AND_HEIGHT if name in properties]
    try:
        given = [float(properties[name]) for name in names]
        x, y = given[0], given[-1]
    except (IndexError, ValueError):
        return UNKNOWN
    # of others than scanners OpenSlide takes the resolution tags
    is_tag = properties.get(VENDOR) == GENERIC
    said = f'the pixel size of the slide, {x:g} x {y:g}'
    return check_pixel_size(x, y, said, LARGEST_OF_TAG if is_tag else LARGEST)


def check_pixel_size(x: float, y: float, said: str, largest: float) -> PixelSize:
    """Return a pixel size if it can be one of a microscope.

    Args:
        x: Width of a pixel, um.
        y: Height of a pixel, um.
        said: Source of the numbers, for the fault.
        largest: Largest pixel size that is believed, um/px.
    """
    size = f'{x:.3g}' if x == y else f'{x:.3g} x {y:.3g}'
    if not (min(x, y) >= SMALLEST and max(x, y) <= largest):
        reason = f'is not plausible for a microscope ({SMALLEST:g} to {largest:g})'
    elif abs(x - y) > SQUARE * max(x, y):
        reason = 'is not square; if it is right, resize the image to square pixels'
    else:
        return PixelSize(sqrt(x * y))
    return PixelSize(fault=f'{said}, would be {size} um/px, which {reason}')


def _of_ome(file: tifffile.TiffFile) -> PixelSize | None:
    if not file.is_ome or file.ome_metadata is None:
        return None
    image = image_of_series(ome_images(file.ome_metadata), main_series(file))
    given = [size for size in image.pixel_size if size] if image else []
    um = [size.um for size in given if size.um is not None]
    if not um or len(um) < len(given):
        return None
    ends = given[0], given[-1]
    said = ' x '.join(dict.fromkeys(f'{n.value:g} {n.unit}' for n in ends))
    said = f'PhysicalSizeX and Y of the OME-XML, {said}'
    return check_pixel_size(um[0], um[-1], said, LARGEST)


def _of_imagej(file: tifffile.TiffFile) -> PixelSize | None:
    about = file.imagej_metadata or {}
    named = [about.get('unit'), about.get('yunit', about.get('unit'))]
    units = [str(unit).replace('\\u00B5', '\u00b5') for unit in named]
    per_unit = _resolution(file.pages.first)
    if per_unit is None or not all(unit in IMAGEJ_UNITS for unit in units):
        return None
    x, y = (IMAGEJ_UNITS[u] / n for u, n in zip(units, per_unit, strict=True))
    said = f'the resolution in ImageJ, {per_unit[0]:g} px per {units[0]}'
    is_tag = units[0].startswith('in')
    return check_pixel_size(x, y, said, LARGEST_OF_TAG if is_tag else LARGEST)


def _of_tags(file: tifffile.TiffFile) -> PixelSize | None:
    page = main_series(file).keyframe
    unit = getattr(page.tags.valueof('ResolutionUnit'), 'name', None)
    per_unit = _resolution(page)
    if per_unit is None or unit not in TAG_UNITS:
        return None
    um, name = TAG_UNITS[unit]
    said = ' x '.join(dict.fromkeys(f'{n:g}' for n in per_unit))
    said = f'the resolution tag, {said} px per {name}'
    return check_pixel_size(um / per_unit[0], um / per_unit[1], said, LARGEST_OF_TAG)


def _resolution(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Return px per unit along x and y; None where there are no such tags."""
    values = [page.tags.valueof(f'{axis}Resolution') for axis in 'XY']
    given = [n / d for n, d in filter(None, values) if n and d]
    return (given[0], given[-1]) if given else None
