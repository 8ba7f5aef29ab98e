"""Reading image files: right, or not at all.

The common readers repair silently: ``cv2.imread`` gives a half-grey image for a
truncated JPEG, drops transparency and squeezes 16 bits, Pillow squeezes 16-bit RGB
PNGs. Here a file is either read exactly or refused with a ``ValueError`` that names it.
The rules for odd files are listed in docs/howto/image_files.md.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from mmseg_ftu.io.image_files import take_images
from mmseg_ftu.io.raster import (
    IGNORE_LABEL,
    MAX_PIXELS,
    Raster,
    RefusedError,
    labels_of,
    naming,
    opaque_rgb,
    refuse_ambiguous_255,
    to_8_bit,
)
from mmseg_ftu.io.tiff import MAGIC as TIFF_MAGIC
from mmseg_ftu.io.tiff import read_tiff, single_image, tiff_size

FORMAT_OF_SUFFIX = {
    '.tif': 'TIFF',
    '.tiff': 'TIFF',
    '.svs': 'TIFF',
    '.png': 'PNG',
    '.jpg': 'JPEG',
    '.jpeg': 'JPEG',
    '.bmp': 'BMP',
}
MAGIC = {
    **dict.fromkeys(TIFF_MAGIC, 'TIFF'),
    b'\x89PNG': 'PNG',
    b'\xff\xd8\xff': 'JPEG',
    b'BM': 'BMP',
}
# Pillow's modes of one channel; 'I' is what some versions make of 16-bit PNGs.
NAME_OF_MODE = {'L': 'grey', '1': 'grey', 'I;16': 'grey', 'I': 'grey', 'P': 'palette'}
BAND = 256  # rows that are copied at once
ORIENTATION = 274  # EXIF and TIFF tag; 1 is upright


def read_image(path: Path) -> np.ndarray:
    """Read a colour image.

    Args:
        path: TIFF, PNG, JPEG or BMP file.

    Returns:
        RGB uint8 ``(H, W, 3)``. 16-bit files are narrowed, see ``to_8_bit``.

    Raises:
        ValueError: If the file is damaged or not an upright, opaque RGB image.
        OSError: If it cannot be opened.
    """
    path = Path(path)
    with naming(path):
        return to_8_bit(opaque_rgb(_read(path)))


def read_levels(path: Path) -> np.ndarray:
    """Read a map of 256 levels, such as that of a probability.

    Args:
        path: TIFF, PNG or BMP file.

    Returns:
        ``(H, W)`` uint8.

    Raises:
        ValueError: If the file is damaged or not such a map.
        OSError: If it cannot be opened.
    """
    path = Path(path)
    with naming(path):
        pixels = _read(path).pixels
        if pixels.ndim != 2 or pixels.dtype != np.uint8:
            raise RefusedError(
                f'holds {pixels.dtype} of shape {pixels.shape}; a map of '
                'probabilities is 8 bits, one channel'
            )
        return pixels


def read_mask(
    path: Path,
    foreground: Iterable[int] | str = 'auto',
    ignore: int | None = None,
    prefix: str = '',
) -> np.ndarray:
    """Read a label mask and make it binary.

    Args:
        path: TIFF, PNG or BMP of labels: one channel, a palette (the indices count),
            or three equal channels.
        foreground: The labels that are foreground; others are background.
            ``'nonzero'``: all but 0. ``'auto'``: as nonzero, but refuse a mask that
            has 255 and other labels, since 255 then often means "ignore" or stems
            from smoothing.
        ignore: Label to be ignored; becomes 255.
        prefix: How the options that say what labels mean begin, for messages.

    Returns:
        ``(H, W)`` uint8: 0 background, 1 foreground, 255 ignored.

    Raises:
        ValueError: If the file is damaged, holds colours, or is ambiguous.
        OSError: If it cannot be opened.
    """
    _, is_unit, ignored = _read_labels(Path(path), foreground, ignore, prefix)
    mask = is_unit.astype(np.uint8)
    mask[ignored] = IGNORE_LABEL
    return mask


def read_instances(
    path: Path,
    foreground: Iterable[int] | str = 'auto',
    ignore: int | None = None,
    prefix: str = '',
) -> tuple[np.ndarray, np.ndarray]:
    """Read an instance map, in which each object has a label of its own.

    Args:
        path: The file, as ``read_mask`` takes it.
        foreground: The labels that are objects, as ``read_mask`` takes them.
        ignore: Label to be ignored.
        prefix: How the options that say what labels mean begin, for messages.

    Returns:
        ``(H, W)`` of integers, 0 for all that is not an object, and ``(H, W)`` bool:
        what is ignored.

    Raises:
        ValueError: If the file is damaged, holds colours, or is ambiguous.
        OSError: If it cannot be opened.
    """
    labels, is_unit, ignored = _read_labels(Path(path), foreground, ignore, prefix)
    return np.where(is_unit & ~ignored, labels, 0), ignored


def _read_labels(
    path: Path, foreground: Iterable[int] | str, ignore: int | None, prefix: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, which pixels are foreground, and which are ignored."""
    with naming(path):
        raster = _read(path)
    try:
        labels = labels_of(raster)
        ignored = np.zeros(labels.shape, bool) if ignore is None else labels == ignore
        if foreground == 'auto':
            refuse_ambiguous_255(labels[~ignored], prefix)
        if isinstance(foreground, str):
            return labels, labels != 0, ignored
        return labels, np.isin(labels, list(foreground)), ignored
    except RefusedError as error:
        raise ValueError(f'{path}: {error}') from None


