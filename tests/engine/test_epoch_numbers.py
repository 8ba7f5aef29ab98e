"""Epochs as numbers and as shares of the run."""

import pytest

from mmseg_ftu.engine.epoch_numbers import epoch_of, is_epoch


@pytest.mark.parametrize(
    ('given', 'max_epochs', 'epoch'),
    [(0, 40, 0), (7, 40, 7), (90, 40, 90), (0.5, 40, 20), (0.29, 100, 29)]
    + [(0.01, 40, 1), (0.7, 10, 7), (0.99, 10, 10), (0.5, 1, 1)],
)
def test_epoch_of(given, max_epochs, epoch):
    assert is_epoch(given)
    assert epoch_of(given, max_epochs) == epoch


@pytest.mark.parametrize('given', [-1, True, 1.0, 0.0, 2.5, float('nan'), '0.5', None])
def test_what_names_no_epoch(given):
    assert not is_epoch(given)
