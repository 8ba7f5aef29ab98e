import shutil
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from toy_study import ANALYSIS, SWITCH, finish, plan, write_study

from mmseg_ftu.report.charts import Line, Panel
from mmseg_ftu.study.collected_tables import collect
from mmseg_ftu.study.run_records import Records
from mmseg_ftu.study.study_charts import wrapped
from mmseg_ftu.study.study_figures import head_of
from mmseg_ftu.study.study_report import write_study_report


@pytest.fixture(scope='module')
def finished(make_prepared_once, tmp_path_factory):
    """Return a study whose runs are done, and its folder."""
    folder = tmp_path_factory.mktemp('finished')
    arms = dict(normal={}, switch=SWITCH | dict(label='switch <1, 0>'))
    analysis = ANALYSIS | dict(question='Is the switch better?')
    keys = dict(arms=arms, analysis=analysis, seeds=[0, 1, 2])
    study = write_study(folder, make_prepared_once(n=8, folds=2), **keys)
    out = folder / 'out'
    finish(out, plan(study, out), switch=0.05)
    return study, out


@pytest.fixture
def copied(finished, tmp_path):
    """Return the study, and a copy of its folder that a test may change."""
    shutil.copytree(finished[1], tmp_path / 'out')
    return finished[0], tmp_path / 'out'


def test_the_page_says_what_was_found(copied):
    study, out = copied
    write_study_report(study, out)
    page = (out / 'report.html').read_text()
    for text in (
        *('Study: toy', 'Is the switch better?', '12 of 12', '2026-01-31'),
        *('+0.0500', 'better by more than 0.01', 'switch &lt;1, 0&gt; minus normal'),
        *('Validation Dice', 'gradient of the main loss', 'slim_switch_f1_s1'),
        'mmseg-ftu study run study.py --out DIR --jobs 2',
    ):
        assert text in page, text
    assert '<1, 0>' not in page
    assert 'stage 0</text>' in page  # a phase is marked
    assert 'The study file was changed' not in page
    assert '<script' not in page


def test_numbers_for_machines_and_markdown(copied):
    study, out = copied
    paths = write_study_report(study, out)
    assert [path.name for path in paths] == [
        *('report.html', 'report.md', 'results.csv', 'arms.csv')
    ]
    results = pd.read_csv(out / 'results.csv')
    assert results.difference.round(3).tolist() == [0.05, 0.05]
    assert results.planned.all()
    arms = pd.read_csv(out / 'arms.csv')
    assert arms.runs.tolist() == [6] * 4
    text = (out / 'report.md').read_text()
    assert '| switch <1, 0> minus normal | +0.050 | +0.050 to +0.050 |' in text


def test_committed_tables_alone_give_the_same_numbers(finished, tmp_path):
    study, out = finished
    tables = tmp_path / 'tables'
    collect(plan(study, out), Records(out / 'records'), tables, out / 'plan.csv')
    write_study_report(study, tmp_path / 'again', [tables])
    write_study_report(study, tmp_path / 'once', [tables])
    shutil.copytree(out, tmp_path / 'first')
    write_study_report(study, tmp_path / 'first')
    for name in ('results.csv', 'arms.csv', 'report.md'):
        first = (tmp_path / 'first' / name).read_bytes()
        assert (tmp_path / 'again' / name).read_bytes() == first
    again = (tmp_path / 'again' / 'report.html').read_text()
    assert 'Validation Dice' in again


def test_an_unfinished_study_is_reported_only_when_told(copied):
    study, out = copied
    for path in (out / 'records').glob('slim_switch_f1_s1.*'):
        path.unlink()
    with pytest.raises(ValueError, match=r'11 of 12 runs are done: .* --partial'):
        write_study_report(study, out)
    write_study_report(study, out, partial=True)
    page = (out / 'report.html').read_text()
    assert '1 of 12 runs are not done.' in page
    assert 'not done</td>' in page


def test_a_part_of_the_plan_can_be_reported(copied):
    """A study of which one seed is done has whole tables of that seed."""
    study, out = copied
    for path in (out / 'records').glob('*_s2.*'):
        path.unlink()
    write_study_report(study, out, only=['seed=0'])
    results = pd.read_csv(out / 'results.csv')
    assert results.runs.tolist() == [2, 2]
    assert results.detectable.isna().all()
    assert pd.read_csv(out / 'arms.csv').runs.tolist() == [2] * 4
    for name in ('report.md', 'report.html'):
        text = (out / name).read_text()
        assert 'Only a part of the plan is counted: seed=0.' in text
        assert 'No fold has a second seed.' in text
        assert 'are not done' not in text
    with pytest.raises(ValueError, match='8 of 12 runs are done'):
        write_study_report(study, out)


