import numpy as np
import pytest
import tifffile

from mmseg_ftu.io.grey_regions import GreyRegions, open_grey_regions
from mmseg_ftu.io.sources import Limits

READ_IN_PARTS = Limits(whole_pixels=0, strip_pixels=10_000)


@pytest.mark.parametrize('bits', [8, 4, 2])
@pytest.mark.parametrize('options', [{}, dict(tile=(32, 48))], ids=['strips', 'tiles'])
def test_values_of_few_bits(tmp_path, bits, options):
    """Strips of whole bytes are read by rows; those of fewer bits are packed."""
    path = tmp_path / 'mask.tif'
    mask = np.random.default_rng(0).integers(0, 4, (200, 150), np.uint8)
    options = options or dict(rowsperstrip=40)
    tifffile.imwrite(
        path, mask, bitspersample=bits, photometric='minisblack', **options
    )
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].bitspersample == bits
    source = open_grey_regions(path, READ_IN_PARTS)
    assert isinstance(source, GreyRegions)
    for top, left, height, width in (
        (0, 0, 200, 150),
        (30, 7, 25, 60),
        (199, 0, 1, 150),
    ):
        region = source.read(0, top, left, height, width)
        assert (region == mask[top : top + height, left : left + width]).all()
    source.close()
