"""Look at a slide and its annotations: what is wrong, and which tiles it gives."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
import shapely

from mmseg_ftu.io.pixel_budget import PixelBudget
from mmseg_ftu.io.sources import Source, plan_source
from mmseg_ftu.masks.annotations import Annotation, AnnotationFile
from mmseg_ftu.masks.class_names import is_meant, list_classes
from mmseg_ftu.masks.read_annotations import read_annotations
from mmseg_ftu.preparation.slide_faults import (
    find_origin,
    find_pixel_size,
    missing_kinds,
    place_faults,
    scale_fault,
)
from mmseg_ftu.preparation.slide_files import SlideFile
from mmseg_ftu.preparation.slide_labels import SlideLabels
from mmseg_ftu.preparation.slide_options import SlideOptions
from mmseg_ftu.preparation.slide_outlines import SlideOutlines
from mmseg_ftu.preparation.slide_overview import draw_annotations
from mmseg_ftu.preparation.slide_tiles import (
    OF_EMPTY,
    SlideTile,
    TileChooser,
    tile_boxes,
)
from mmseg_ftu.preparation.slide_tissue import SlideTissue

ON_GLASS = 0.05  # of the box of a unit that is tissue, below which it looks misplaced
HIDDEN = (
    'its units are all ignored, or too small to be seen at {:g} um/px; mend --ignore, '
    '--region or --pixel-size, or say what to do with slides without units (--empty '
    'keep or skip)'
)
COARSER = 1.1  # pixel sizes of slide and training, from which on tiles are enlarged


@dataclass(frozen=True)
class SlidePlan:
    """What is to be made of a slide.

    Attributes:
        file: The slide.
        faults: What is wrong; nothing else counts then.
        classes: Number of objects of each class in its file.
        shape: Height and width, px.
        resized: Height and width at the pixel size of training, px.
        pixel_size: Pixel size of the slide, um/px.
        is_decoded: Whether it can only be decoded as a whole.
        tiles: Tiles with units.
        spare: Tiles without, in the order in which they are taken.
        thumbnail: JPEG with the annotations drawn on it.
        notes: What people should know.
        counts: Numbers of objects for the table of slides.
        has_hidden_units: Whether there are units, but none can be seen in a tile.
    """

    file: SlideFile
    faults: tuple[str, ...] = ()
    classes: Mapping[str, int] = field(default_factory=dict)
    shape: tuple[int, int] = (0, 0)
    resized: tuple[int, int] = (0, 0)
    pixel_size: float = 0.0
    is_decoded: bool = False
    tiles: tuple[SlideTile, ...] = ()
    spare: tuple[SlideTile, ...] = ()
    thumbnail: bytes = b''
    notes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    has_hidden_units: bool = False


def plan_slide(
    file: SlideFile, options: SlideOptions, seed: int, budget: PixelBudget
) -> SlidePlan:
    """Open a slide and read its annotations.

    Args:
        file: The slide.
        options: What is asked for.
        seed: Seed of the choice of tiles without units.
        budget: Bounds the pixels that threads decode at once.
    """
    plan, faults = SlidePlan(file), []
    found = None
    try:
        found = read_annotations(file.annotations)
        plan = replace(plan, classes=found.class_counts)
    except (ValueError, OSError) as error:
        faults.append(str(error))
    try:
        opening = plan_source(file.path)
        with budget.hold(opening.pixels), closing(opening.open()) as source:
            texts, pixel_size = find_pixel_size(file, source)
            faults += texts
            if found is None or pixel_size is None:
                return replace(plan, faults=tuple(faults))
            plan = replace(plan, pixel_size=pixel_size, is_decoded=opening.pixels > 0)
            return _plan_opened(plan, source, found, options, seed)
    except (ValueError, OSError) as error:
        return replace(plan, faults=(*faults, str(error)))


def _plan_opened(
    plan: SlidePlan,
    source: Source,
    found: AnnotationFile,
    options: SlideOptions,
    seed: int,
) -> SlidePlan:
    """Check the annotations against the open slide, and choose tiles."""
    outlines = SlideOutlines.sort(found, options)
    faults, (down, right) = find_origin(source, outlines, options)
    outlines = outlines.moved(down, right)
    texts, cut = place_faults(outlines.all, source.shape)
    faults += texts
    fault = scale_fault(outlines.all, plan.pixel_size)
    faults += [fault] if fault else []
    faults += missing_kinds(outlines, found, options)
    if faults:
        return replace(plan, faults=tuple(faults))
    scale = plan.pixel_size / options.pixel_size
    height, width = (max(1, round(side * scale)) for side in source.shape)
    plan = replace(plan, shape=source.shape, resized=(height, width))
    tissue = SlideTissue.find(source)
    plan = _with_tiles(plan, outlines, tissue, options, seed)
    if not plan.tiles and options.empty == 'refuse':
        return replace(plan, faults=(HIDDEN.format(options.pixel_size),))
    return replace(
        plan,
        thumbnail=draw_annotations(tissue.thumbnail, source.shape, outlines),
        notes=_notes(plan, found, outlines, tissue, cut),
        counts={
            'units': len(outlines.units),
            'ignored': len(outlines.ignored),
            'regions': len(outlines.regions or ()),
            'mended': found.mended,
            'left_out': sum(found.left_out.values()) + sum(outlines.others.values()),
        },
        has_hidden_units=not plan.tiles and _has_units(outlines, found, options),
    )


def _has_units(
    outlines: SlideOutlines, found: AnnotationFile, options: SlideOptions
) -> bool:
    """Tell whether there are units, be they taken as ignored or not."""
    names = found.class_counts
    return bool(outlines.units) or any(is_meant(n, options.classes) for n in names)


def _with_tiles(
    plan: SlidePlan,
    outlines: SlideOutlines,
    tissue: SlideTissue,
    options: SlideOptions,
    seed: int,
) -> SlidePlan:
    """Choose the tiles of a slide."""
    units, ignored = _shapes(outlines.units), _shapes(outlines.ignored)
    regions = None if outlines.regions is None else _shapes(outlines.regions)
    labels = SlideLabels.fill(plan.shape, units, ignored, regions)
    boxes = tile_boxes(plan.resized, options.tile, options.overlap)
    shares = tissue.shares(np.array(boxes), plan.resized)
    chooser = TileChooser(labels, plan.resized, boxes, shares)
    tiles = chooser.choose_with_units(units)
    count = ceil(options.negatives * (len(tiles) or OF_EMPTY))
    spare = chooser.choose_without(
        plan.file.name, seed, count, options, regions, ignored
    )
    return replace(plan, tiles=tuple(tiles), spare=tuple(spare))


def _shapes(annotations: Sequence[Annotation]) -> list[shapely.Geometry]:
    return [annotation.outline for annotation in annotations]


def _notes(
    plan: SlidePlan,
    found: AnnotationFile,
    outlines: SlideOutlines,
    tissue: SlideTissue,
    cut: int,
) -> tuple[str, ...]:
    """Return what people should know of a slide that has no fault."""
    texts = []
    if found.mended:
        texts.append(f'{found.mended} outlines met themselves and were mended')
    if found.left_out:
        texts.append(f'left out: {list_classes(found.left_out)}')
    if outlines.others:
        texts.append(
            f'other classes left out: {list_classes(outlines.others)}; they count as '
            'background'
        )
    if cut:
        texts.append(f'{cut} outlines are cut off at the border')
    if max(plan.resized) > COARSER * max(plan.shape):
        texts.append(f'enlarged: it has {plan.pixel_size:.3g} um/px only')
    if outlines.units:
        left, top, right, bottom = shapely.bounds(_shapes(outlines.units)).T.clip(0)
        boxes = np.stack([top, left, bottom - top, right - left], axis=1)
        on_glass = int((tissue.shares(boxes, plan.shape) < ON_GLASS).sum())
        if on_glass:
            texts.append(
                f'{on_glass} of {len(outlines.units)} units lie where no tissue is '
                'seen: look at its overview'
            )
    return tuple(texts)
