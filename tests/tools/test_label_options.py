"""Instance maps of many objects, and every way out that an error message names."""

import re
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

ROOT = Path(__file__).resolve().parents[2]
OBJECTS = 300


@pytest.fixture
def tool(monkeypatch, capsys):
    """Return a function that runs a tool in this process, as the command line does.

    It returns the tool's standard output, or the text of its error.
    """

    def run(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        monkeypatch.syspath_prepend(ROOT / 'tools')
        capsys.readouterr()
        try:
            runpy.run_path(str(ROOT / 'tools' / f'{name}.py'), run_name='__main__')
        except SystemExit as stop:
            output, errors = capsys.readouterr()
            if stop.code == 0:
                return output
            _, found, text = f'\n{errors}'.rpartition('\nerror: ')
            return f'error: {text.strip()}' if found else f'exit {stop.code}: {errors}'
        raise AssertionError('a tool leaves with an exit code')

    return run


def instances():
    """300 objects of 4 x 4 px, labels 1 to 300, in a uint16 map of 100 x 120 px."""
    labels = np.zeros((100, 120), np.uint16)
    for i in range(OBJECTS):
        top, left = 6 * (i // 20) + 3, 6 * (i % 20)
        labels[top : top + 4, left : left + 4] = i + 1
    return labels


def write_map(folder, kind):
    folder.mkdir(parents=True)
    if kind == 'png':
        assert cv2.imwrite(str(folder / 'a.png'), instances())
    else:
        tifffile.imwrite(folder / 'a.tif', instances().astype(kind))
    return folder


@pytest.fixture
def binary(tmp_path):
    """The same objects as 0 and 255, but for the first and number 255."""
    labels = instances()
    mask = np.where((labels > 1) & (labels != 255), 255, 0).astype(np.uint8)
    (tmp_path / 'binary').mkdir()
    assert cv2.imwrite(str(tmp_path / 'binary' / 'a.png'), mask)
    return tmp_path / 'binary'


def dice_of(folder):
    return pd.read_csv(folder / 'evaluation.csv').dice.item()


TWO_LESS = 2 * (OBJECTS - 2) / (2 * OBJECTS - 2)  # Dice without two of the objects
ONE_LESS = 2 * (OBJECTS - 2) / (2 * OBJECTS - 3)


@pytest.mark.parametrize('kind', ['png', 'uint16', 'int32', 'uint32'])
def test_instance_maps_on_either_side(tool, binary, tmp_path, kind):
    maps, out = write_map(tmp_path / 'maps', kind), tmp_path / 'out'
    for pair, option in (
        ((binary, maps), '--foreground'),
        ((maps, binary), '--pred-foreground'),
    ):
        options = ('--no-hd95', '--out', out, option, 'nonzero')
        text = tool('evaluate', *pair, *options)
        assert f'{TWO_LESS:.4f}' in text
        assert dice_of(out) == pytest.approx(TWO_LESS)
    both = ('--foreground', 'nonzero', '--pred-foreground', 'nonzero')
    assert '1.0000' in tool('evaluate', maps, maps, *both)


def test_255_is_an_object_or_ignored_but_never_silently(tool, binary, tmp_path):
    maps, out = write_map(tmp_path / 'maps', 'png'), tmp_path / 'out'
    options = ('--no-hd95', '--out', out)
    assert 'holds the label 255 beside [1, 2, 3, 4, 5]' in tool(
        'evaluate', binary, maps, *options
    )
    assert not out.exists()
    tool('evaluate', binary, maps, *options, '--ignore', 255)
    assert dice_of(out) == pytest.approx(ONE_LESS)
    tool('evaluate', maps, binary, *options, '--pred-ignore', 255)
    assert dice_of(out) == pytest.approx(ONE_LESS)
    tool('evaluate', binary, maps, *options, '--foreground', *range(2, 255))
    found = 2 * 253 / (253 + OBJECTS - 2)
    assert dice_of(out) == pytest.approx(found)


def advice_of(message):
    """Return the options that a message names, as they are typed."""
    words = re.findall(r'--[a-z-]+ (?:[a-z0-9]+|LABEL \.\.\.)', message)
    return [word.replace('LABEL ...', '1 2 3 255').split() for word in words]


def write_probabilities(folder):
    """A prediction folder with probabilities of the image ``a``."""
    (folder / 'probabilities').mkdir(parents=True)
    levels = (instances() > 0).astype(np.uint8) * 200
    tifffile.imwrite(folder / 'probabilities' / 'a.tif', levels)
    (folder / 'predictions.csv').write_text('id\na\n')
    return folder


@pytest.mark.parametrize('case', ['truth', 'prediction', 'table', 'fit', 'report'])
def test_what_a_message_advises_is_accepted(tool, binary, tmp_path, case):
    maps = write_map(tmp_path / 'p' / 'masks', 'png')
    if case == 'table':
        (tmp_path / 'p' / 'predictions.csv').write_text('id\na\n')
    command = {
        'truth': ('evaluate', binary, maps),
        'prediction': ('evaluate', maps, binary),
        'table': ('evaluate', maps.parent, binary),
        'fit': (
            *('fit_thresholds', maps, write_probabilities(tmp_path / 'pred')),
            *('--out', tmp_path / 't.json'),
        ),
        'report': ('report', maps, '--gt', binary, '--out', tmp_path / 'r.html'),
    }[case]
    message = tool(*command)
    assert message.startswith('error: ')
    advice = advice_of(message)
    assert len(advice) == 3
    for options in advice:
        text = tool(*command, *options)
        assert not text.startswith(('error', 'exit')), (options, text)


def test_missing_images_and_their_ways_out(tool, binary, tmp_path):
    assert cv2.imwrite(str(binary / 'b.png'), np.zeros((9, 9), np.uint8))
    (tmp_path / 'pred').mkdir()
    (binary / 'a.png').rename(tmp_path / 'pred' / 'a.png')
    assert cv2.imwrite(str(binary / 'a.png'), instances().astype(np.uint8) & 1)
    command = ('evaluate', tmp_path / 'pred', binary)
    advice = advice_of(tool(*command))
    assert advice == [['--missing', 'empty'], ['--missing', 'skip']]
    for options in advice:
        assert '| all ' in tool(*command, *options)


def test_labels_where_their_meaning_is_known(tool, make_prepared, tmp_path):
    prepared = make_prepared(n=2)
    (tmp_path / 't.csv').write_text('id,img_height,img_width,rle\n100,96,96,1 9\n')
    for truth in (prepared, tmp_path / 't.csv'):
        for options in (('--foreground', 1), ('--ignore', 255)):
            text = tool('evaluate', prepared / 'masks_original', truth, *options)
            assert text.startswith('error: --foreground and --ignore: ')
            assert text.endswith('leave them out')
    pred = tool('evaluate', prepared, prepared, '--pred-ignore', 255)
    assert pred.startswith('error: --pred-foreground and --pred-ignore: ')
    report = tool('report', prepared / 'masks_original', '--foreground', 1)
    assert report == 'error: --foreground and --ignore say what --gt holds: give it too'


def test_words_and_numbers(tool, binary):
    for words in (('nonzero', 1), ('auto', 'nonzero')):
        text = tool('evaluate', binary, binary, '--foreground', *words)
        assert text == (
            f'error: --foreground {words[0]} {words[1]}: give labels, or one of the '
            'words auto, nonzero'
        )
    text = tool('evaluate', binary, binary, '--foreground', 'some')
    assert 'exit 2' in text
    assert "'some': give a label, auto or nonzero" in text


def test_a_truth_without_foreground_is_told(tool, binary):
    text = tool('evaluate', binary, binary, '--foreground', 7)
    assert 'no mask has a pixel of foreground' in text
    assert 'say with --foreground which labels are' in text
