import pytest
from sections import section

from mmseg_ftu.stain import METHODS, normalizer_of


@pytest.mark.parametrize('method', METHODS)
def test_a_state_becomes_its_normaliser(method):
    normalizer = METHODS[method]('target').fit(section(seed=1))
    again = normalizer_of(normalizer.state_dict())
    assert type(again) is METHODS[method]
    assert again.on_failure == 'target'
    image = section(seed=2)
    assert (again.transform(image) == normalizer.transform(image)).all()


@pytest.mark.parametrize('state', [{}, {'type': 'Normalizer'}])
def test_another_state_is_named(state):
    with pytest.raises(ValueError, match='expected one of VahadaneNormalizer, '):
        normalizer_of(state)
