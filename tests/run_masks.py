"""Masks as runs, for tests."""

from mmseg_ftu.masks.run_mask import RunMask


def runs_of(mask):
    """Read a whole mask, (H, W) bool or uint8; not 0 is foreground."""
    return RunMask.from_strips([mask], mask.shape)
