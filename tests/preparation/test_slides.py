"""Slides with annotations become a prepared folder."""

import json
from contextlib import closing
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import shapely
from small_slides import (
    SHAPE,
    UNITS,
    feature,
    write_annotations,
    write_slide,
    write_slides,
)

from mmseg_ftu.cli import run_command
from mmseg_ftu.io.resizing import resize_mask
from mmseg_ftu.io.sources import open_source
from mmseg_ftu.io.working_image import read_resized
from mmseg_ftu.masks.fill_polygons import fill_polygons
from mmseg_ftu.masks.geojson import write_geojson
from mmseg_ftu.masks.objects import find_objects
from mmseg_ftu.masks.run_mask import RunMask
from mmseg_ftu.preparation import tile_writer
from mmseg_ftu.preparation.folder_lock import held
from mmseg_ftu.preparation.folder_writer import FolderWriter
from mmseg_ftu.preparation.journal import Journal
from mmseg_ftu.preparation.records import PreparationError
from mmseg_ftu.preparation.slide_options import SlideOptions
from mmseg_ftu.preparation.slides import prepare_slides
from mmseg_ftu.prepared_folder import PreparedFolder

TILE = 64
TRAINING = (200, 260)  # SHAPE at 1 um/px


def prepare(folder, target=None, folds=2, workers=0, **options):
    run = {name: options.pop(name) for name in RUN if name in options}
    defaults = dict(
        slides=folder / 'slides', annotations=folder / 'annotations', pixel_size=1.0,
        tile=TILE, organ='kidney',
    )  # fmt: skip
    return prepare_slides(
        SlideOptions(**(defaults | options)),
        target or folder / 'out',
        folds=folds,
        workers=workers,
        **run,
    )


RUN = ('seed', 'stain', 'overwrite', 'val_ids')


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def whole_mask(outlines=UNITS):
    """Fill outlines at full size, and bring that to training size as images are."""
    pixels = np.concatenate([*fill_polygons(outlines, SHAPE).strips()])
    return resize_mask(pixels, TRAINING)


def boxes_of(folder):
    """Yield id, slide, and where a tile lies at training size."""
    tiles = pd.read_csv(folder / 'tiles.csv')
    for tile in tiles.itertuples():
        top, left = round(tile.top / 2), round(tile.left / 2)
        yield tile, (slice(top, top + TILE), slice(left, left + TILE))


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    return write_slides(tmp_path_factory.mktemp('slides'))


@pytest.fixture(scope='module')
def prepared(source):
    """A prepared folder, and what was said."""
    summary = prepare(source, source / 'shared')
    return source / 'shared', summary


def test_tiles_are_parts_of_the_resized_slide(source, prepared):
    folder, summary = prepared
    assert f'wrote {len(list(boxes_of(folder)))} of' in summary
    for tile, place in boxes_of(folder):
        with closing(open_source(source / 'slides' / f'{tile.slide}.tif')) as slide:
            expected = read_resized(slide, TRAINING)[place]
        image = read(folder / 'images' / f'{tile.id}.png')[..., ::-1]
        np.testing.assert_array_equal(image, expected)
        for kind in ('masks', 'masks_original'):
            mask = read(folder / kind / f'{tile.id}.png')
            np.testing.assert_array_equal(mask, whole_mask()[place])
        assert (tile.units > 0) == (mask == 1).any()
        assert tile.id == f'{tile.slide}_x{round(tile.left)}_y{round(tile.top)}'


def test_every_unit_is_in_a_tile(prepared):
    folder, _ = prepared
    seen = {name: np.zeros(TRAINING, bool) for name in 'abc'}
    for tile, place in boxes_of(folder):
        seen[tile.slide][place] = True
    for covered in seen.values():
        assert covered[whole_mask() == 1].all()


def test_the_folder_is_one_like_any_other(prepared):
    folder, _ = prepared
    opened = PreparedFolder.open(folder)
    opened.require_files(opened.images, original=True)
    assert opened.size is None
    assert {image.pixel_size for image in opened.images} == {1.0}
    assert {image.shape for image in opened.images} == {(TILE, TILE)}
    slides = pd.read_csv(folder / 'slides.csv').set_index('id')
    assert slides['units'].tolist() == [4, 4, 4]
    assert slides['pixel_size'].tolist() == [0.5] * 3
    for name in 'abc':
        picture = read(folder / 'overviews' / f'{name}.jpg')
        assert picture.shape == (*SHAPE, 3)


def test_tiles_of_a_slide_are_in_one_fold(prepared):
    folder, _ = prepared
    table = pd.read_csv(folder / 'folds.csv')
    assert table.groupby('group')['fold'].nunique().tolist() == [1, 1, 1]
    assert table['group'].tolist() == [name.split('_')[0] for name in table['id']]
    assert table['fold'].nunique() == 2


@pytest.mark.parametrize('way', ['column', 'pattern', 'fold column', 'val ids'])
def test_slides_of_a_patient_are_in_one_fold(tmp_path, way):
    names = ['P1_a', 'P1_b', 'P2_a', 'P2_b', 'P3_a']
    source = write_slides(tmp_path, names)
    patients = [name[:2] for name in names]
    table = pd.DataFrame({'id': names, 'who': patients, 'part': [0, 0, 1, 1, 2]})
    table.to_csv(tmp_path / 'index.csv', index=False)
    options = {
        'column': dict(index=tmp_path / 'index.csv', group='who'),
        'pattern': dict(group='(P[0-9]+)_.*'),
        'fold column': dict(
            index=tmp_path / 'index.csv', group='who', fold_column='part'
        ),
        'val ids': dict(group='(P.)', val_ids=['P2_a', 'P2_b']),
    }[way]
    prepare(source, folds=3, **options)
    found = pd.read_csv(source / 'out' / 'folds.csv')
    assert set(found['group']) == {'P1', 'P2', 'P3'}
    folds = found.groupby('group')['fold'].agg(set)
    assert all(len(fold) == 1 for fold in folds)
    if way == 'fold column':
        assert folds.tolist() == [{0}, {1}, {2}]
    elif way == 'val ids':
        assert folds.tolist() == [{1}, {0}, {1}]


@pytest.mark.parametrize(('negatives', 'most'), [(0, 0), (0.5, 0.5), (1, 1), (99, 99)])
def test_tiles_without_units(source, tmp_path, negatives, most):
    prepare(source, tmp_path / 'out', negatives=negatives)
    tiles = pd.read_csv(tmp_path / 'out' / 'tiles.csv')
    for _, of_slide in tiles.groupby('slide'):
        without = of_slide[of_slide['units'] == 0]
        with_units = (of_slide['units'] > 0).sum()
        assert len(without) <= round(most * with_units)
        assert (without['tissue'] >= 0.25).all()
        if negatives == 0.5:
            assert len(without) == round(with_units / 2)
    if negatives == 99:  # all that are not glass
        assert len(tiles) == 3 * 4 * 4


def test_the_choice_depends_on_the_seed_only(source, tmp_path):
    chosen = []
    for number, seed in enumerate([0, 0, 1]):
        target = tmp_path / str(number)
        prepare(source, target, negatives=0.3, seed=seed, workers=2 * (number == 1))
        chosen.append(pd.read_csv(target / 'tiles.csv')['id'].tolist())
    assert chosen[0] == chosen[1] != chosen[2]


def test_regions_and_what_is_ignored(tmp_path):
    source = write_slides(tmp_path, ['a', 'b'])
    region, hidden = shapely.box(0, 0, 300, 400), shapely.box(60, 60, 110, 110)
    for name in 'ab':
        write_annotations(
            source / 'annotations' / f'{name}.geojson',
            *(feature(unit, 'Unit: Round') for unit in UNITS),
            feature(region, 'Region'),
            feature(hidden, 'Fold'),
            feature(shapely.box(0, 0, 20, 20), 'Note'),
            feature(shapely.Point(5, 5)),
        )
    options = dict(classes=['Unit'], regions=['Region'], ignored=['F*'], negatives=9)
    summary = prepare(source, **options)
    assert 'note: a: left out: Point (1)\n' in summary
    assert (
        'note: b: other classes left out: Note (1); they count as background' in summary
    )
    labels = np.concatenate([*fill_polygons(UNITS, SHAPE).strips()])
    inside = np.concatenate([*fill_polygons([region], SHAPE).strips()])
    labels[inside == 0] = 255
    labels[60:110, 60:110] = 255
    expected = resize_mask(labels, TRAINING)
    without = 0
    for tile, place in boxes_of(source / 'out'):
        mask = read(source / 'out' / 'masks' / f'{tile.id}.png')
        np.testing.assert_array_equal(mask, expected[place])
        if tile.units == 0:
            without += 1
            assert (mask == 255).mean() <= 0.5
    assert without


