import numpy as np
import pytest
import torch
from sections import UNFIT, section

from mmseg_ftu.stain import (
    MacenkoNormalizer,
    ReinhardNormalizer,
    VahadaneNormalizer,
    apply_torch,
    fit_sources_torch,
)

IMAGES = [
    section(1, stains=([0.5, 0.75, 0.43], [0.1, 0.95, 0.25])),
    section(2),
    np.tile(UNFIT['white'], (2, 2, 1))[:96, :96],
]
BATCH = torch.from_numpy(np.stack(IMAGES)).permute(0, 3, 1, 2)
DEVICES = ['cpu'] + ['cuda'] * torch.cuda.is_available()


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32])
@pytest.mark.parametrize(
    'kind', [VahadaneNormalizer, MacenkoNormalizer, ReinhardNormalizer]
)
def test_equals_numpy_within_a_level(kind, dtype, device):
    normalizer = kind().fit(section(5))
    batch = BATCH.to(device, dtype)
    sources = fit_sources_torch(batch, normalizer)
    assert [source.reason is None for source in sources] == [True, True, False]
    out = apply_torch(batch, normalizer, sources)
    assert (out.dtype, out.shape, out.device) == (dtype, batch.shape, batch.device)
    for image, source, got in zip(IMAGES, sources, out.cpu(), strict=True):
        assert source.state_dict() == normalizer.fit_source(image).state_dict()
        expected = normalizer.transform(image).astype(int)
        gap = got.permute(1, 2, 0).numpy().astype(int) - expected
        assert np.abs(gap).max() <= 1
        assert np.abs(gap).mean() < 0.01
    assert torch.equal(batch, BATCH.to(device, dtype))


def test_one_source_for_all():
    normalizer = VahadaneNormalizer().fit(section(5))
    source = normalizer.fit_source(IMAGES[0])
    one = apply_torch(BATCH, normalizer, source)
    each = apply_torch(BATCH, normalizer, [source] * 3)
    assert torch.equal(one, each)
    assert not torch.equal(one[0], BATCH[0])


@pytest.mark.parametrize(
    ('batch', 'sources', 'match'),
    [
        (BATCH[0], 1, 'shape'),
        (BATCH.permute(0, 2, 3, 1), 1, 'shape'),
        (BATCH.int(), 1, 'int32'),
        (BATCH, 2, '2 sources for 3'),
    ],
)
def test_refuses(batch, sources, match):
    normalizer = VahadaneNormalizer().fit(section(5))
    fits = [normalizer.fit_source(IMAGES[0])] * sources
    with pytest.raises(ValueError, match=match):
        apply_torch(batch, normalizer, fits)
