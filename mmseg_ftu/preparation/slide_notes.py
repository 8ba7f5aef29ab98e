"""What people are told of slides when all is done."""

from collections.abc import Sequence

from mmseg_ftu.io.listing import some_of
from mmseg_ftu.preparation.slide_files import passed_over
from mmseg_ftu.preparation.slide_options import SlideOptions
from mmseg_ftu.preparation.slide_plan import SlidePlan

SHOWN = 10  # notes


def summarise_slides(plans: Sequence[SlidePlan], options: SlideOptions) -> str:
    """Return what people should know of the slides, each line behind a line break."""
    lines = [*_without_units(plans, options), *_passed_over(options)]
    notes = [f'{plan.file.name}: {text}' for plan in plans for text in plan.notes]
    more = len(notes) - SHOWN
    lines += notes[:SHOWN] + ([f'and {more} more in slides.csv'] if more > 0 else [])
    return ''.join(f'\nnote: {line}' for line in lines)


def _without_units(plans: Sequence[SlidePlan], options: SlideOptions) -> list[str]:
    """Count slides that give no tile with a unit, and say where units are hidden."""
    empty = [plan for plan in plans if not plan.tiles]
    if not empty:
        return []
    done = 'kept' if options.empty == 'keep' else 'skipped'
    lines = [f'{done}, without a unit to be seen: {_slides(empty)}']
    if hidden := [plan for plan in empty if plan.has_hidden_units]:
        lines.append(
            f'units that are all ignored, or too small to be seen at '
            f'{options.pixel_size:g} um/px: {_slides(hidden)}'
        )
    return lines


def _passed_over(options: SlideOptions) -> list[str]:
    """Say which files of the folder of annotations were not read."""
    names = passed_over(options)
    count = f'{len(names)} file{"s" * (len(names) > 1)}'
    text = f'{options.annotations}: passed over {count} of other kinds: '
    return [text + some_of(names)] if names else []


def _slides(plans: Sequence[SlidePlan]) -> str:
    names = some_of(plan.file.name for plan in plans)
    return f'{len(plans)} slide{"s" * (len(plans) > 1)} ({names})'
