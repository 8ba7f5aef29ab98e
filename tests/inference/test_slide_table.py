import pytest

from mmseg_ftu.inference.slide_table import read_slide_table


@pytest.fixture
def folder(tmp_path):
    """A folder with slides, one of them in a folder of its own."""
    (tmp_path / 'more').mkdir()
    for name in ('a.svs', 'b.tif', 'more/c.svs', 'more/a.tif', 'note.txt'):
        (tmp_path / name).write_bytes(b'')
    return tmp_path


def read(folder, text, *known):
    (folder / 'slides.csv').write_text(text)
    return read_slide_table(folder / 'slides.csv', *known)


def test_cells_go_before_what_holds_for_all(folder):
    one, two = read(
        folder,
        'path,pixel_size,organ,data_source,patient\n'
        'a.svs,0.25,Kidney,hpa,P1\n'
        f'{folder}/more/c.svs,,,,\n',
        *('lung', 'Hubmap', 0.5),
    )
    assert (one.id, one.path) == ('a', folder / 'a.svs')
    assert (one.organ, one.data_source) == ('kidney', 'HPA')
    assert (one.pixel_size, one.patient) == (0.25, 'P1')
    assert (two.id, two.path) == ('c', folder / 'more' / 'c.svs')
    assert (two.organ, two.data_source) == ('lung', 'Hubmap')
    assert (two.pixel_size, two.patient) == (0.5, None)


def test_paths_are_enough(folder):
    (job,) = read(folder, 'path\nmore/c.svs\n')
    assert (job.path, job.organ, job.pixel_size) == (folder / 'more/c.svs', None, None)


def test_columns_that_are_not_used_are_told(folder, capsys):
    read(folder, 'path,stain,mpp\na.svs,PAS,0.5\n')
    assert 'columns that are not used: stain, mpp' in capsys.readouterr().err


def test_all_faults_of_all_rows_are_told(folder):
    with pytest.raises(ValueError, match='nothing was predicted') as error:
        read(
            folder,
            'path,pixel_size\n'
            'a.svs,\n'
            'gone.svs,\n'
            'note.txt,none\n'
            ',1\n'
            'b.tif,0\n'
            'more/c.svs,400\n'
            'more/a.tif,\n'
            'more,\n',
        )
    lines = str(error.value).splitlines()
    for line, said in zip(
        lines,
        [
            f'row 2: {folder}/gone.svs: no such file; mend the path',
            'row 3: note.txt is not an image or a slide (*.bif',
            "row 3: pixel_size is 'none'; give a positive number",
            'row 4: its path is blank; name a slide',
            "row 5: pixel_size is '0'",
            'row 6: pixel_size is 400; give um/px, 0.01 to 100',
            f'row 7: more/a.tif and {folder}/a.svs of row 1 would both be written as',
            'row 8: more is not an image or a slide',
            '8 faults; nothing was predicted.',
        ],
        strict=True,
    ):
        assert said in line


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'is not a readable csv table, as it is empty'),
        ('path;organ\na.svs;x\n', 'its columns are separated by semicolons; save it'),
        ('path\n', 'has no rows'),
        ('slide\na.svs\n', 'has no column path, only slide'),
    ],
)
def test_other_files_are_refused(folder, text, message):
    with pytest.raises(ValueError, match=message):
        read(folder, text)


def test_a_pixel_size_for_all_is_checked(folder):
    with pytest.raises(ValueError, match='pixel_size=-1'):
        read(folder, 'path\na.svs\n', None, None, -1.0)


def test_no_table(tmp_path):
    with pytest.raises(ValueError, match=r'--slides .*none\.csv: no such file'):
        read_slide_table(tmp_path / 'none.csv')
