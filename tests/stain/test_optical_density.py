import numpy as np
import pytest
from sections import EOSIN, HAEMATOXYLIN, section, unit_rows

from mmseg_ftu.stain import concentrations, optical_density, tissue_mask

STAINS = unit_rows([HAEMATOXYLIN, EOSIN])


def test_density_by_hand():
    image = np.array([[[255, 128, 0]]], np.uint8)
    expected = [0, np.log(255 / 128), np.log(255)]
    np.testing.assert_allclose(optical_density(image)[0, 0], expected, atol=1e-12)
    assert image[0, 0, 2] == 0


def test_tissue_is_darker_than_four_fifths():
    image = np.array([[[255] * 3, [210] * 3, [190] * 3, [0] * 3]], np.uint8)
    assert tissue_mask(image).tolist() == [[False, False, True, True]]


def test_density_and_mask_equal_staintools():
    od = pytest.importorskip('staintools.miscellaneous.optical_density_conversion')
    locator = pytest.importorskip(
        'staintools.tissue_masks.luminosity_threshold_tissue_locator'
    ).LuminosityThresholdTissueLocator
    image = section()
    assert np.array_equal(tissue_mask(image), locator.get_tissue_mask(image.copy()))
    theirs = od.convert_RGB_to_OD(image.copy())
    np.testing.assert_allclose(optical_density(image), theirs, atol=1.1e-6)


@pytest.mark.parametrize('penalty', [0.01, 0.1, 1.0])
def test_concentrations_equal_spams(penalty):
    spams = pytest.importorskip('spams')
    density = np.random.default_rng(0).uniform(0, 3, (500, 3))
    theirs = spams.lasso(
        X=np.asfortranarray(density.T),
        D=np.asfortranarray(STAINS.T),
        mode=2,
        lambda1=penalty,
        pos=True,
        numThreads=1,
    )
    ours = concentrations(density, STAINS, penalty)
    np.testing.assert_allclose(ours, theirs.toarray().T, atol=1e-6)
    assert (ours == 0).any()
    assert (ours > 0).any()


def test_concentrations_are_a_minimum():
    density = np.random.default_rng(0).uniform(0, 3, (200, 3))

    def cost(codes):
        rest = density - codes @ STAINS
        return 0.5 * (rest**2).sum(axis=1) + 0.01 * codes.sum(axis=1)

    best = concentrations(density, STAINS)
    for move in ([1e-4, 0], [-1e-4, 0], [0, 1e-4], [0, -1e-4]):
        assert (cost(best) <= cost(np.maximum(best + move, 0)) + 1e-15).all()


@pytest.mark.parametrize(
    ('stains', 'match'),
    [(np.ones((3, 3)), 'two rows'), (unit_rows([[1, 1, 1]] * 2), 'parallel')],
)
def test_refuses_stains(stains, match):
    with pytest.raises(ValueError, match=match):
        concentrations(np.ones((4, 3)), stains)
