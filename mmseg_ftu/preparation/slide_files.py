"""Find slides, their annotations, and what the table says about them."""

from dataclasses import dataclass
from pathlib import Path

from mmseg_ftu.io.image_files import take_images
from mmseg_ftu.io.images import FORMAT_OF_SUFFIX
from mmseg_ftu.io.sources import SLIDE_SUFFIXES
from mmseg_ftu.io.tables import id_fault, repeated_ids
from mmseg_ftu.masks.read_annotations import SUFFIXES, stem_of
from mmseg_ftu.preparation.index_table import detail_faults
from mmseg_ftu.preparation.records import Fault, PreparationError
from mmseg_ftu.preparation.slide_details import common_details, read_details
from mmseg_ftu.preparation.slide_options import SlideOptions

IMAGES = {*FORMAT_OF_SUFFIX, *SLIDE_SUFFIXES}


@dataclass(frozen=True)
class SlideFile:
    """A slide with its annotations.

    Attributes:
        row: Place in the list, from 1.
        name: File name without extension.
        path: The slide.
        annotations: File of its annotations.
        details: ``organ``, ``data_source``, ``group``, ``fold``, and where known
            ``pixel_size`` (um/px of the slide), as text.
    """

    row: int
    name: str
    path: Path
    annotations: Path
    details: dict[str, str]

    def fault(self, text: str) -> Fault:
        """Return a fault of the slide."""
        return Fault(self.row, f'slide {self.name!r}: {text}')


def list_slides(options: SlideOptions) -> tuple[list[SlideFile], list[Fault]]:
    """List the slides with the faults seen from names.

    Raises:
        PreparationError: If a folder or the table cannot be used at all.
    """
    slides = _slides_by_name(options.slides)
    annotations = _annotations_by_name(options.annotations)
    table, group_of = read_details(options)
    names = sorted({*slides, *table})
    repeated = repeated_ids(names)
    found, faults = [], []
    matched: set[Path] = set()
    for row, name in enumerate(names, start=1):
        texts = [id_fault(name)]
        if name in repeated:
            texts.append('its name differs from another by case only; rename it')
        details = table.get(name, common_details(options))
        texts += detail_faults(details, _pixel_size_place(options))
        if options.index and name not in table:
            texts.append(f'no row in {options.index}; add it')
        paths, files = slides.get(name, []), []
        for path in paths:
            files += [file for key in _keys(path) for file in annotations.get(key, [])]
        matched.update(files)
        texts += _match_faults(options, paths, files)
        try:
            details = details | {'group': group_of(name, details)}
        except ValueError as error:
            texts.append(str(error))
        if len(paths) == len(files) == 1:
            found.append(SlideFile(row, name, paths[0], files[0], details))
        faults += [Fault(row, f'slide {name!r}: {text}') for text in texts if text]
    if options.annotations.is_dir():
        alone = {f for files in annotations.values() for f in files} - matched
        faults += [_without_slide(file, options) for file in sorted(alone)]
    return found, faults


def _slides_by_name(place: Path) -> dict[str, list[Path]]:
    """Return slides by their names.

    Raises:
        PreparationError: If there are none.
    """
    if not place.exists():
        raise PreparationError(f'{place}: no such file or folder; name your slides')
    candidates = sorted(place.iterdir()) if place.is_dir() else [place]
    found: dict[str, list[Path]] = {}
    for path in take_images(candidates, IMAGES, place):
        found.setdefault(path.stem, []).append(path)
    if not found:
        raise PreparationError(
            f'{place} holds no slide or image (*{" *".join(sorted(IMAGES))})'
        )
    return found


def _annotations_by_name(place: Path) -> dict[str, list[Path]]:
    """Return files of annotations by the names of their slides.

    Raises:
        PreparationError: If there are none.
    """
    if not place.exists():
        raise PreparationError(f'{place}: no such file or folder; name the annotations')
    candidates = sorted(place.iterdir()) if place.is_dir() else [place]
    found: dict[str, list[Path]] = {}
    for path in candidates:
        is_hidden = path.name.startswith('.')
        if path.name.lower().endswith(SUFFIXES) and path.is_file() and not is_hidden:
            found.setdefault(stem_of(path), []).append(path)
    if not found:
        raise PreparationError(
            f'{place} holds no file of annotations (*{" *".join(SUFFIXES)}); in '
            'QuPath: File, Export objects as GeoJSON'
        )
    return found


def passed_over(options: SlideOptions) -> list[str]:
    """Return the names of files in the folder of annotations that are of other kinds.

    Hidden files are not told, nor are slides that lie in the same folder.
    """
    place = options.annotations
    if not place.is_dir():
        return []
    is_shared = options.slides.resolve() in (place.resolve(), *place.resolve().parents)
    known = (*SUFFIXES, *(IMAGES if is_shared else ()))
    return [
        path.name
        for path in sorted(place.iterdir())
        if path.is_file() and not path.name.lower().endswith(known)
        if not path.name.startswith('.')
    ]


def _pixel_size_place(options: SlideOptions) -> str:
    """Return where the pixel size of a slide is given, for messages."""
    if not options.pixel_size_column:
        return 'pixel_size'
    return f'{options.pixel_size_column} of {options.index}'


def _keys(path: Path) -> list[str]:
    """Return how annotations of a slide may be called: ``a``, ``a.svs``, ..."""
    return list(dict.fromkeys([path.stem, path.name, path.stem.removesuffix('.ome')]))


def _match_faults(
    options: SlideOptions, paths: list[Path], files: list[Path]
) -> list[str]:
    """Say what a slide lacks, or has too much of."""
    if not paths:
        return [f'no slide in {options.slides}; add it, or remove its row']
    texts = []
    if len(paths) > 1:
        names = ', '.join(path.name for path in paths)
        texts.append(f'several slides: {names}; keep one')
    if not files:
        texts.append(
            f'no annotations in {options.annotations}; export '
            f'{paths[0].stem}.geojson, or move the slide away'
        )
    elif len(files) > 1:
        names = ', '.join(file.name for file in files)
        texts.append(f'several files of annotations: {names}; keep one')
    return texts


def _without_slide(file: Path, options: SlideOptions) -> Fault:
    return Fault(
        0, f'{file}: no slide of that name in {options.slides}; add it, or move it away'
    )
