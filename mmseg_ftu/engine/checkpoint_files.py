"""Checkpoints as files: written whole and proved, found again, cleaned up.

mmengine (0.10) writes them in place, so that a full disk or a kill leaves half a file,
and resumes from whatever ``last_checkpoint`` names.
"""

import io
import logging
import re
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log

from mmseg_ftu.engine.safe_checkpoints import (
    DamagedCheckpointError,
    RefusedCheckpointError,
    load_local,
    load_stream,
)
from mmseg_ftu.io.atomic_files import remove_leftovers, write_bytes


class AtomicBackend(LocalBackend):
    """Local files that appear whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write beside the target, flush to disk, then rename."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, obj)


class CheckpointBackend(AtomicBackend):
    """The same for checkpoints that ``--resume`` and ``tools/test.py`` will read."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Prove that the bytes can be read, then write them.

        Raises:
            ValueError: If the checkpoint would be refused; nothing is written.
        """
        try:
            load_stream(io.BytesIO(obj), str(filepath), 'meta')
        except RefusedCheckpointError as error:
            raise ValueError(
                f'this run could not be resumed from {filepath}, so it is not '
                f'written: {error}. Let hooks keep only numbers, '
                'strings, lists, dicts, arrays and tensors in runner.message_hub and '
                'in checkpoints'
            ) from error
        super().put(obj, filepath)


register_backend('atomic', AtomicBackend, force=True)
register_backend('checkpoint', CheckpointBackend, force=True)


def remove_partials(folder: Path) -> None:
    """Remove what killed processes left half written, not what a live one writes."""
    for path in remove_leftovers(folder):
        print_log(f'{path}: left half written by a killed run, removed', 'current')


def step_pattern(template: str, prefix: str = '') -> re.Pattern[str]:
    """Return the pattern of the files of ``epoch_{}.pth``, with the number as group."""
    before, after = template.split('{}')
    return re.compile(f'{re.escape(prefix + before)}(\\d+){re.escape(after)}')


def numbered_files(folder: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    """Return the files of a pattern in a folder by their number."""
    files = folder.iterdir() if folder.is_dir() else ()
    found = [(pattern.fullmatch(path.name), path) for path in files]
    return {int(match[1]): path for match, path in found if match}


def find_resumable(work_dir: Path, folder: Path, template: str) -> Path | None:
    """Find the newest intact checkpoint of a run.

    That is the one that ``last_checkpoint`` names, wherever the folder has been moved
    to, or the newest intact one before it. Without a usable ``last_checkpoint`` it is
    the one with the highest number.

    Args:
        work_dir: Folder that holds ``last_checkpoint``.
        folder: Folder that holds the checkpoints.
        template: Name of the checkpoints, with ``{}`` for the number.

    Returns:
        Its path, or None if there is none at all.

    Raises:
        ValueError: If all are damaged, or one holds more than plain data.
    """
    pattern = step_pattern(template)
    files = numbered_files(folder, pattern)
    named = named_checkpoint(work_dir, folder)
    steps = sorted(files, reverse=True)
    candidates = [files[step] for step in steps]
    if named is not None:
        match = pattern.fullmatch(named.name)
        last = int(match[1]) if match else float('inf')
        candidates = [named, *(files[step] for step in steps if step < last)]
    damages: list[str] = []
    for path in candidates:
        damage = damage_of(path)
        if damage is None:
            if damages:
                warn(f'going on from {path} instead; what followed is trained again')
            return path
        warn(damage)
        damages.append(damage)
    if damages:
        raise ValueError(
            f'--resume: no intact checkpoint in {folder}: {"; ".join(damages)}. Put '
            'one there, or train from the beginning without --resume'
        )
    return None


def named_checkpoint(work_dir: Path, folder: Path) -> Path | None:
    """Return the file that ``last_checkpoint`` names, if there is one."""
    note = work_dir / 'last_checkpoint'
    if not note.is_file():
        return None
    text = note.read_text(errors='replace').strip()
    if text:
        # a copied folder's note holds the path of the original, which must stay as is
        for path in (folder / Path(text).name, Path(text)):
            if path.is_file():
                return path
    warn(f'{note} names {text!r}, which is not there; looking at the files instead')
    return None


def damage_of(path: Path) -> str | None:
    """Say what is wrong with a file, or None; content that is refused raises."""
    try:
        load_local(path, 'meta')
    except DamagedCheckpointError as error:
        return str(error)
    return None


def warn(text: str) -> None:
    """Warn in the log of the run."""
    print_log(text, 'current', logging.WARNING)
