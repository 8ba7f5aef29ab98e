"""What the functional tissue units of the competition's organs are called."""

UNITS = {
    'kidney': 'glomerulus',
    'largeintestine': 'crypt',
    'lung': 'alveolus',
    'prostate': 'gland',
    'spleen': 'white pulp',
}
UNNAMED = 'FTU'  # units of other organs


def unit_name(organ: str | None) -> str:
    """Return what the units of an organ are called."""
    return UNITS.get(organ or '', UNNAMED)
