"""The files of a prediction folder that its records list, and no others."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mmseg_ftu.inference.provenance import hash_file

PARTS = ('masks', 'overlays', 'geojson', 'probabilities', 'units')  # by write_files


def listed_files(files: object) -> dict[str, int | None]:
    """Return files of a record or a claim, by name, with their sizes where known.

    A record may have been edited: names that do not lie in one of `PARTS` are dropped,
    so that nothing elsewhere is ever touched.
    """
    if not isinstance(files, Mapping):
        files = dict.fromkeys(files if isinstance(files, Iterable) else ())
    listed = {}
    for name, size in files.items():
        parts = PurePosixPath(str(name)).parts
        if len(parts) == 2 and parts[0] in PARTS and parts[1] != '..':
            listed[str(name)] = size
    return listed


def size_of(path: Path) -> int | None:
    """Return the size of a file in bytes, None if there is none."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def exists(path: Path) -> bool:
    """Tell whether anything of that name is there, also a link to nowhere."""
    return path.exists() or path.is_symlink()


def refuse_foreign(folder: Path, names: Iterable[str], own: Collection[str]) -> None:
    """Raise ValueError if a file is in the way that is not one of our own."""
    found = [n for n in names if n not in own and exists(folder / n)]
    if found:
        raise ValueError(
            f'{folder / found[0]} is in the way and was not written by predict: move '
            'it away, or give another --output'
        )


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each file by its name."""
    return {name: hash_file(folder / name) for name in names}


def refuse_links(folder: Path) -> None:
    """Raise ValueError if a folder for results is a link: they would land elsewhere."""
    for part in PARTS:
        if (folder / part).is_symlink():
            there = (folder / part).resolve()
            raise ValueError(
                f'{folder / part} is a link to {there}, and results would be written '
                'there: remove the link, or give another --output'
            )


def changed_since(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """Return the files of a record whose content has changed since.

    Args:
        folder: The prediction folder.
        record: Record with ``files`` (sizes in bytes) and ``digests`` (SHA-256) by
            name; what a record does not hold of a file is not compared.
    """
    digests = record.get('digests') or {}
    changed = []
    for name, size in listed_files(record.get('files')).items():
        now = size_of(folder / name)
        if now is None:
            continue
        is_same = size in (None, now)
        if is_same and name in digests:
            is_same = hash_file(folder / name) == digests[name]
        if not is_same:
            changed.append(name)
    return changed


def remove_results(folder: Path, names: Iterable[str]) -> None:
    """Remove files, those that are there."""
    for name in names:
        path = folder / name
        if path.is_file() or path.is_symlink():
            path.unlink()


def remove_empty_parts(folder: Path) -> None:
    """Remove the folders of `PARTS` that are empty."""
    for part in PARTS:
        path = folder / part
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()
