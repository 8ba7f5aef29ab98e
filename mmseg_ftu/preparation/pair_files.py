"""Find images, masks and the index table of a folder of pairs."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_ftu.io.images import find_images
from mmseg_ftu.preparation.coco import CocoMask, read_coco
from mmseg_ftu.preparation.index_table import IndexTable
from mmseg_ftu.preparation.records import FileMask, PreparationError


@dataclass(frozen=True)
class PairFolders:
    """Where images and masks are and what they mean.

    Attributes:
        source: The data set's folder; the paths below are relative to it.
        images: Folder of images.
        masks: Folder of masks; may be the same if ``mask_suffix`` tells them apart. Or
            a file of COCO's format, ``.json``.
        mask_suffix: What a mask's name has more than the image's.
        foreground: Labels of the foreground, as in ``read_mask``; words of a command
            line are understood too. Of COCO, names or ids of categories.
        ignore: Label that is ignored, as in ``read_mask``.
        index: Table with one row an image; '' for none.
        id_column: Column of the table with the images' names without extension.
        group_column: Column of the table with patients or other groups; '' for none.
        fold_column: Column of the table with the fold of each image; '' for none.
        organ_column: Column of the table with organs; '' if all are of one ``organ``.
        organ: The organ of all images.
        data_source: The data set's name.
        pixel_size: Pixel size in um/px, as text; '' if unknown.
    """

    source: Path
    images: str = 'images'
    masks: str = 'masks'
    mask_suffix: str = ''
    foreground: tuple[Any, ...] | str = 'auto'
    ignore: int | None = None
    index: str = ''
    id_column: str = 'id'
    group_column: str = ''
    fold_column: str = ''
    organ_column: str = ''
    organ: str = ''
    data_source: str = 'own'
    pixel_size: str = ''

    def __post_init__(self) -> None:
        parse = _parse_categories if is_coco(self.masks) else _parse_foreground
        object.__setattr__(self, 'foreground', parse(self.foreground))


def find_pairs(
    folders: PairFolders,
) -> tuple[dict[str, list[Path]], dict[str, list[FileMask] | list[CocoMask]]]:
    """Return image files and masks by the image's name.

    Raises:
        PreparationError: If a folder is missing or holds no image, nothing tells masks
            from images, or a file of masks cannot be used.
    """
    source, suffix = folders.source, folders.mask_suffix
    images, masks = source / folders.images, source / folders.masks
    if is_coco(folders.masks) and masks.is_file():
        found = read_coco(masks, folders.foreground, folders.ignore)
        return _find_images(images), dict(found)
    if is_coco(folders.masks) and not masks.is_dir():
        raise PreparationError(f'{masks}: no such file; see --masks')
    for path in (images, masks):
        if not path.is_dir():
            raise PreparationError(f'{path}: no such folder; see --images and --masks')
    together = images.resolve() == masks.resolve()
    if together and not suffix:
        raise PreparationError(
            f'{images} holds images and masks; tell them apart by --mask-suffix'
        )
    of_images = _find_images(images)
    of_masks = of_images if together else find_images(masks)
    if together:
        of_images = {n: f for n, f in of_images.items() if not n.endswith(suffix)}
    return of_images, {
        name.removesuffix(suffix): [
            FileMask(path, folders.foreground, folders.ignore) for path in paths
        ]
        for name, paths in of_masks.items()
        if name.endswith(suffix)
    }


def _find_images(folder: Path) -> dict[str, list[Path]]:
    """Return the images of a folder by name.

    Raises:
        PreparationError: If there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise PreparationError(f'{folder}: no such folder; see --images and --masks')
    images = find_images(folder)
    if not images:
        raise PreparationError(f'{folder} holds no image')
    return images


def is_coco(masks: str) -> bool:
    """Tell whether the masks are in a file of COCO's format."""
    return masks.lower().endswith('.json')


def read_index(folders: PairFolders) -> dict[str, dict[str, str]]:
    """Return the details of each image on the index, by name.

    Raises:
        PreparationError: If the table is missing or lacks a column, or names repeat.
    """
    columns = {
        'group': folders.group_column,
        'organ': folders.organ_column,
        'fold': folders.fold_column,
    }
    path = folders.source / folders.index if folders.index else None
    table = IndexTable(path, folders.id_column, columns, common_details(folders))
    return table.read()


def common_details(folders: PairFolders) -> dict[str, str]:
    """Return what holds for all images."""
    return {
        'organ': folders.organ,
        'data_source': folders.data_source,
        'pixel_size': folders.pixel_size,
    }


def _parse_categories(words: Iterable[int | str] | str) -> tuple[str, ...] | str:
    """Return names or ids of categories, or the word for all."""
    given = [words] if isinstance(words, str) else [str(word) for word in words]
    return given[0] if given in (['auto'], ['nonzero']) else tuple(sorted({*given}))


def _parse_foreground(words: Iterable[int | str] | str) -> tuple[int, ...] | str:
    """Return labels, or one of the words that ``read_mask`` knows.

    Raises:
        PreparationError: If it is neither.
    """
    given: list[int | str] = [words] if isinstance(words, str) else list(words)
    if given in (['auto'], ['nonzero']):
        return str(given[0])
    try:
        return tuple(sorted({int(word) for word in given}))
    except ValueError:
        raise PreparationError(
            f'foreground {given}: give labels, or the single word auto or nonzero'
        ) from None
