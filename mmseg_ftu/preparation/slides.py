"""Prepare slides with annotations of QuPath and others: tiles in the common layout.

Every slide gives the tiles that hold a unit, and some with tissue only. Masks are made
at the pixel size of training by the rule of images: a pixel is foreground where at
least half of its area is. All tiles of a slide are in one fold, and so are those of a
patient.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mmseg_ftu.io.listing import some_of
from mmseg_ftu.io.pixel_budget import PixelBudget
from mmseg_ftu.io.tables import repeated_ids
from mmseg_ftu.io.threads import unordered_map
from mmseg_ftu.masks.class_names import is_meant, list_classes, unmatched
from mmseg_ftu.preparation.folder_writer import FolderWriter
from mmseg_ftu.preparation.given_split import GivenSplit
from mmseg_ftu.preparation.number_limits import require_between
from mmseg_ftu.preparation.records import Fault, require_no_faults
from mmseg_ftu.preparation.slide_files import SlideFile, list_slides
from mmseg_ftu.preparation.slide_images import SlideImages
from mmseg_ftu.preparation.slide_notes import summarise_slides
from mmseg_ftu.preparation.slide_options import SlideOptions
from mmseg_ftu.preparation.slide_plan import SlidePlan, plan_slide
from mmseg_ftu.preparation.slide_tiles import SlideTile
from mmseg_ftu.recipe import StainStep


def prepare_slides(
    options: SlideOptions,
    target: Path,
    folds: int = 5,
    seed: int = 0,
    workers: int = 2,
    stain: StainStep | None = None,
    overwrite: bool = False,
    val_ids: Sequence[str] = (),
) -> str:
    """Prepare a folder of slides.

    Args:
        options: Slides, annotations, and what they mean.
        target: Folder to write; beside those of slides and annotations.
        folds: Number of folds.
        seed: Seed of the folds, and of the choice of tiles without units.
        workers: Threads; 0 works in the calling one.
        stain: Stain normalisation, fitted once a slide; None for none.
        overwrite: Accept a target begun with other settings.
        val_ids: Names of the slides of the validation set, or a file of them, instead
            of ``folds``; see ``GivenSplit``.

    Returns:
        A summary for people.

    Raises:
        PreparationError: With all faults of all slides, before anything is written.
        ValueError: If a slide turns out to be damaged where a tile is read.
    """
    require_between('--workers', workers, 0)
    require_between('--seed', seed, 0)
    split = GivenSplit.of(options.fold_column, val_ids)
    settings = options.settings() | split.settings(folds) | {'seed': seed}
    if stain:
        settings['stain'] = stain.to_dict()
    sources = [options.slides, options.annotations]
    writer = FolderWriter(sources, target, settings, overwrite)
    budget = PixelBudget()
    files, faults = list_slides(options)
    plans = _plan(files, options, seed, workers, budget)
    faults += _split_faults(files, split)
    faults += [plan.file.fault(text) for plan in plans for text in plan.faults]
    faults += _class_faults(plans, options)
    chosen = choose_tiles(plans, options)
    faults += _id_faults(chosen)
    require_no_faults(faults)
    images = SlideImages(chosen, options, split, settings, workers, budget)
    return writer.write(images) + summarise_slides(plans, options)


def _plan(
    files: Sequence[SlideFile],
    options: SlideOptions,
    seed: int,
    workers: int,
    budget: PixelBudget,
) -> list[SlidePlan]:
    """Look at all slides, in their order."""

    def look(file: SlideFile) -> SlidePlan:
        return plan_slide(file, options, seed, budget)

    found = unordered_map(look, files, workers, 'checking', 'slide')
    return sorted((plan for _, plan in found), key=lambda plan: plan.file.row)


def choose_tiles(
    plans: Sequence[SlidePlan], options: SlideOptions
) -> list[tuple[SlidePlan, dict[str, SlideTile]]]:
    """Return the slides that are kept, with their tiles by id.

    A slide without units gives as many tiles as others give on average without units,
    and at least one unless ``negatives`` is 0.
    """
    spare = {
        plan.file.row: plan.spare[: round(options.negatives * len(plan.tiles))]
        for plan in plans
        if plan.tiles
    }
    average = sum(map(len, spare.values())) / max(1, len(spare))
    of_empty = max(1, round(average)) if options.negatives else 0
    chosen = []
    for plan in plans:
        if plan.tiles or options.empty == 'keep':
            without = spare.get(plan.file.row, plan.spare[:of_empty])
            tiles = sorted((*plan.tiles, *without), key=lambda t: t.box)
            chosen.append((plan, {_id_of(plan, tile): tile for tile in tiles}))
    return chosen


def _id_of(plan: SlidePlan, tile: SlideTile) -> str:
    """Return the name of a tile: its slide, and its corner on it in px."""
    if plan.resized == (0, 0):
        return plan.file.name
    y, x = (
        round(n * full / px)
        for n, full, px in zip(tile.box[:2], plan.shape, plan.resized, strict=True)
    )
    return f'{plan.file.name}_x{x}_y{y}'


def _split_faults(files: Sequence[SlideFile], split: GivenSplit) -> list[Fault]:
    """Say what is wrong with a split that was given."""
    faults = [Fault(0, text) for text in split.missing(file.name for file in files)]
    for file in files:
        try:
            split.fold_of(file.name, file.details['fold'])
        except ValueError as error:
            faults.append(file.fault(str(error)))
    return faults


def _class_faults(plans: Sequence[SlidePlan], options: SlideOptions) -> list[Fault]:
    """Say which classes occur nowhere."""
    there = Counter[str]()
    for plan in plans:
        there.update(plan.classes)
    asked = {
        '--class': options.classes,
        '--region': options.regions,
        '--ignore': options.ignored,
    }
    known = list_classes(dict(sorted(there.items())))
    return _taken_classes(there, options) + [
        Fault(0, f'{option} {name!r} is the class of no object; there are: {known}')
        for option, names in asked.items()
        for name in unmatched(names, there)
        if there
    ]


def _taken_classes(there: Collection[str], options: SlideOptions) -> list[Fault]:
    """Say which names mean only classes that another option takes first."""
    taken = {'--region': options.regions, '--ignore': options.ignored}
    faults = []
    for option, names, earlier in (
        ('--ignore', options.ignored, ['--region']),
        ('--class', options.classes, ['--region', '--ignore']),
    ):
        for name in names:
            meant = [one for one in there if is_meant(one, [name])]
            by = [
                other
                for other in earlier
                if any(is_meant(one, taken[other]) for one in meant)
            ]
            first = [pattern for other in by for pattern in taken[other]]
            if meant and all(is_meant(one, first) for one in meant):
                faults.append(
                    Fault(
                        0,
                        f'{option} {name!r} means {some_of(sorted(meant))} only, which '
                        f'{" and ".join(by)} take{"s" * (len(by) == 1)} first; mend '
                        'one of them',
                    )
                )
    return faults


def _id_faults(chosen: Sequence[tuple[SlidePlan, Mapping[str, object]]]) -> list[Fault]:
    """Say which tiles would have one name."""
    repeated = repeated_ids(name for _, tiles in chosen for name in tiles)
    return [
        Fault(0, f'two tiles would be called {name!r}; rename one of the slides')
        for name in sorted(repeated)
    ]
