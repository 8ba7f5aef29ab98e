"""Fixtures for the dataset tests."""

import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def mmseg_scope():
    """Build from mmseg's registries, as ``default_scope='mmseg'`` of a config does."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield
