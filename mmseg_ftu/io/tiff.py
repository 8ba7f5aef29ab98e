"""TIFF files, also planar, tiled, compressed and pyramidal ones.

tifffile returns whatever the file holds: planar images as ``(3, H, W)``, several pages
as ``(pages, H, W, 3)``, palette indices, CMYK, zeros for tiles that are absent. Here
the axes and the photometric interpretation decide, not a guess from the shape.
"""

import re
import warnings
from math import prod
from pathlib import Path

import numpy as np
import tifffile

from mmseg_ftu.io.ome import OmeImage, ome_images
from mmseg_ftu.io.raster import MAX_PIXELS, Raster, RefusedError

Page = tifffile.TiffPage | tifffile.TiffFrame

JPEG_SCHEMES = ('JPEG', 'OJPEG')
END_OF_JPEG = b'\xff\xd9'
MAGIC = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')  # the latter two: BigTIFF
# what scanners add to a slide
ASIDE = re.compile('label|macro|overview|thumb|barcode', re.IGNORECASE)


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF file.

    Raises:
        RefusedError: If it is of another kind, even one that tifffile can read.
    """
    file = tifffile.TiffFile(path)
    file.filehandle.seek(0)
    if file.filehandle.read(4) not in MAGIC:
        file.close()
        raise RefusedError('is not a TIFF')
    return file


def read_tiff(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, axes: str
) -> Raster:
    """Read the full-size image of a TIFF file, level 0 of a pyramid.

    Args:
        file: An open TIFF file.
        series: The image, as `single_image` returns it.
        axes: Axes of the image, as `single_image` returns them.

    Raises:
        RefusedError: If strips or tiles are missing, or JPEG data are cut off.
    """
    check_segments(series, file.filehandle.size)
    _check_jpeg_ends(series, file)
    pixels = series.asarray(maxworkers=1)
    pixels = pixels.reshape([n for _, n in _kept_axes(series)])
    if axes in ('SYX', 'CYX'):
        pixels = np.moveaxis(pixels, 0, -1)
    page = series.keyframe
    lossy = _name(page.compression) in JPEG_SCHEMES
    return Raster(pixels, kind_of_page(page, axes, pixels), lossy)


def tiff_size(file: tifffile.TiffFile) -> tuple[int, int]:
    """Return height and width of the only full-size image.

    Raises:
        RefusedError: If the file holds several images.
    """
    series, _ = single_image(file)
    return size_of_series(series)


def single_image(
    file: tifffile.TiffFile, limit: int | None = MAX_PIXELS
) -> tuple[tifffile.TiffPageSeries, str]:
    """Return the series of the only full-size image and its axes without singletons.

    The largest image of an OME-TIFF with several is taken, with a warning that says
    so, unless the others are a label or an overview.

    Args:
        file: An open TIFF file.
        limit: The most pixels that are accepted; None for any number.

    Raises:
        RefusedError: If it holds several images, or a kind that is not known.
    """
    if not file.pages:
        raise RefusedError('holds no image')
    images = ome_images(file.ome_metadata) if file.ome_metadata else []
    series = main_series(file)
    _refuse_others(file, series)
    axes = axes_of(series)
    if axes not in ('YXS', 'SYX', 'CYX', 'YX'):
        raise RefusedError(
            f'holds {len(file.pages)} pages, axes {series.axes} of shape '
            f'{series.shape}; export the one that is meant'
        )
    image = image_of_series(images, series)
    if axes == 'CYX' and image is not None and series.shape[0] == 3:
        image.refuse_other_channels()
    if limit is not None and _pixels(series) > limit:
        height, width = size_of_series(series)
        raise RefusedError(
            f'has {height} x {width} px, more than {limit} pixels; cut it to tiles'
        )
    orientation = series.keyframe.tags.valueof('Orientation', 1)
    if orientation != 1:
        raise RefusedError(
            f'is stored rotated (orientation tag {int(orientation)}); save it upright'
        )
    return series, axes


def _refuse_others(file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
    """Raise, or warn, where the file holds other images that may be meant."""
    if any(page is None or page.parent is not file for page in series.pages):
        raise RefusedError(
            'has an OME-XML that names other files or pages that are not there; '
            'export the image into one file'
        )
    size = size_of_series(series)
    same = [other for other in file.series if size_of_series(other) == size]
    if len(same) > 1:
        raise RefusedError(
            f'holds {len(same)} pages of the same size; export the one that is meant'
        )
    if any(_pixels(other) > _pixels(series) for other in file.series):
        raise RefusedError('has a later page larger than the first; export it alone')
    names = [other.name for other in file.series if other is not series]
    if series.kind == 'ome' and not all(ASIDE.search(name) for name in names):
        height, width = size
        warnings.warn(
            f'{file.filename}: holds {len(file.series)} images; {series.name!r} of '
            f'{height} x {width} px is read, as the largest, and not '
            + ', '.join(map(repr, names)),
            stacklevel=2,
        )


def main_series(file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """Return the first series, or the largest of an OME-TIFF."""
    first = file.series[0]
    return max(file.series, key=_pixels) if first.kind == 'ome' else first


def image_of_series(
    images: list[OmeImage], series: tifffile.TiffPageSeries
) -> OmeImage | None:
    """Return what the OME-XML says about a series; None if nothing."""
    size = size_of_series(series)
    return next((image for image in images if image.shape == size), None)


def axes_of(series: tifffile.TiffPageSeries) -> str:
    """Return the axes without those of length 1."""
    return ''.join(axis for axis, _ in _kept_axes(series))


def _kept_axes(series: tifffile.TiffPageSeries) -> list[tuple[str, int]]:
    """Return axes and their lengths, without further axes of length 1."""
    pairs = zip(series.axes, series.shape, strict=True)
    return [(axis, n) for axis, n in pairs if n > 1 or axis in 'YX']


def size_of_series(series: tifffile.TiffPageSeries) -> tuple[int, int]:
    """Return height and width."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return sizes.get('Y', 1), sizes.get('X', 1)


