import json

import numpy as np
import pytest
from sections import section

from mmseg_ftu.stain import METHODS, load_target, normalizer_of, stain_id

#: States of version 1, the only one there was before strengths were measured over
#: tissue, and the ids that were written into folders and checkpoints then.
VERSION_1 = {
    'vahadane-49e0cef87142': {
        'version': 1,
        'type': 'VahadaneNormalizer',
        'on_failure': 'identity',
        'backend': 'exact',
        'target': {
            'reason': None,
            'stains': [[0.6, 0.8, 0.0], [0.0, 0.8, 0.6]],
            'strengths': [1.5, 0.75],
        },
    },
    'reinhard-8a57877db58b': {
        'version': 1,
        'type': 'ReinhardNormalizer',
        'on_failure': 'target',
        'target': {
            'reason': None,
            'mean': [150.0, 140.0, 120.0],
            'std': [30.0, 8.0, 6.0],
        },
    },
}


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


@pytest.mark.parametrize('name', VERSION_1)
def test_a_state_of_version_1_keeps_its_rule_and_its_id(name, tmp_path):
    state = VERSION_1[name]
    path = tmp_path / 'target.json'
    path.write_text(json.dumps(state))
    with pytest.warns(UserWarning, match=r'target\.json: it measures .* all pixels'):
        normalizer = load_target(path)
    assert normalizer.compatible
    assert normalizer.state_dict() == state
    assert stain_id(normalizer) == name
    method = name.split('-')[0]
    fresh = METHODS[method](compatible=True).fit(section(seed=2))
    image = section(seed=1)
    assert normalizer.measure(image).state_dict() == fresh.measure(image).state_dict()


@pytest.mark.parametrize('method', METHODS)
def test_the_rules_have_different_ids_even_for_equal_targets(method):
    states = [
        METHODS[method](compatible=compatible).fit(section()).state_dict()
        for compatible in (True, False)
    ]
    assert [state['version'] for state in states] == [1, 2]
    states[1]['target'] = states[0]['target']
    with pytest.warns(UserWarning, match='stain target: it measures'):
        old, new = (normalizer_of(state) for state in states)
    assert stain_id(old) != stain_id(new)
    image = section(seed=1)  # it has glass
    assert not np.array_equal(old.transform(image), new.transform(image))


def test_a_state_of_version_2_does_not_warn(recwarn):
    normalizer_of(METHODS['vahadane']().fit(section()).state_dict())
    assert not recwarn
