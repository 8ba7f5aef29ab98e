"""The page as a parser sees it: numbers, escaping, and what it says is missing."""

import json
import re

import cv2
import lxml.html
import numpy as np
import pandas as pd
import pytest

from mmseg_ftu.evaluation.dice import dice
from mmseg_ftu.evaluation.score_table import mean_interval
from mmseg_ftu.prepared_table import image_key
from mmseg_ftu.report import write_report

NASTY = '<img src=x onerror="alert(1)">&\'{{ 7 * 7 }}'


def parse(path):
    return lxml.html.fromstring(path.read_text(encoding='utf-8'))


def words(element):
    return ' '.join(' '.join(element.itertext()).split())


def notes(page):
    return [
        words(note.find('strong'))
        for note in page.find_class('note')
        if note.getparent().tag != 'noscript'
    ]


def test_numbers_are_those_of_the_masks(make_predictions):
    folder, truth = make_predictions(n=6)
    page = parse(write_report(folder, truth, images=1))
    expected = {'kidney': [], 'lung': []}
    for i in range(6):
        masks = [
            cv2.imread(str(path / f'case {i}.png'), -1) > 0
            for path in (folder / 'masks', truth)
        ]
        expected[('kidney', 'lung')[i % 2]].append((dice(*masks), f'case {i}'))
    rows = page.xpath('//section[@id="organs"]//tbody/tr')
    assert [words(row.find('th')) for row in rows] == ['kidney', 'lung']
    for row, cases in zip(rows, expected.values(), strict=True):
        scores = [score for score, _ in cases]
        low, high = mean_interval(np.array(scores))
        figures = [np.mean(scores), np.median(scores), min(scores)]
        count, mean, interval, *rest = (words(td) for td in row.findall('td')[:5])
        assert [count, mean, *rest] == ['3', *(f'{x:.3f}' for x in figures)]
        assert interval == f'{low:.3f} \u2013 {high:.3f}'
        assert len(row.xpath('.//circle')) == 3
    shown = [(figure.get('data-name'), words(figure.find_class('score')[0]))
             for figure in page.find_class('case')]  # fmt: skip
    picks = [pick(cases) for cases in expected.values() for pick in (min, max)]
    assert shown == [(name, f'Dice {score:.3f}') for score, name in picks]
    mean = np.mean([score for cases in expected.values() for score, _ in cases])
    assert f'Mean Dice {mean:.3f}' in words(page.find_class('figures')[0])


def test_the_page_needs_nothing_else(make_predictions):
    folder, truth = make_predictions()
    path = write_report(folder, truth)
    page = parse(path)
    links = page.xpath('//@src | //@href | //@srcset | //@action | //@data')
    assert len(links) > 20
    assert all(link.startswith(('data:', '#')) for link in links)
    assert 'url(' not in path.read_text()
    assert '@import' not in path.read_text()
    (policy,) = page.xpath('//meta[@http-equiv]/@content')
    assert "default-src 'none'" in policy
    assert 'unsafe' not in policy


def test_the_page_can_be_used_without_seeing_it(make_predictions):
    folder, truth = make_predictions()
    page = parse(write_report(folder, truth))
    assert page.get('lang') == 'en'
    for field in page.xpath('//input'):
        assert words(field.getparent()), lxml.html.tostring(field)
        assert field.getparent().tag == 'label'
    assert all(page.xpath('//button[@class="enlarge scripted"]/@aria-label'))
    assert all(svg.get('aria-label') for svg in page.xpath('//svg[@role="img"]'))
    assert all(img.get('alt') is not None for img in page.xpath('//img'))
    ids = page.xpath('//@id')
    assert len(ids) == len(set(ids))
    assert {x[1:] for x in page.xpath('//a/@href')} <= set(ids)


def test_text_from_files_is_escaped(make_predictions):
    name = NASTY.replace('/', '')
    settings = {NASTY: [NASTY, {NASTY: NASTY}], 'config': '</script><script>'}
    folder, truth = make_predictions(
        n=1, names=[name], organs=(NASTY,), settings=settings, failed={'b': NASTY}
    )
    path = write_report(folder, truth)
    page = parse(path)
    assert page.xpath('//@onerror') == []
    assert page.xpath('//img[@src="x"]') == []
    assert len(page.xpath('//script')) == 1
    (case,) = page.find_class('case')
    assert case.get('data-name') == name
    assert words(page.xpath('//section[@id="organs"]//tbody//th')[0]) == NASTY
    assert words(page.xpath('//section[@id="failed"]//td')[0]) == NASTY
    assert words(page.xpath('//section[@id="settings"]')[0]).count(NASTY) == 4
    assert NASTY not in path.read_text()


def test_what_is_missing_is_said(make_predictions, tmp_path):
    folder, truth = make_predictions(probabilities=False, settings=None)
    page = parse(write_report(folder))
    assert notes(page) == [
        'No Dice: there is no ground truth.',
        'No threshold slider for 4 of 4 images',
        'No learning curves.',
        'The settings of the prediction are not known',
    ]
    assert words(page.get_element_by_id('organs-title')) == 'Foreground per organ'
    assert [words(x) for x in page.xpath('//section[@id="images"]//h4')] == [
        *('Least foreground', 'Most foreground') * 2
    ]
    assert page.xpath('//input[@type="range"]') == []
    assert page.xpath('//*[@data-layer="mask" or @data-show="mask"]') == []
    for path in (folder / 'images').iterdir():
        path.unlink()
    (truth / 'case 0.png').unlink()
    (truth / 'other.png').write_bytes((truth / 'case 1.png').read_bytes())
    page = parse(write_report(folder, truth, output=tmp_path / 'new' / 'a.html'))
    assert notes(page)[:3] == [
        'No ground truth for 1 of 4 images',
        'No prediction for 1 image of the ground truth',
        '3 of 3 images cannot be shown',
    ]
    faults = [words(fault) for fault in page.find_class('fault')]
    assert all('no such file' in fault for fault in faults)
    assert len(faults) == 3


