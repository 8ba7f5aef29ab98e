"""ImageJ's regions of interest: a ``.roi`` file, or a ``.zip`` of the ROI manager.

Read by the library ``roifile``. ROIs have names and no classes. Integer coordinates are
corners of pixels, as in QuPath.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import roifile
import shapely

TYPES = roifile.ROI_TYPE
AREAS = (TYPES.POLYGON, TYPES.FREEHAND, TYPES.TRACED, TYPES.RECT, TYPES.OVAL)
OVAL_POINTS = 128  # of the polygon that stands for an oval; its area is .04 % smaller


def read_rois(path: Path) -> Iterator[tuple[str, str, shapely.Geometry | None]]:
    """Yield name, kind and outline of each ROI; None for lines and points.

    Args:
        path: The file.

    Raises:
        ValueError: If a ROI cannot be read, or a ``.zip`` holds none.
    """
    for place, content in _contents(path):
        try:
            roi = roifile.ImagejRoi.frombytes(content)
            kind = TYPES(roi.roitype).name.lower()
            yield roi.name or Path(place).stem, kind, _outline(roi)
        except Exception as error:  # whatever the library says of damaged bytes
            raise ValueError(
                f'{place} is not a ROI of ImageJ ({type(error).__name__}: {error}); '
                'save it again'
            ) from error


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each ROI."""
    if path.suffix.lower() != '.zip':
        yield path.name, path.read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if _is_roi(name)]
            if not names:
                raise ValueError('holds no .roi; save a ROI set of ImageJ')
            for name in names:
                yield name, archive.read(name)
    except zipfile.BadZipFile as error:
        raise ValueError(f'is damaged ({error}); save it again') from error


def _is_roi(name: str) -> bool:
    """Tell whether a member of an archive is a ROI, not what macOS adds."""
    return name.lower().endswith('.roi') and not Path(name).name.startswith('.')


def _outline(roi: roifile.ImagejRoi) -> shapely.Geometry | None:
    """Return the area of a ROI; overlapping rings of a composite cut holes."""
    if roi.roitype not in AREAS:
        return None
    if roi.roitype == TYPES.OVAL and roi.multi_coordinates is None:
        return _oval(roi.left, roi.top, roi.right, roi.bottom)
    rings = [np.asarray(ring, np.float64) for ring in roi.coordinates(multi=True)]
    shapes = [shapely.Polygon(ring) for ring in rings if len(ring) >= 3]
    if len(shapes) == 1:
        return shapes[0]
    area: shapely.Geometry = shapely.Polygon()
    for shape in shapes:
        area = shapely.symmetric_difference(area, shapely.make_valid(shape))
    return area


def _oval(left: int, top: int, right: int, bottom: int) -> shapely.Geometry:
    angle = np.linspace(0, 2 * np.pi, OVAL_POINTS, endpoint=False)
    x = (left + right) / 2 + (right - left) / 2 * np.cos(angle)
    y = (top + bottom) / 2 + (bottom - top) / 2 * np.sin(angle)
    return shapely.Polygon(np.stack([x, y], axis=1))
