"""The pixel size that a TIFF gives."""

from pathlib import Path

import tifffile

CENTIMETRE, INCH = 10_000.0, 25_400.0  # um
UNITS = {'CENTIMETER': CENTIMETRE, 'INCH': INCH}


def tiff_pixel_size(path: Path) -> float | None:
    """Return the pixel size in um that the resolution tags of a TIFF give, if any."""
    try:
        with tifffile.TiffFile(path) as file:
            tags = file.pages[0].tags
            unit = UNITS.get(getattr(tags.valueof('ResolutionUnit'), 'name', None))
            above, below = tags.valueof('XResolution')
            return unit * below / above
    except Exception:  # no tags, or no TIFF, which the reader says with the reason
        return None
