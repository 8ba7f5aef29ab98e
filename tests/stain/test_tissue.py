"""Strengths are those of the tissue, however much glass, border or paleness."""

import cv2
import numpy as np
import pytest
import torch
from sections import filled, full_section, on_glass, section

from mmseg_ftu.stain import (
    METHODS,
    ColourHistogram,
    VahadaneNormalizer,
    apply_torch,
    fit_sources_torch,
    tissue_mask,
)

OTHER = ([0.5, 0.75, 0.43], [0.1, 0.95, 0.25])
TISSUE = full_section(1, stains=OTHER)  # 100 x 100 px
TARGET = full_section(2, 160)
CANVASES = (141, 447, 690, 1000)  # px a side: 50 %, 5 %, 2.1 % and 1 % of tissue
#: Mean and noise of the glass.
GLASS = [(235, 2), (245, 3), (255, 2), (255, 0)]
MOST = 5  # grey levels

every = pytest.mark.parametrize('method', METHODS)


def read(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def painted(normalizer, image):
    """Return the mean colour that the tissue in the corner gets, fitted or failed."""
    source = normalizer.fit_source(image)
    assert source.reason is None
    return normalizer.apply(image, source)[:100, :100].mean(axis=(0, 1))


@every
@pytest.mark.parametrize(('glass', 'noise'), GLASS)
def test_the_share_of_glass_does_not_matter(method, glass, noise):
    normalizer = METHODS[method]().fit(TARGET)
    alone = painted(normalizer, TISSUE)
    for side in CANVASES:
        found = painted(normalizer, on_glass(TISSUE, side, glass, noise))
        assert np.abs(found - alone).max() < MOST, side


@every
def test_nor_in_the_target(method):
    alone = painted(METHODS[method]().fit(TARGET), TISSUE)
    target = on_glass(TARGET, 1600)
    found = painted(METHODS[method]().fit(target), TISSUE)
    assert np.abs(found - alone).max() < MOST


@every
def test_nor_in_real_tissue(method, shared_data):
    folder = shared_data('stain_images')
    image, target = (
        read(folder / name) for name in ('stardist_histo.jpg', 'torchstain_source.png')
    )
    tissue = np.ascontiguousarray(image[100:200, 100:200])
    normalizer = METHODS[method]().fit(target)
    alone = painted(normalizer, tissue)
    for side in (200, 980):
        found = painted(normalizer, on_glass(tissue, side, 240))
        assert np.abs(found - alone).max() < MOST, side


@every
def test_over_all_pixels_it_does_matter(method):
    """What ``compatible=True`` keeps of staintools."""
    normalizer = METHODS[method](compatible=True).fit(TARGET)
    alone = painted(normalizer, TISSUE)
    found = painted(normalizer, on_glass(TISSUE, 690))
    assert np.abs(found - alone).max() > 25


@every
def test_tiles_and_batches_equal_the_whole(method):
    """Fitted tile by tile, and as a tensor, with one part in fifty tissue."""
    normalizer = METHODS[method]().fit(TARGET)
    canvas = on_glass(TISSUE, 707)
    source, whole = normalizer.fit_source(canvas), normalizer.transform(canvas)
    histogram = ColourHistogram()
    corners = [(y, x) for y in range(0, 707, 256) for x in range(0, 707, 300)]
    for y, x in corners:
        histogram.update(canvas[y : y + 256, x : x + 300])
    streamed = normalizer.fit_source(histogram)
    assert streamed.state_dict() == source.state_dict()
    for y, x in corners:
        tile = normalizer.apply(canvas[y : y + 256, x : x + 300], streamed)
        assert np.array_equal(tile, whole[y : y + 256, x : x + 300])
    batch = torch.from_numpy(canvas).permute(2, 0, 1)[None]
    sources = fit_sources_torch(batch, normalizer)
    assert sources[0].state_dict() == source.state_dict()
    out = apply_torch(batch, normalizer, sources)[0].permute(1, 2, 0).numpy()
    assert np.abs(out.astype(int) - whole).max() <= 1


@every
def test_glass_stays_bright(method):
    out = METHODS[method]().fit(TARGET).transform(on_glass(TISSUE, 690, 240))
    assert out[200:, 200:].mean(axis=(0, 1)).min() > 215


@every
def test_pale_tissue_is_brought_to_the_target_too(method):
    """Most of it is lighter than 80 %, and on glass it is as it is alone."""
    pale = full_section(1, stains=OTHER, strength=0.2)
    assert tissue_mask(pale).mean() < 0.2
    normalizer = METHODS[method]().fit(TARGET)
    alone = painted(normalizer, pale)
    assert np.abs(alone - painted(normalizer, TISSUE)).max() < MOST
    assert np.abs(painted(normalizer, on_glass(pale, 690)) - alone).max() < MOST


@every
def test_a_thin_black_border_around_little_tissue_does_not_matter(method):
    """It covers less than a hundredth of the image, but a third of the dark pixels."""
    normalizer = METHODS[method]().fit(TARGET)
    canvas = on_glass(TISSUE, 1000)
    canvas[-4:] = 0
    found = painted(normalizer, canvas)
    assert np.abs(found - painted(normalizer, TISSUE)).max() < MOST


@every
def test_dim_glass_is_none_of_the_tissue(method):
    """Glass of 84 % lightness, while the tissue is stained as usual."""
    normalizer = METHODS[method]().fit(TARGET)
    found = painted(normalizer, on_glass(TISSUE, 690, 210))
    assert np.abs(found - painted(normalizer, TISSUE)).max() < MOST


@every
def test_a_speck_is_not_fitted(method):
    normalizer = METHODS[method]().fit(TARGET)
    few = on_glass(TISSUE[:12, :12], 100)  # 144 px
    assert 'less than 0.1 % of the image' in normalizer.fit_source(few).reason
    lost = on_glass(TISSUE[:20, :20], 1000)  # 0.04 %
    assert 'less than 0.1 % of the image' in normalizer.fit_source(lost).reason


@pytest.mark.parametrize('method', ['vahadane', 'macenko'])
@pytest.mark.parametrize('colour', [(255, 0, 0), (255, 255, 0), (0, 0, 255)])
def test_no_stand_in_turns_a_patch_on_glass_black(method, colour):
    """What no stain can make keeps its colour, although it is a small part."""
    canvas = on_glass(filled(colour), 450)  # 2 %
    normalizer = METHODS[method]('target').fit(section(2))
    assert np.array_equal(normalizer.transform(canvas), canvas)


def test_the_backend_measures_over_tissue_too():
    pytest.importorskip('spams')
    pytest.importorskip('staintools')
    tissue = full_section(1, 64, OTHER)
    normalizer = VahadaneNormalizer(backend='staintools').fit(full_section(2, 64))
    alone, glazed = (
        normalizer.fit_source(image) for image in (tissue, on_glass(tissue, 300))
    )
    assert glazed.strengths == pytest.approx(alone.strengths, rel=0.1)