def test_failed_images_have_their_reason(make_predictions):
    folder, truth = make_predictions(n=2, failed={'x': 'it is damaged', 'y': ''})
    page = parse(write_report(folder))
    rows = page.xpath('//section[@id="failed"]//tbody/tr')
    assert [[words(cell) for cell in row] for row in rows] == [
        ['x', 'it is damaged'],
        ['y', 'no reason was written'],
    ]
    table = pd.read_csv(folder / 'predictions.csv').query('status == "failed"')
    table.to_csv(folder / 'predictions.csv', index=False)
    page = parse(write_report(folder))
    assert notes(page)[1:3] == ['No image was predicted.', 'No images are shown.']
    assert 'Images 0 Failed 2' in words(page.find_class('figures')[0])
    page = parse(write_report(folder, truth))
    assert notes(page)[:2] == [
        'No prediction for 2 images of the ground truth',
        'No image was predicted.',
    ]


def test_settings_are_shown(make_predictions):
    folder, _ = make_predictions(n=1)
    page = parse(write_report(folder))
    section = page.get_element_by_id('settings')
    keys = section.xpath('./table/tbody/tr/th/text()')
    assert keys == [
        *('config', 'checkpoints', 'thresholds', 'versions', 'made_by', 'layout')
    ]
    assert 'ab' * 32 in words(section)
    assert 'HPA default 0.5 lung 0.15 default 0.5' in words(section)


def written_log(folder, lines):
    log = folder / 'run' / '20260101_000000' / 'vis_data' / '20260101_000000.json'
    log.parent.mkdir(parents=True)
    log.write_text('\n'.join(json.dumps(line) for line in lines))
    return folder / 'run'


def test_curves_and_the_switch_are_drawn(make_predictions, tmp_path):
    losses = {'loss': 2, 'decode.loss_bce': 1, 'aux.loss_bce': 1}
    lines = [
        {**losses, 'aux_in_index': 1, 'epoch': 1},
        {'Dice': 0.4, 'val_loss_bce': 0.7, 'step': 1},
        {**losses, 'aux_in_index': 0, 'epoch': 2},
        {'Dice': 0.6, 'val_loss_bce': 0.6, 'step': 2},
    ]
    folder, _ = make_predictions(n=1)
    page = parse(write_report(folder, work_dir=written_log(tmp_path, lines)))
    section = page.get_element_by_id('training')
    assert 'moved from encoder stage 1 to stage 0 (0-based) at epoch 2' in words(
        section
    )
    panels = section.find_class('panel')
    assert [len(panel.xpath('.//path')) for panel in panels] == [3, 1, 1]
    assert [words(x) for x in section.find_class('switch-label')] == ['stage 1 → 0'] * 3
    assert all(re.match(r'M[\d.]+ [\d.]+L', d) for d in section.xpath('.//path/@d'))


@pytest.mark.parametrize(
    ('stages', 'sentence'),
    [
        ([10, -1], 'moved from encoder stage 0+1 to off (0-based) at epoch 2'),
        ([-1, 3], 'moved from off to stage 3 (0-based) at epoch 2'),
        ([0, 1] * 4, 'moved 7 times from one encoder stage to another'),
    ],
)
def test_phases_are_told(make_predictions, tmp_path, stages, sentence):
    lines = [
        {'loss': 1, 'aux_in_index': stage, 'epoch': epoch}
        for epoch, stage in enumerate(stages, start=1)
    ]
    folder, _ = make_predictions(n=1)
    page = parse(write_report(folder, work_dir=written_log(tmp_path, lines)))
    assert sentence in words(page.get_element_by_id('training'))


def test_a_folder_of_masks_of_another_system(make_predictions):
    folder, truth = make_predictions(n=2)
    page = parse(write_report(folder / 'masks', truth, output=folder / 'a.html'))
    assert [words(x) for x in page.xpath('//h3')] == ['organ unknown']
    assert len(page.find_class('case')) == 2


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'images': -1}, '--images -1: give 0 or more'),
        ({'thumbnail': 8}, '--thumbnail 8: give 32 to 4096 px'),
    ],
)
def test_options_out_of_range_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write_report(tmp_path, **options)


def test_training_images_are_marked(make_predictions):
    key = image_key('case 1', (60, 80), 'HPA')
    checkpoint = dict(path='best.pth', fold=0, folds_id='a', train_images=[key, 'b'])
    folder, truth = make_predictions(settings={'checkpoints': [checkpoint]})
    text = words(parse(write_report(folder, truth)).find('body'))
    assert 'best.pth (held out fold 0) was trained on 1 of these images: case 1' in text
    assert 'train_images 2' in text  # a number, not thousands of names
    assert key not in text