def test_a_predicted_mask_comes_back_pixel_by_pixel(tmp_path):
    """Predict writes GeoJSON of a mask; prepared at the slide's pixel size it is it."""
    generator = np.random.default_rng(0)
    for name in 'ab':
        write_slide(tmp_path / 'slides' / f'{name}.tif')
        noise = cv2.GaussianBlur(generator.normal(size=SHAPE), (0, 0), 3)
        mask = noise > 0.05
        objects = find_objects(RunMask.from_strips([mask], SHAPE))
        (tmp_path / 'annotations').mkdir(exist_ok=True)
        path = tmp_path / 'annotations' / f'{name}.geojson'
        write_geojson(path, objects, name='glomerulus', pixel_size=0.5)
        np.save(tmp_path / f'{name}.npy', mask)
    prepare(tmp_path, pixel_size=0.5, tile=600, classes=['glomerulus'])
    for name in 'ab':
        found = read(tmp_path / 'out' / 'masks' / f'{name}_x0_y0.png')
        np.testing.assert_array_equal(found, np.load(tmp_path / f'{name}.npy'))


# Faults


def spoil_annotations(folder, *features):
    write_annotations(folder / 'annotations' / 'b.geojson', *features)


def scaled(unit, factor):
    return shapely.transform(unit, lambda xy: xy * factor)