def _pixels(series: tifffile.TiffPageSeries) -> int:
    return prod(size_of_series(series))


def check_segments(series: tifffile.TiffPageSeries, file_size: int) -> None:
    """Raise where strips or tiles are absent: tifffile would fill in zeros."""
    count_of_page = prod(series.keyframe.chunked)
    for page in pages_of(series):
        segments = [*zip(page.dataoffsets, page.databytecounts, strict=True)]
        is_short = len(segments) < count_of_page
        if len(segments) == 1 and page.is_contiguous:  # in one piece, whatever it says
            is_short = page.databytecounts[0] < page.nbytes
        if is_short:
            raise RefusedError('lacks strips or tiles; export it again')
        for offset, count in segments:
            if offset + count > file_size:
                raise RefusedError(
                    f'is truncated: {file_size} bytes, at least {offset + count} '
                    'expected; fetch it again'
                )
            if count == 0:
                raise RefusedError('lacks strips or tiles; export it again')


def is_cut_off(page: tifffile.TiffPage, data: bytes) -> bool:
    """Tell whether the JPEG data of a tile or strip lack their end.

    Decoders fill the rest with grey and say nothing. Within the data of an image the
    two bytes of the end cannot occur.

    Args:
        page: The page, or the first one of its kind.
        data: All of the data; what follows their end does not count.
    """
    return _name(page.compression) == 'JPEG' and END_OF_JPEG not in data


def _check_jpeg_ends(series: tifffile.TiffPageSeries, file: tifffile.TiffFile) -> None:
    key = series.keyframe
    if _name(key.compression) != 'JPEG':
        return
    for page in pages_of(series):
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            for last in (min(count, 64), count):  # nearly always the first tells
                file.filehandle.seek(offset + count - last)
                if not is_cut_off(key, file.filehandle.read(last)):
                    break
            else:
                raise RefusedError('has JPEG data that are cut off; fetch it again')


def pages_of(series: tifffile.TiffPageSeries) -> list[Page]:
    """Return the pages of a series.

    Raises:
        RefusedError: If one of them is not there.
    """
    pages = list(series.pages)
    there = [page for page in pages if page is not None]
    if len(there) < len(pages):
        raise RefusedError(
            f'lacks {len(pages) - len(there)} of {len(pages)} pages; export it again'
        )
    return there


def _name(code: int) -> str:
    """Return the name of a TIFF code, its number where tifffile knows none."""
    return str(getattr(code, 'name', code))


def kind_of_page(page: tifffile.TiffPage, axes: str, pixels: np.ndarray) -> str:
    """Name what the samples mean."""
    photometric = _name(page.photometric)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if photometric == 'YCBCR' and _name(page.compression) in JPEG_SCHEMES:
        photometric = 'RGB'  # tifffile converts it
    if photometric == 'RGB' and channels in (3, 4):
        return 'RGB' if channels == 3 else 'RGBA'
    is_split = axes == 'CYX' and channels == 3 and pixels.dtype == np.uint8
    if is_split and photometric in ('MINISBLACK', 'RGB'):
        return 'RGB'  # ImageJ and OME store the channels as pages
    if channels == 1 and pixels.ndim == 2:
        return {'MINISBLACK': 'grey', 'PALETTE': 'palette'}.get(
            photometric, photometric.lower()
        )
    return f'{channels}-channel {photometric.lower()}'
