import pytest

from mmseg_ftu.study import one_run


@pytest.mark.parametrize(
    ('resumed', 'expected'), [(True, 'aaa+bbb+ccc'), (False, 'ccc')]
)
def test_a_run_names_all_sources_that_made_it(monkeypatch, tmp_path, resumed, expected):
    path = tmp_path / 'work' / 'sources.txt'
    for name in ('aaa', 'bbb', 'bbb'):
        monkeypatch.setattr(one_run, 'source_digest', lambda name=name: name)
        one_run.note_sources(path, resumed=True)
    monkeypatch.setattr(one_run, 'source_digest', lambda: 'ccc')
    assert one_run.note_sources(path, resumed) == expected
    assert path.read_text() == expected.replace('+', ' ')