FAULTS = {
    'no annotations': (
        lambda f: (f / 'annotations' / 'b.geojson').unlink(), {},
        "slide 'b': no annotations in .*annotations; export b.geojson",
    ),
    'annotations of no slide': (
        lambda f: (f / 'slides' / 'b.tif').unlink(), {},
        r'b.geojson: no slide of that name in .*slides; add it, or move it away',
    ),
    'two files of annotations': (
        lambda f: write_annotations(f / 'annotations' / 'b.tif.json'), {},
        "slide 'b': several files of annotations: b.geojson, b.tif.json; keep one",
    ),
    'two slides': (
        lambda f: write_slide(f / 'slides' / 'b.png'), {},
        "slide 'b': several slides: b.png, b.tif; keep one",
    ),
    'damaged annotations': (
        lambda f: (f / 'annotations' / 'b.geojson').write_text('[{'), {},
        "slide 'b': .*b.geojson: is damaged or cut off at character 3",
    ),
    'damaged slide': (
        lambda f: (f / 'slides' / 'b.tif').write_bytes(b'II*\0'), {},
        "slide 'b': .*b.tif: ",
    ),
    'unknown class': (
        lambda f: None, dict(classes=['Unit', 'Glomerulus', 'G*']),
        r"--class 'G\*' is the class of no object; there are: Unit \(12\)\n"
        "--class 'Glomerulus'",
    ),
    'unknown region': (
        lambda f: None, dict(regions=['Region']),
        r"--region 'Region' is the class of no object(.|\n)*"
        "slide 'a': no region of class Region, so that all of it would be ignored",
    ),
    'no unit': (
        lambda f: spoil_annotations(f, feature(UNITS[0], 'Other')),
        dict(classes=['Unit']),
        r"slide 'b': no unit of class Unit; b.geojson has Other \(1\)",
    ),
    'all units are ignored': (
        lambda f: spoil_annotations(
            f, feature(UNITS[0]), feature(shapely.box(0, 0, 520, 400), 'Bad')
        ),
        dict(ignored=['Bad']),
        "slide 'b': its units are all ignored, or too small to be seen at 1 um/px",
    ),
    'outside': (
        lambda f: spoil_annotations(f, *(feature(scaled(u, 4)) for u in UNITS)), {},
        r"slide 'b': 4 of 4 objects lie outside of the slide of 520 x 400 px \(width x "
        r'height\), such as object 1 \(Unit\) at x 160, y 240; all coordinates reach to'
        ' x 1,520, y 1,210. Export them from this slide at full size',
    ),
    'parts of the image': (
        lambda f: spoil_annotations(f, feature(scaled(UNITS[0], 1 / 600))), {},
        "slide 'b': all coordinates are between 0 and 1",
    ),
    'another pixel size': (
        lambda f: spoil_annotations(
            f, feature(UNITS[0], measurements={'Area µm^2': UNITS[0].area})
        ),
        {},
        r"slide 'b': its areas in um\^2 were measured at 1 um/px, but the slide has "
        '0.5 um/px',
    ),
    'no pixel size': (
        lambda f: write_slide(f / 'slides' / 'b.tif', pixel_size=None), {},
        r"slide 'b': its pixel size is unknown: give it .*--slide-pixel-size",
    ),
    'a pixel size of a screen': (
        lambda f: write_slide(f / 'slides' / 'b.tif', pixel_size=352.8), {},
        r"slide 'b': its pixel size is unknown \(the resolution tag, .*plausible",
    ),
    'nanometres': (
        lambda f: (f / 'i.csv').write_text('id,um\na,500\nb,\nc,\n'),
        dict(index='i.csv', pixel_size_column='um'),
        "^slide 'a': its pixel size is 500 um/px, which is not plausible.*\n1 fault;",
    ),
    'no number': (
        lambda f: (f / 'i.csv').write_text('id,um\na,0\nb,nan\nc,-1\n'),
        dict(index='i.csv', pixel_size_column='um'),
        "^slide 'a': um of .*i.csv is '0'; give a positive number or leave it blank\n"
        "slide 'b': um of .*i.csv is 'nan'.*\nslide 'c': um of .*\n3 faults;",
    ),
    'table in Latin-1': (
        lambda f: (f / 'i.csv').write_bytes(b'id,who\na,M\xfcller\n'),
        dict(index='i.csv', group='who'), '^.*i.csv: is not .*, as it is not in UTF-8',
    ),
    'empty table': (
        lambda f: (f / 'i.csv').write_text(''),
        dict(index='i.csv', group='who'), '^.*i.csv: is not .*, as it is empty',
    ),
    'table with semicolons': (
        lambda f: (f / 'i.csv').write_text('id;who\na;0,5\n'),
        dict(index='i.csv', group='who'), '^.*i.csv: its columns .* by semicolons',
    ),
    'table with tabs': (
        lambda f: (f / 'i.csv').write_text('id\twho\na\tb\n'),
        dict(index='i.csv', group='who'), '^.*i.csv: its columns .* by tabs; save',
    ),
    'class that is ignored': (
        lambda f: None, dict(classes=['Uni?'], ignored=['U*'], empty='keep'),
        r"^--class 'Uni\?' means Unit only, which --ignore takes first; mend one",
    ),
    'ignored that is a region': (
        lambda f: None, dict(ignored=['U*'], regions=['Unit'], empty='keep'),
        r"^--ignore 'U\*' means Unit only, which --region takes first; mend one",
    ),
    'organ': (
        lambda f: None, dict(organ='my kidney'), "organ is 'my kidney'; give one word",
    ),
    'group without brackets': (
        lambda f: None, dict(group='P[0-9]'), 'nothing in it is in brackets',
    ),
    'group that does not fit': (
        lambda f: None, dict(group='(P[0-9])'),
        "slide 'a': its name does not fit --group",
    ),
    'too few groups': (
        lambda f: None, dict(folds=5),
        '3 groups cannot make 5 folds: .* of one patient or other group stay together',
    ),
    'torn group': (
        lambda f: None, dict(group='(.*)', val_ids=['a', 'x']),
        '--val-ids: there is no x; mend',
    ),
    'table': (
        lambda f: (f / 'i.csv').write_text('id,organ\na,lung\nb,lung\nz,lung\n'),
        dict(index='i.csv', organ='', organ_column='organ'),
        "slide 'c': no row in .*i.csv(.|\\n)*slide 'z': no slide in",
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', FAULTS)
def test_faults(tmp_path, name):
    spoil, options, message = FAULTS[name]
    source = write_slides(tmp_path)
    spoil(source)
    if 'index' in options:
        options = options | {'index': source / options['index']}
    with pytest.raises(PreparationError, match=message):
        prepare(source, **options)
    assert not (source / 'out').exists()


def test_all_faults_at_once(tmp_path):
    source = write_slides(tmp_path)
    for name in ('no annotations', 'no pixel size'):
        FAULTS[name][0](source)
    (source / 'annotations' / 'c.geojson').write_text('')
    with pytest.raises(PreparationError) as error:
        prepare(source)
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("slide 'b': no annotations")
    assert lines[1].startswith("slide 'c': ")
    assert 'is empty' in lines[1]
    assert lines[2] == '2 faults; nothing was written.'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(pixel_size=250), '--pixel-size 250: give 0.05 to 20 um/px'),
        (dict(tile=8), '--tile 8: give 32 to'),
        (dict(overlap=40), '--overlap 40: give 0 to 32 px'),
        (dict(negatives=-1), '--negatives -1'),
        (dict(least_tissue=2), '--least-tissue 2'),
        (dict(workers=-1), '--workers -1'),
        (dict(seed=-1), '^--seed -1: give 0 or more$'),
        (dict(slide_pixel_size='0'), '^--slide-pixel-size 0: give 0.05 to 20 um/px$'),
        (dict(slide_pixel_size='nan'), '^--slide-pixel-size nan: give'),
        (dict(slide_pixel_size='x'), '^--slide-pixel-size x: give 0.05 to 20 um/px$'),
        (
            dict(classes=['A: B'], ignored=['A:B']),
            "--class and --ignore both name 'A: B'",
        ),
        (dict(regions=['R'], ignored=['R']), "--region and --ignore both name 'R'"),
        (dict(classes=['R'], regions=['R']), "--class and --region both name 'R'"),
    ],
)
def test_senseless_options(source, options, message):
    with pytest.raises(PreparationError, match=message):
        prepare(source, **options)


