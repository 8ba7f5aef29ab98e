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

BIG = full_section(3, 400, OTHER)  # a row is .25 % of it
#: Real images, of dark tissue (silver, keratin) and of none.
LINED = [
    'stain_images/stardist_histo.jpg',
    'stain_images/torchstain_source.png',
    'stain_images/cmu_small_region_crop1024.png',
    'glas_bench/images/testA_10.png',
    'kidney_glomeruli_he_pas_roi/images/HE_I_1_S_1_ROI_1.jpg',
    'kidney_structures_multistain_256/images/glomerulus_capsule_sil_im_92_0.png',
    'kidney_structures_multistain_256/images/distal_tubule_sil_im_69_4.png',
    'testis_seminiferous_tubules/images/mink_M01G4x20_15.png',
]
#: Real images that are so pale that the edge of tissue rises.
PALE = [
    'hubmap2022_from_figures/images/kidney_23243.png',
    'hubmap2022_from_figures/images/kidney_62.png',
    'hubmap2022_from_figures/images/prostate_13942.png',
    'hubmap2022_from_figures/images/prostate_5995.png',
    'lung_mouse_airway_vessel/images/024437.jpg',
]

every = pytest.mark.parametrize('method', METHODS)


def read(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def small(path):
    """Read an image, at 300 px at the most."""
    image = read(path)
    scale = min(1, 300 / max(image.shape[:2]))
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def as_jpeg(image):
    data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return cv2.cvtColor(cv2.imdecode(data, 1), cv2.COLOR_BGR2RGB)


@pytest.fixture
def real_target(shared_data):
    return read(shared_data('stain_images') / 'tiatoolbox_target_image.png')


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


def with_black(image, lines, axis):
    """Add black rows (axis 0) or columns (axis 1)."""
    shape = list(image.shape)
    shape[axis] = lines
    return np.concatenate([image, np.zeros(shape, np.uint8)], axis)


def change(normalizer, image, other):
    """Return the mean change of an image where another one is fitted for it."""
    sources = [normalizer.fit_source(given) for given in (image, other)]
    assert [source.reason for source in sources] == [None, None]
    first, second = (normalizer.apply(image, source) for source in sources)
    return np.abs(first.astype(int) - second).mean()


@every
@pytest.mark.parametrize('axis', [0, 1])
@pytest.mark.parametrize('lines', [1, 2, 3, 10, 400])
def test_black_lines_do_not_matter(method, lines, axis):
    normalizer = METHODS[method]().fit(TARGET)
    assert change(normalizer, BIG, with_black(BIG, lines, axis)) < 0.5


@every
def test_nor_in_real_images(method, shared_data, real_target):
    """Silver and keratin are as dark as a border, but not all black."""
    normalizer = METHODS[method]().fit(real_target)
    for name in LINED:
        image = small(shared_data(name.split('/')[0]).parent / name)
        for lines, axis in [(1, 0), (1, 1), (2, 0), (3, 1), (10, 0), (400, 0)]:
            other = with_black(image, lines, axis)
            assert change(normalizer, image, other) < 2, (name, lines)


@every
@pytest.mark.parametrize('lines', [3, 16, 100])
def test_nor_do_black_borders_in_jpeg(method, lines, shared_data, real_target):
    """What JPEG makes of a border is left out with it, and dark tissue is not."""
    normalizer = METHODS[method]().fit(real_target)
    for name in LINED:
        image = small(shared_data(name.split('/')[0]).parent / name)
        plain, bordered = map(as_jpeg, (image, with_black(image, lines, 0)))
        reason = normalizer.fit_source(plain).reason
        if reason:  # JPEG takes the little colour of keratin
            assert name == LINED[-1]
            assert normalizer.fit_source(bordered).reason == reason
            continue
        assert change(normalizer, plain, bordered) < MOST, name


@every
def test_a_single_black_pixel_in_dark_tissue_changes_nothing(method):
    """Black that is the tail of dark tissue belongs to it."""
    dark = full_section(1, 200, OTHER, strength=3.0)
    dark[0, 0] = 12  # so there is such a shade
    other = dark.copy()
    other[0, 1] = 0
    normalizer = METHODS[method]().fit(TARGET)
    assert change(normalizer, dark, other) < 0.5


def test_no_border_hides_what_a_stand_in_paints_black():
    """A stand-in that would turn red black is refused beside a border, too."""
    canvas = with_black(filled((255, 0, 0)), 1000, 0)
    normalizer = VahadaneNormalizer('target').fit(section(2))
    assert np.array_equal(normalizer.transform(canvas), canvas)


@every
@pytest.mark.parametrize('glass', [214, 218, 222, 228, (222, 214, 220), 243])
def test_glass_beside_pale_tissue_does_not_matter(method, glass):
    """However dim it is: it has no colour."""
    pale = full_section(1, stains=OTHER, strength=0.2)
    normalizer = METHODS[method]().fit(TARGET)
    alone = painted(normalizer, pale)
    for side in (141, 200, 690):
        found = painted(normalizer, on_glass(pale, side, glass))
        assert np.abs(found - alone).max() < 1, side


@every
@pytest.mark.parametrize('name', PALE)
def test_nor_beside_real_pale_tissue(method, name, shared_data, real_target):
    """With one to three times as much glass of its own or of any brightness."""
    image = small(shared_data(name.split('/')[0]).parent / name)
    normalizer = METHODS[method]().fit(real_target)
    rng = np.random.default_rng(0)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(int)
    is_glass = (lab[..., 0] > 214) & (np.abs(lab[..., 1:] - 128) < 8).all(axis=2)
    for share in (1, 3):
        shape = (share * len(image), image.shape[1])
        glasses = [image[is_glass][rng.integers(0, is_glass.sum(), shape)]]
        for level in (214, 218, 222, 228, 240):
            noisy = rng.normal(level, 2, (*shape, 3)).round()
            glasses.append(noisy.astype(np.uint8))
        for glass in glasses:
            other = np.concatenate([image, glass])
            assert change(normalizer, image, other) < MOST, share


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


def test_the_backend_leaves_black_out():
    pytest.importorskip('spams')
    pytest.importorskip('staintools')
    tissue = full_section(1, 64, OTHER)
    normalizer = VahadaneNormalizer(backend='staintools').fit(full_section(2, 64))
    assert change(normalizer, tissue, with_black(tissue, 2, 0)) < 2
