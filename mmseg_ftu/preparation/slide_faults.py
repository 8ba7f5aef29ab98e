"""Whether annotations can belong to a slide; all that may be wrong with them."""

from collections.abc import Iterable, Sequence
from statistics import median

import numpy as np
import shapely

from mmseg_ftu.io.pixel_size import LARGEST, SMALLEST
from mmseg_ftu.io.sources import Source, scanned_from
from mmseg_ftu.io.tables import number_fault
from mmseg_ftu.masks.annotations import Annotation, AnnotationFile
from mmseg_ftu.masks.class_names import UNCLASSIFIED, list_classes
from mmseg_ftu.preparation.slide_files import SlideFile
from mmseg_ftu.preparation.slide_options import SlideOptions
from mmseg_ftu.preparation.slide_outlines import SlideOutlines

ALIKE = 1.1  # pixel sizes that differ by less are one
INSIDE = 0.5  # of the area of an outline that has to lie on the slide
FRACTION = 1.0  # coordinates up to here are parts of the image, not px


def find_pixel_size(file: SlideFile, source: Source) -> tuple[list[str], float | None]:
    """Return the pixel size of a slide, um/px, or what is wrong with it."""
    given = file.details['pixel_size']
    if number_fault('', given):
        return [], None  # listed already
    pixel_size = float(given) if given else source.pixel_size
    if pixel_size is None:
        why = f' ({source.pixel_size_fault})' if source.pixel_size_fault else ''
        return [
            f'its pixel size is unknown{why}: give it in um/px, by a column of the '
            'table (--pixel-size-column) or for all (--slide-pixel-size)'
        ], None
    if not SMALLEST <= pixel_size <= LARGEST:
        return [
            f'its pixel size is {pixel_size:g} um/px, which is not plausible for a '
            f'microscope ({SMALLEST:g} to {LARGEST:g}); give it in um/px'
        ], None
    return [], pixel_size


def find_origin(
    source: Source, outlines: SlideOutlines, options: SlideOptions
) -> tuple[list[str], tuple[int, int]]:
    """Return how far coordinates have to be moved, down and to the right, px."""
    corner = scanned_from(source)
    if corner == (0, 0) or options.origin == 'slide':
        return [], (0, 0)
    if options.origin == 'bounds':
        return [], corner
    fitting = [
        name
        for name, step in (('slide', (0, 0)), ('bounds', corner))
        if not place_faults(outlines.moved(*step).all, source.shape)[0]
    ]
    fits = ' and '.join(f'--origin {name}' for name in fitting) or 'neither'
    return [
        f'its scanned part begins at x {corner[1]:,}, y {corner[0]:,}, from where '
        'QuPath counts: say --origin bounds for annotations of QuPath, --origin slide '
        f'for those that count from the corner of the slide (inside of the slide with: '
        f'{fits})'
    ], (0, 0)


def missing_kinds(
    outlines: SlideOutlines, found: AnnotationFile, options: SlideOptions
) -> list[str]:
    """Say which objects a slide lacks."""
    there = f'{found.path.name} has {list_classes(found.class_counts)}'
    texts = []
    if not outlines.units and options.empty == 'refuse':
        of = f' of class {", ".join(options.classes)}' if options.classes else ''
        first = ' (--region and --ignore take theirs first)' * bool(
            options.regions or options.ignored
        )
        texts.append(
            f'no unit{of}; {there}{first}. Mend --class, or say what to do with slides '
            'without units (--empty keep or skip)'
        )
    is_skipped = options.empty == 'skip' and not outlines.units
    if outlines.regions is not None and not outlines.regions and not is_skipped:
        texts.append(
            f'no region of class {", ".join(options.regions)}, so that all of it would '
            f'be ignored; {there}. Draw one, move the slide '
            'away, or leave out --region'
        )
    return texts


def place_faults(
    annotations: Sequence[Annotation], shape: tuple[int, int]
) -> tuple[list[str], int]:
    """Say which outlines lie outside of a slide.

    Args:
        annotations: Outlines in px of the slide.
        shape: Height and width of the slide, px.

    Returns:
        Messages, and how many outlines reach beyond the slide, which cuts them off.
    """
    if not annotations:
        return [], 0
    outlines = np.array([annotation.outline for annotation in annotations], object)
    bounds = shapely.bounds(outlines)
    right, bottom = bounds[:, 2].max(), bounds[:, 3].max()
    size = f'{shape[1]:,} x {shape[0]:,} px (width x height)'
    if max(right, bottom) <= FRACTION:
        return [
            f'all coordinates are between 0 and {FRACTION:g}, so they are parts of the '
            f'image; give them in px of the full-size slide, {size}'
        ], 0
    beyond = (bounds[:, :2] < 0).any(1) | (bounds[:, 2:] > shape[::-1]).any(1)
    places = np.flatnonzero(beyond)
    slide = shapely.box(0, 0, shape[1], shape[0])
    seen = shapely.area(shapely.intersection(outlines[places], slide))
    outside = places[seen < INSIDE * shapely.area(outlines[places])]
    if not len(outside):
        return [], len(places)
    first = annotations[outside[0]]
    left, top = bounds[outside[0], :2]
    return [
        f'{len(outside)} of {len(annotations)} objects lie outside of the slide of '
        f'{size}, such as object {first.number} ({first.class_name or UNCLASSIFIED}) '
        f'at x {left:,.0f}, y {top:,.0f}; all coordinates reach to x {right:,.0f}, '
        f'y {bottom:,.0f}. Export them from this slide at full size, or remove them'
    ], len(places)


def scale_fault(annotations: Iterable[Annotation], pixel_size: float) -> str | None:
    """Say if areas in the file show that it was made at another pixel size.

    Args:
        annotations: Objects that may tell a pixel size.
        pixel_size: Pixel size of the slide, um/px.
    """
    told = [a.pixel_size for a in annotations if a.pixel_size is not None]
    if not told:
        return None
    found = median(told)
    if 1 / ALIKE < found / pixel_size < ALIKE:
        return None
    return (
        f'its areas in um^2 were measured at {found:.4g} um/px, but the slide has '
        f'{pixel_size:.4g} um/px: mend the pixel size, or export the annotations of '
        'this slide at full size'
    )