@pytest.mark.parametrize(('empty', 'slides'), [('keep', 'abc'), ('skip', 'ac')])
def test_slides_without_units(tmp_path, empty, slides):
    source = write_slides(tmp_path)
    spoil_annotations(source)
    summary = prepare(source, empty=empty)
    tiles = pd.read_csv(source / 'out' / 'tiles.csv')
    assert set(tiles['slide']) == set(slides)
    without = [
        (tiles[tiles['slide'] == name]['units'] == 0).sum() for name in ('a', 'c')
    ]
    expected = round(sum(without) / 2) if empty == 'keep' else 0
    assert (tiles['slide'] == 'b').sum() == expected
    done = 'kept' if empty == 'keep' else 'skipped'
    assert f'note: {done}, without a unit to be seen: 1 slide (b)' in summary
    assert 'all ignored' not in summary


def test_slides_without_units_give_what_the_others_could(tmp_path):
    source = write_slides(tmp_path)
    spoil_annotations(source)
    hidden = [feature(box, 'Bad') for box in (shapely.box(0, 0, 520, 190),)]
    for name in 'ac':  # few tiles are left of the others
        path = source / 'annotations' / f'{name}.geojson'
        write_annotations(path, *map(feature, UNITS), *hidden)
    prepare(source, empty='keep', negatives=9, ignored=['Bad'])
    counts = pd.read_csv(source / 'out' / 'slides.csv')['tiles_without'].tolist()
    assert 0 < counts[1] == round((counts[0] + counts[2]) / 2) < 16


def test_hidden_units_are_counted(tmp_path):
    source = write_slides(tmp_path)
    everything = feature(shapely.box(0, 0, 520, 400), 'Bad')
    spoil_annotations(source, feature(UNITS[0]), everything)
    (source / 'annotations' / 'notes.xml').write_text('')
    (source / 'annotations' / '.DS_Store').write_text('')
    summary = prepare(source, empty='skip', ignored=['Bad'], classes=['Unit'])
    assert 'too small to be seen at 1 um/px: 1 slide (b)' in summary
    assert 'annotations: passed over 1 file of other kinds: notes.xml' in summary


def test_a_slide_without_region_and_unit_can_be_skipped(tmp_path):
    source = write_slides(tmp_path)
    region = feature(shapely.box(0, 0, 520, 400), 'Region')
    for name in 'ac':
        path = source / 'annotations' / f'{name}.geojson'
        write_annotations(path, *map(feature, UNITS), region)
    spoil_annotations(source, feature(UNITS[0], 'Other'))
    options = dict(classes=['Unit'], regions=['Region'])
    with pytest.raises(PreparationError, match='Draw one, move the slide away, or'):
        prepare(source, empty='keep', **options)
    assert 'skipped, without a unit' in prepare(source, empty='skip', **options)
    assert set(pd.read_csv(source / 'out' / 'slides.csv')['id']) == {'a', 'c'}


def test_notes(tmp_path):
    source = write_slides(tmp_path)
    spoil_annotations(
        source,
        feature(shapely.Polygon([(40, 40), (80, 80), (80, 40), (40, 80)])),
        feature(shapely.box(-20, 100, 50, 160)),
        feature(shapely.box(450, 100, 500, 160)),
    )
    summary = prepare(source, pixel_size=0.3)
    for note in (
        'b: 1 outlines met themselves and were mended',
        'b: 1 outlines are cut off at the border',
        'b: enlarged: it has 0.5 um/px only',
        'b: 1 of 3 units lie where no tissue is seen: look at its overview',
    ):
        assert f'note: {note}' in summary


# Runs that are repeated


