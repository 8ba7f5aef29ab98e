"""A tool replaces only what it wrote itself: the rule, and each tool that writes."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from sections import section

from mmseg_ftu.evaluation.colour_baseline import compare_with_colour
from mmseg_ftu.evaluation.evaluate import evaluate_predictions
from mmseg_ftu.evaluation.fit_thresholds import fit_and_write
from mmseg_ftu.export.onnx import export_onnx
from mmseg_ftu.io.own_files import (
    ListedFolder,
    followed,
    is_empty,
    is_own_json,
    is_own_picture,
    lies_in,
    mark_picture,
    refuse_nesting,
    require_own,
)
from mmseg_ftu.preparation.stain_figure import draw_stains
from mmseg_ftu.preparation.stain_target import make_stain_target
from mmseg_ftu.report import write_report


@pytest.mark.parametrize(
    ('names', 'empty'),
    [
        ([], True),
        (['.DS_Store', '._a.png', 'Thumbs.db', 'lost+found/'], True),
        (['.progress.jsonl.0123abcd.tmp'], True),  # of a run that was killed
        (['a.txt'], False),
        (['masks/'], False),
        (['.git/'], False),
        (['.hidden'], False),
        (['.DS_Store', 'a.png'], False),
    ],
)
def test_what_people_call_an_empty_folder(tmp_path, names, empty):
    for name in names:
        path = tmp_path / name
        path.mkdir() if name.endswith('/') else path.touch()
    assert is_empty(tmp_path) is empty
    assert is_empty(tmp_path / 'not there')


def test_nesting_is_seen_through_links(tmp_path):
    (tmp_path / 'data' / 'images').mkdir(parents=True)
    (tmp_path / 'link').symlink_to(tmp_path / 'data')
    image = tmp_path / 'data' / 'images' / 'a.png'
    image.touch()
    (tmp_path / 'links').mkdir()
    (tmp_path / 'links' / 'a.png').symlink_to(image)
    data, link = tmp_path / 'data', tmp_path / 'link'
    assert lies_in(link / 'images', data)
    assert not lies_in(tmp_path, data)
    for output in (data, link, link / 'images', link / 'images' / 'new', tmp_path):
        with pytest.raises(ValueError, match='in the input folder'):
            refuse_nesting(output, [data / 'images'])
    for output, files in ((link, [image]), (data, [tmp_path / 'links' / 'a.png'])):
        with pytest.raises(ValueError, match=r'a\.png is an input and lies in'):
            refuse_nesting(output, [], files)
    refuse_nesting(tmp_path / 'data2', [data], [image])
    refuse_nesting(data / 'out', [], [image])


def test_a_marked_picture_shows_the_same(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3)).astype(np.uint8)
    plain = cv2.imencode('.png', pixels)[1].tobytes()
    marked = mark_picture(plain)
    assert is_own_picture(marked)
    assert not is_own_picture(plain)
    (tmp_path / 'a.png').write_bytes(marked)
    assert (cv2.imread(str(tmp_path / 'a.png')) == pixels).all()


def test_a_damaged_or_other_json_is_not_ours():
    is_own = is_own_json(made_by='mmseg_ftu', fitted=None)
    assert is_own(b'{"made_by": "mmseg_ftu", "fitted": []}')
    for text in (b'{"made_by": "mmseg_ftu"}', b'{"fitted": []}', b'[]', b'{', b'\xff'):
        assert not is_own(text)


def test_what_somebody_edited_in_a_listed_folder_is_kept(tmp_path, capsys):
    for text in ('ours', 'ours again'):
        folder = ListedFolder(tmp_path / 'out')
        folder.write('a.png', lambda path, text=text: path.write_text(text))
    assert capsys.readouterr().err == ''
    for text in ('corrected', 'again'):
        (tmp_path / 'out' / 'a.png').write_text(text)
        ListedFolder(tmp_path / 'out').write('a.png', lambda p: p.write_text('new'))
    assert 'a.png had been changed: kept as a.png.changed2' in capsys.readouterr().err
    found = {p.name: p.read_text() for p in (tmp_path / 'out').glob('a*')}
    assert found == {
        'a.png': 'new',
        'a.png.changed': 'corrected',
        'a.png.changed2': 'again',
    }
    (tmp_path / 'out' / 'a.png').unlink()
    (tmp_path / 'out' / 'a.png').symlink_to(tmp_path / 'nowhere')
    ListedFolder(tmp_path / 'out').write('a.png', Path.touch)
    assert (tmp_path / 'out' / 'a.png.changed3').is_symlink()
    assert not (tmp_path / 'nowhere').exists()


def test_what_another_process_writes_at_the_same_time_is_not_an_edit(tmp_path):
    out = tmp_path / 'out'
    ListedFolder(out).write('a.png', lambda path: path.write_text('before'))
    one, other = ListedFolder(out), ListedFolder(out)
    for folder in (one, other):
        folder.write('b.png', Path.touch)  # both have read the list
    one.write('a.png', lambda path: path.write_text('new'))
    other.write('a.png', lambda path: path.write_text('new'))
    assert sorted(path.name for path in out.glob('*.png*')) == ['a.png', 'b.png']


def test_a_listed_folder_knows_its_files(tmp_path):
    folder = ListedFolder(tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    folder.write('a.png', lambda path: path.write_text('ours'))
    (tmp_path / 'out' / 'b.png').write_text('theirs')
    again, beside = ListedFolder(tmp_path / 'out'), ListedFolder(tmp_path / 'out')
    again.write('a.png', Path.touch)
    again.write('c.png', Path.touch)
    beside.write('c.png', Path.touch)  # of another process
    with pytest.raises(ValueError, match=r'b\.png is in the way'):
        again.write('b.png', Path.touch)
    (tmp_path / 'foreign').mkdir()
    (tmp_path / 'foreign' / 'a.png').touch()
    with pytest.raises(ValueError, match='foreign is not empty'):
        ListedFolder(tmp_path / 'foreign')
    with pytest.raises(ValueError, match='is a file'):
        ListedFolder(tmp_path / 'foreign' / 'a.png')


def evaluate(prepared, out):
    evaluate_predictions(prepared / 'masks_original', prepared, out.parent)


def colour(prepared, out):
    compare_with_colour(prepared, out=out)


def sections(prepared):
    folder = prepared.with_name('sections')
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / 'a.png'), section(seed=0)[..., ::-1])
    return folder


def target(prepared, out):
    make_stain_target(sections(prepared), out, size=None, tiles=2, workers=0)


def stains(prepared, out):
    images = sections(prepared)
    draw_stains(images, images / 'a.png', out, size=32, fit_size=64)


def thresholds(prepared, out):
    pred = out.parent / 'pred'
    (pred / 'probabilities').mkdir(parents=True, exist_ok=True)
    for path in (prepared / 'masks_original').iterdir():
        levels = cv2.imread(str(path), -1) * 90
        place = pred / 'probabilities' / f'{path.stem}.tif'
        tifffile.imwrite(place, levels.astype(np.uint8))
    names = [path.stem for path in (prepared / 'masks_original').iterdir()]
    (pred / 'predictions.csv').write_text('\n'.join(['id', *names]))
    fit_and_write(prepared, [pred], out)


def report(prepared, out):
    write_report(prepared / 'masks_original', output=out, images=1, thumbnail=32)


TOOLS = [
    (evaluate, 'evaluation.csv'),
    (evaluate, 'evaluation_groups.csv'),
    (colour, 'colour.csv'),
    (target, 'target.png'),
    (target, 'target.json'),
    (stains, 'stains.png'),
    (thresholds, 'thresholds.json'),
    (report, 'report.html'),
]


@pytest.mark.parametrize(('tool', 'name'), TOOLS)
def test_tools_replace_their_own_files_only(make_prepared, tmp_path, tool, name):
    prepared, out = make_prepared(n=4, organs=('kidney',)), tmp_path / 'out' / name
    out.parent.mkdir()
    foreign = {
        '.csv': b'id,rle\n1,\n',
        '.png': (prepared / 'images' / '100.png').read_bytes(),
        '.json': json.dumps(dict(made_by='mmseg_ftu', thresholds={})).encode(),
        '.html': b'<html>my page</html>',
    }[out.suffix]
    out.write_bytes(foreign)
    with pytest.raises(ValueError, match=rf'{name} is there already and was not'):
        tool(prepared, out)
    assert out.read_bytes() == foreign
    out.unlink()
    tool(prepared, out)
    os.utime(out, (1, 1))
    tool(prepared, out)  # the same command once more
    assert out.stat().st_mtime > 1


def test_an_export_does_not_replace_a_checkpoint(tmp_path):
    (tmp_path / 'best.pth').write_bytes(b'producer mmseg_ftu weights')
    with pytest.raises(ValueError, match=r'best\.pth is there already'):
        export_onnx('no config', 'no checkpoint', str(tmp_path / 'best.pth'))
    with pytest.raises(ValueError, match='is a folder'):
        require_own(tmp_path, is_own_picture)


def test_a_link_in_a_circle_lies_where_it_is(tmp_path):
    (tmp_path / 'in').mkdir()
    circle = tmp_path / 'in' / 'a.png'
    circle.symlink_to(circle)
    assert followed(circle) == circle
    assert lies_in(circle, tmp_path / 'in')
    assert not lies_in(circle, tmp_path / 'out')
    refuse_nesting(tmp_path / 'out', [], [circle])
    with pytest.raises(ValueError, match='lies in the output folder'):
        refuse_nesting(tmp_path / 'in', [], [circle])