def test_nothing_to_compare_gives_a_table_with_a_header(copied):
    study, out = copied
    write_study_report(study, out, only=['arm=normal'])
    results = pd.read_csv(out / 'results.csv')
    assert len(results) == 0
    assert 'verdict' in results


def test_nothing_done_is_said(tmp_path, finished):
    study, _ = finished
    plan(study, tmp_path)
    with pytest.raises(ValueError, match='there is nothing to report'):
        write_study_report(study, tmp_path, partial=True)


def test_a_study_file_that_was_changed_is_said(copied, tmp_path):
    study, out = copied
    changed = write_study(tmp_path, study.data, analysis=ANALYSIS | dict(margin=0.5))
    write_study_report(changed, out)
    for name in ('report.html', 'report.md'):
        text = (out / name).read_text()
        assert 'The study file was changed after it was planned. These are' in text


@pytest.mark.parametrize(
    'name',
    ['report.html', 'report.md', 'results.csv', 'arms.csv', 'slim_dice_arms.svg'],
)
def test_files_of_others_are_left_alone(copied, name):
    study, out = copied
    (out / name).write_text('mine')
    for _ in range(2):
        with pytest.raises(ValueError, match=f'{name}.* was not written by this tool'):
            write_study_report(study, out, figures=out)
    assert (out / name).read_text() == 'mine'
    (out / name).unlink()
    for _ in range(2):  # our own are replaced
        write_study_report(study, out, figures=out)


def test_a_label_stays_in_its_cell(finished, tmp_path):
    _, out = finished
    shutil.copytree(out, tmp_path / 'out')
    arms = dict(normal={}, switch=SWITCH | dict(label='1 | 0'))
    study = write_study(tmp_path, finished[0].data, arms=arms, seeds=[0, 1, 2])
    write_study_report(study, tmp_path / 'out')
    assert r'| 1 \| 0 minus normal |' in (tmp_path / 'out' / 'report.md').read_text()


def test_pictures_stand_alone(copied, tmp_path):
    study, out = copied
    paths = write_study_report(study, out, figures=tmp_path / 'figures')[4:]
    names = {path.stem for path in paths}
    assert {'slim_dice_differences', 'slim_dice_arms', 'slim_validation'} <= names
    assert 'slim_gradients' in names
    for path in paths:
        root = ET.parse(path).getroot()
        assert root.tag.endswith('svg')
        width, height = float(root.get('width')), float(root.get('height'))
        assert (width, height) > (100, 100)
        for node in root.iter():
            points = [(float(node.get(x, 0)), float(node.get(y, 0))) for x, y in POINTS]
            assert all(0 <= x <= width and 0 <= y <= height for x, y in points)


POINTS = [('x', 'y'), ('x1', 'y1'), ('x2', 'y2'), ('cx', 'cy')]


def test_the_page_opens_in_a_browser_without_a_complaint(copied):
    study, out = copied
    sync_api = pytest.importorskip('playwright.sync_api', reason='extra dev is missing')
    names = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip('no Chromium is installed')
    write_study_report(study, out)
    complaints = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=['--no-sandbox', '--disable-gpu']
        )
        page = browser.new_page(viewport=dict(width=1280, height=900))
        page.on('console', lambda message: complaints.append(message.text))
        page.goto((out / 'report.html').as_uri())
        wide = page.evaluate('document.documentElement.scrollWidth')
        boxes = page.locator('svg.rows').count()
        browser.close()
    assert complaints == []
    assert wide <= 1280
    assert boxes == 4


def test_titles_and_legends_keep_to_the_width_of_a_panel():
    names = ['switch and warm restart (the authors)', 'no auxiliary loss', 'one more']
    lines = [Line(name, 'line-0', '', []) for name in names]
    title = 'switch and warm restart (the authors): gradient of the main loss'
    head = head_of(Panel(title, lines, [], [], [], ''))
    assert ' '.join(head.title) == title
    assert max(map(len, head.title)) <= 52
    places = [(x, y) for _, x, y in head.legend]
    assert places[0][1] == places[1][1] < places[2][1]
    assert places[1][0] > 25 + 6 * len(names[0])
    assert head_of(Panel('short', lines[:1], [], [], [], '')).legend == []


@pytest.mark.parametrize(
    ('name', 'lines'),
    [
        ('switch minus normal', ['switch minus normal']),
        (
            'switched auxiliary loss minus no auxiliary loss',
            ['switched auxiliary loss', 'minus no auxiliary loss'],
        ),
        ('an arm with a name of many words in it', None),
    ],
)
def test_long_names_of_rows_take_two_lines(name, lines):
    assert wrapped(name) == (lines or [name])
