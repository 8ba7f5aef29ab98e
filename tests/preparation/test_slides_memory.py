"""A large slide in a process of its own, whose memory is measured."""

from pathlib import Path

import pytest
from command_lines import peak_memory
from large_slides import write_large_slides


def prepare(folder: Path, side: int, units: int) -> int:
    """Prepare two links to one slide; return the peak of memory, MiB."""
    write_large_slides(folder, side, units)
    words = [folder / 'slides', folder / 'annotations', folder / 'out']
    words += ['--pixel-size', '1', '--region', 'Region', '--organ', 'kidney']
    words += ['--folds', '2', '--workers', '2', '--negatives', '0.2']
    return peak_memory('prepare_slides', *words)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_slide(tmp_path):
    small = prepare(tmp_path / 'small', 4096, 8)
    large = prepare(tmp_path / 'large', 20_000, 200)  # 1.2 GB as an array
    assert large < small + 150
