from machine import describe_machine, model_name, settings


def test_model_name_of_a_processor():
    text = 'processor\t: 0\nmodel name\t: Fast 9 @ 2: GHz\nmodel name\t: other\n'
    assert model_name(text) == 'Fast 9 @ 2: GHz'
    assert model_name('processor: 0') == 'unknown'


def test_settings_that_count_are_told():
    found = settings({'OMP_NUM_THREADS': '2', 'HOME': '/root'})
    assert found['OMP_NUM_THREADS'] == '2'
    assert 'HOME' not in found
    assert 'defaults' in found['allocator']
    assert 'allocator' not in settings({'MALLOC_TRIM_THRESHOLD_': '1'})


def test_the_machine_is_described_with_torch_and_instructions():
    assert {
        'processor',
        'cores',
        'instruction set',
        'torch',
    } <= describe_machine().keys()
