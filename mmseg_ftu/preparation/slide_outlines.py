"""The annotations of a slide, sorted by what they mean."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

import shapely

from mmseg_ftu.masks.annotations import Annotation, AnnotationFile
from mmseg_ftu.masks.class_names import is_meant
from mmseg_ftu.preparation.slide_options import SlideOptions


@dataclass(frozen=True)
class SlideOutlines:
    """Annotations of a slide, sorted by what they mean.

    Attributes:
        units: Units.
        ignored: What is ignored.
        regions: What was annotated; None if all of the slide was.
        others: Number of objects of other classes, by class.
    """

    units: tuple[Annotation, ...]
    ignored: tuple[Annotation, ...] = ()
    regions: tuple[Annotation, ...] | None = None
    others: dict[str, int] = field(default_factory=dict)

    @classmethod
    def sort(cls, found: AnnotationFile, options: SlideOptions) -> Self:
        """Sort the objects of a file: a region, else ignored, else a unit."""
        kinds: dict[str, list[Annotation]] = {'unit': [], 'ignored': [], 'region': []}
        others = Counter[str]()
        for annotation in found.annotations:
            kind = _kind_of(annotation.class_name, options)
            if kind:
                kinds[kind].append(annotation)
            else:
                others[annotation.class_name] += 1
        regions = tuple(kinds['region']) if options.regions else None
        return cls(tuple(kinds['unit']), tuple(kinds['ignored']), regions, dict(others))

    @property
    def all(self) -> tuple[Annotation, ...]:
        """All that have a meaning."""
        return (*self.units, *self.ignored, *(self.regions or ()))

    def moved(self, rows: int, columns: int) -> Self:
        """Return the outlines moved down and to the right, px."""
        if not rows and not columns:
            return self
        step = [columns, rows]

        def move(annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
            return tuple(
                replace(a, outline=shapely.transform(a.outline, lambda xy: xy + step))
                for a in annotations
            )

        regions = None if self.regions is None else move(self.regions)
        return replace(
            self, units=move(self.units), ignored=move(self.ignored), regions=regions
        )


def _kind_of(class_name: str, options: SlideOptions) -> str:
    """Return what a class means; '' for nothing."""
    if is_meant(class_name, options.regions):
        return 'region'
    if is_meant(class_name, options.ignored):
        return 'ignored'
    if not options.classes or is_meant(class_name, options.classes):
        return 'unit'
    return ''