def times(folder):
    return {p.name: p.stat().st_mtime_ns for p in (folder / 'images').iterdir()}


def contents(folder):
    files = [path for path in sorted(folder.rglob('*')) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_second_run_does_nothing(source, prepared):
    folder, _ = prepared
    before = times(folder)
    assert 'finished already, nothing to do' in prepare(source, folder)
    assert times(folder) == before


def test_the_second_of_two_runs_at_once_blames_the_first(source, tmp_path):
    folder = tmp_path / 'out'
    options = SlideOptions(source / 'slides', source / 'annotations', 1.0)
    writer = FolderWriter([], folder, options.settings(), overwrite=False)
    with held(folder, Journal(folder)):
        (folder / 'tiles.csv').write_text('of the first run')
        images = SimpleNamespace(made_of={}, side_files={'tiles.csv': b''})
        with pytest.raises(PreparationError, match='another process is preparing it'):
            writer.write(images)


def test_an_edited_annotation_remakes_its_tiles_only(tmp_path):
    source = write_slides(tmp_path)
    prepare(source, negatives=99)
    before = times(source / 'out')
    smaller = [UNITS[0].buffer(-10), *UNITS[1:]]
    spoil_annotations(source, *map(feature, smaller))
    assert 'wrote ' in prepare(source, negatives=99)
    after = times(source / 'out')
    changed = {name for name, time in after.items() if before.get(name) != time}
    assert changed
    assert changed <= {f'b_x{x}_y{y}.png' for x in (0, 98) for y in (0, 90)}
    for tile, place in boxes_of(source / 'out'):
        if tile.slide == 'b':
            mask = read(source / 'out' / 'masks' / f'{tile.id}.png')
            np.testing.assert_array_equal(mask, whole_mask(smaller)[place])


def test_a_removed_slide_leaves_nothing_behind(tmp_path):
    source = write_slides(tmp_path)
    prepare(source)
    (source / 'slides' / 'b.tif').unlink()
    (source / 'annotations' / 'b.geojson').unlink()
    prepare(source)
    assert not [name for name in contents(source / 'out') if '/b' in name]
    assert (source / 'out' / 'overviews' / 'a.jpg').is_file()


def test_a_file_in_the_way_stays(tmp_path):
    source = write_slides(tmp_path)
    prepare(source, negatives=0)
    mine = source / 'out' / 'overviews' / 'd.jpg'
    mine.write_bytes(b'mine')
    write_slide(source / 'slides' / 'd.tif')
    write_annotations(source / 'annotations' / 'd.geojson', feature(UNITS[0]))
    with pytest.raises(PreparationError, match=r'd\.jpg is in the way'):
        prepare(source, negatives=0)
    assert mine.read_bytes() == b'mine'


@pytest.mark.parametrize('workers', [0, 2])
def test_a_run_that_broke_off_goes_on_to_the_same_bytes(
    prepared, tmp_path, monkeypatch, workers
):
    folder, _ = prepared
    source = write_slides(tmp_path)
    target, write = source / 'shared', tile_writer.write_png

    def fail_later(path, pixels):
        if path.name.startswith('c'):
            raise OSError('the disk is full')
        write(path, pixels)

    monkeypatch.setattr(tile_writer, 'write_png', fail_later)
    with pytest.raises(OSError, match='disk is full'):
        prepare(source, target, workers=workers)
    monkeypatch.undo()
    assert not (target / 'manifest.json').exists()
    done = times(target)
    assert {name[0] for name in done} == {'a', 'b'}
    prepare(source, target, workers=workers)
    if not workers:  # of threads, tiles in hand are finished but not noted
        assert all(times(target)[name] == time for name, time in done.items())
    found, expected = contents(target), contents(folder)
    for part in (found, expected):
        manifest = json.loads(part.pop('manifest.json'))
        assert manifest.pop('made_of')  # times of the sources are in there
    assert found == expected


def test_tool(source, tmp_path, capsys):
    arguments = ['--pixel-size', '1', '--tile', '64', '--class', 'U*', 'X?']
    arguments += ['--organ', 'kidney', '--folds', '3', '--workers', '2']
    folders = [source / 'slides', source / 'annotations', tmp_path / 'out']
    command = [str(word) for word in [*folders, *arguments]]
    assert run_command('prepare_slides', command) == 2
    assert "--class 'X?' is the class of no object" in capsys.readouterr().err
    command.remove('X?')
    assert run_command('prepare_slides', command) == 0
    assert '3 groups kept together' in capsys.readouterr().out
