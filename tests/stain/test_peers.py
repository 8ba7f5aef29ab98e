"""Macenko, Reinhard and the staintools backend against staintools itself."""

import builtins
import sys

import numpy as np
import pytest
from sections import UNFIT, section

from mmseg_ftu.stain import (
    ColourHistogram,
    MacenkoNormalizer,
    ReinhardNormalizer,
    StainFitError,
    VahadaneNormalizer,
)

OTHER = ([0.5, 0.75, 0.43], [0.1, 0.95, 0.25])


def test_macenko_equals_staintools():
    staintools = pytest.importorskip('staintools')
    image, target = section(1, 150, OTHER), section(2, 150)
    theirs = staintools.StainNormalizer('macenko')
    theirs.fit(target.copy())
    ours = MacenkoNormalizer().fit(target)
    cosines = (ours.target.stains * theirs.stain_matrix_target).sum(axis=1)
    assert np.degrees(np.arccos(np.minimum(cosines, 1))).max() < 0.3
    gap = ours.transform(image).astype(int) - theirs.transform(image.copy())
    assert np.abs(gap).mean() < 1


def test_reinhard_equals_staintools():
    staintools = pytest.importorskip('staintools')
    image, target = section(1, 150, OTHER), section(2, 150)
    theirs = staintools.ReinhardColorNormalizer()
    theirs.fit(target.copy())
    gap = ReinhardNormalizer().fit(target).transform(image).astype(int)
    gap -= theirs.transform(image.copy())
    assert np.abs(gap).mean() < 1


def test_backend_runs_staintools():
    pytest.importorskip('spams')
    pytest.importorskip('staintools')
    image, target = section(1, 64, OTHER), section(2, 64)
    original = VahadaneNormalizer(backend='staintools').fit(target)
    ours = VahadaneNormalizer().fit(target)
    cosines = (ours.target.stains * original.target.stains).sum(axis=1)
    assert np.degrees(np.arccos(np.minimum(cosines, 1))).max() < 2
    gap = original.transform(image).astype(int) - ours.transform(image)
    assert np.abs(gap).mean() < 3
    assert np.array_equal(image, section(1, 64, OTHER))
    assert original.fit_source(UNFIT['white']).reason
    with pytest.raises(StainFitError):
        original.fit(UNFIT['constant'])
    with pytest.raises(ValueError, match='histogram'):
        original.fit_source(ColourHistogram.of(image))
    state = original.state_dict()
    assert VahadaneNormalizer.from_state_dict(state).backend == 'staintools'


def test_missing_staintools_is_told(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split('.')[0] == 'staintools':
            raise ImportError(f'No module named {name!r}')
        return real(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.split('.')[0] == 'staintools']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(ImportError, match=r"pip install 'mmseg_ftu\[staintools\]'"):
        VahadaneNormalizer(backend='staintools')


def test_unknown_backend_is_told():
    with pytest.raises(ValueError, match='exact'):
        VahadaneNormalizer(backend='spams')