def read_size(path: Path) -> tuple[int, int]:
    """Read height and width from the header, without decoding.

    Raises:
        ValueError: If the header is damaged or announces what ``read_image`` and
            ``read_mask`` both refuse.
        OSError: If the file cannot be opened.
    """
    path = Path(path)
    with naming(path):
        file_format, _ = _identify(path)
        if file_format == 'TIFF':
            with tifffile.TiffFile(path) as file:
                return tiff_size(file)
        with _opened_with_pillow(path, file_format) as image:
            # of a PNG, Pillow decodes all to look for tags behind the pixels
            if file_format != 'PNG' or 'exif' in image.info:
                _refuse_rotated(image)
            return image.height, image.width


def find_images(folder: Path) -> dict[str, list[Path]]:
    """Return the files in a folder that are named like images, by stem.

    Those that are skipped are named, see `take_images`.
    """
    found: dict[str, list[Path]] = {}
    for path in take_images(sorted(folder.iterdir()), FORMAT_OF_SUFFIX, folder):
        found.setdefault(path.stem, []).append(path)
    return found


def _read(path: Path) -> Raster:
    """Read pixels as they are stored."""
    file_format, header = _identify(path)
    if file_format == 'TIFF':
        with tifffile.TiffFile(path) as file:
            return read_tiff(file, *single_image(file))
    with _opened_with_pillow(path, file_format) as image:
        return _decode(image, path, file_format, header)


def _identify(path: Path) -> tuple[str, bytes]:
    """Return the format, agreed upon by name and content, and the first bytes."""
    with open(path, 'rb') as file:
        header = file.read(32)
    if not header:
        raise RefusedError('is empty (0 bytes); fetch or export it again')
    named = FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if named is None:
        raise RefusedError(
            f'has the unknown extension {path.suffix!r}; known: '
            + ' '.join(FORMAT_OF_SUFFIX)
        )
    found = next((MAGIC[magic] for magic in MAGIC if header.startswith(magic)), None)
    if found != named:
        raise RefusedError(
            f'is named like a {named} but holds '
            + (f'a {found}; rename it' if found else 'something else; export it again')
        )
    return named, header


def _opened_with_pillow(path: Path, file_format: str) -> Image.Image:
    """Open PNG, JPEG or BMP; nothing is decoded yet."""
    with warnings.catch_warnings():
        # Pillow warns from half the pixels on at which it raises; we have one limit.
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        try:
            return Image.open(path, formats=[file_format])
        except Image.DecompressionBombError:
            raise RefusedError(f'has more than {MAX_PIXELS} pixels; tile it') from None


def _refuse_rotated(image: Image.Image) -> None:
    if image.getexif().get(ORIENTATION, 1) != 1:
        raise RefusedError('is stored rotated (EXIF orientation); save it upright')


def _decode(image: Image.Image, path: Path, file_format: str, header: bytes) -> Raster:
    """Decode PNG, JPEG or BMP; Pillow raises for truncated files."""
    _refuse_rotated(image)
    bits = header[24] if file_format == 'PNG' else 8
    if bits in (2, 4) and image.mode == 'L':  # Pillow would stretch the labels
        raise RefusedError(f'is a {bits}-bit PNG; save it with 8 bits')
    image.load()
    if bits == 16 and image.mode in ('RGB', 'RGBA'):  # Pillow keeps 8 bits only
        return Raster(imagecodecs.png_decode(path.read_bytes()), image.mode)
    mode = image.mode
    if mode == 'RGB' and 'transparency' in image.info:
        mode = 'RGB with a transparent colour'
    lossy = file_format == 'JPEG'
    return Raster(_as_array(image), NAME_OF_MODE.get(mode, mode), lossy)


def _as_array(image: Image.Image) -> np.ndarray:
    """Copy the pixels of a decoded image band by band.

    ``np.asarray`` would hold two copies for a moment, beside Pillow's own.
    """
    first = np.asarray(image.crop((0, 0, image.width, 1)))
    out = np.empty((image.height, *first.shape[1:]), first.dtype)
    for top in range(0, image.height, BAND):
        bottom = min(top + BAND, image.height)
        out[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return out
