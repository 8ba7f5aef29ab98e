"""The page in a real browser: sliders and boxes redraw, Dice follows, no request.

Chromium of the system is driven by Playwright's Python package (extra ``dev``), e.g.
``apt-get install chromium``. Both are optional here.
"""

import base64
import shutil

import cv2
import numpy as np
import pytest
import tifffile

from mmseg_ftu.report import write_report

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
MASK, PREDICTION = [0, 213, 255], [255, 207, 0]  # --mask and --prediction of page.css


@pytest.fixture(scope='module')
def browser():
    sync_api = pytest.importorskip('playwright.sync_api', reason='extra dev is missing')
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip('no Chromium is installed')
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=['--no-sandbox', '--disable-gpu']
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Return a function that opens a page; at the end nothing may have gone wrong."""
    complaints = []

    def open_page(path, **options):
        page = browser.new_page(**options)
        page.on('console', lambda message: complaints.append(message.text))
        page.on('pageerror', lambda error: complaints.append(str(error)))
        page.on(
            'request',
            lambda request: (
                request.url == path.as_uri()
                or request.url.startswith('data:')
                or complaints.append(request.url)
            ),
        )
        page.goto(path.as_uri())
        page.wait_for_selector('html[data-ready]', state='attached')
        return page

    yield open_page
    assert complaints == []


def pixels(case):
    """Return the canvas of a case, RGBA (2 h, 2 w, 4)."""
    uri = case.locator('canvas').evaluate('canvas => canvas.toDataURL()')
    data = base64.b64decode(uri.partition(',')[2])
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)


def painted(case, colour):
    picture = pixels(case).astype(int)
    return (abs(picture - [*colour, 255]) < 8).all(-1)


def colours(case):
    """Count the pixels of the outlines of mask and prediction."""
    return painted(case, MASK).sum(), painted(case, PREDICTION).sum()


def set_slider(case, value):
    case.locator('input[type=range]').fill(str(value))
    return case.locator('output').inner_text()


def reference(folder, truth, name, threshold):
    levels = tifffile.imread(folder / 'probabilities' / f'{name}.tif')
    mask = cv2.imread(str(truth / f'{name}.png'), -1) > 0
    predicted = levels > np.floor(255 * threshold)
    total = predicted.sum() + mask.sum()
    return 2 * (predicted & mask).sum() / total if total else 1.0


def test_the_slider_moves_the_outline_and_the_dice(make_predictions, visit):
    folder, truth = make_predictions(n=4)
    page = visit(write_report(folder, truth))
    assert page.locator('.case').count() == 4
    for case in page.locator('.case').all():
        name = case.get_attribute('data-name')
        saved = case.locator('output').inner_text()
        score = case.locator('.score').inner_text()
        assert saved == f'{score} (thumbnail, as saved)'
        saved_picture = colours(case)
        assert min(saved_picture) > 50
        drawn = set()
        for threshold in (0, 0.2, 0.4, 0.73, 1):
            text = set_slider(case, threshold)
            dice = reference(folder, truth, name, threshold)
            expected = f'Dice {dice:.3f} (thumbnail, threshold {threshold:.2f})'
            assert text == expected
            drawn.add(colours(case)[1])
        assert len(drawn) == 5
        assert 0 in drawn  # nothing is above 1
        case.locator('.reset').click()
        assert case.locator('output').inner_text() == saved
        assert colours(case) == saved_picture
        assert not case.locator('.reset').is_visible()


def test_boxes_show_and_hide_mask_prediction_and_filling(make_predictions, visit):
    folder, truth = make_predictions(n=2)
    page = visit(write_report(folder, truth))
    first, second = page.locator('.case').all()
    before = colours(first), colours(second)
    first.get_by_label('Ground truth').uncheck()
    assert colours(first)[0] == 0
    assert colours(first)[1] > 0
    assert colours(second) == before[1]
    first.get_by_label('Prediction').uncheck()
    assert colours(first) == (0, 0)
    bar = page.locator('.toolbar')
    bar.get_by_label('Prediction').uncheck()
    bar.get_by_label('Prediction').check()
    assert colours(second) == before[1]
    assert colours(first)[1] > 0
    lines = (pixels(second)[..., 3] > 0).sum()
    bar.get_by_label('Filled').check()
    assert (pixels(second)[..., 3] > 0).sum() > 1.2 * lines


def test_outlines_lie_where_the_mask_ends(make_predictions, visit):
    folder, truth = make_predictions(n=1)
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 30:60] = 1
    mask[28:32, 40:50] = 0  # a hole
    for path in (folder / 'masks', truth):
        cv2.imwrite(str(path / 'case 0.png'), mask)
    page = visit(write_report(folder, truth))
    page.get_by_label('Ground truth').last.uncheck()
    yellow = painted(page, PREDICTION)
    rows, columns = (np.flatnonzero(yellow.any(axis)) for axis in (1, 0))
    assert (rows[0] + rows[-1] + 1) / 2 == pytest.approx(60, abs=1)
    assert (rows[0], rows[-1]) == pytest.approx((40, 79), abs=2)
    assert (columns[0], columns[-1]) == pytest.approx((60, 119), abs=2)
    assert yellow[54:58, 82:98].any()  # the upper border of the hole
    assert not yellow[45:53, 66:114].any()
    assert not yellow[58:62, 84:96].any()


def test_keys_suffice(make_predictions, visit):
    folder, truth = make_predictions(n=1)
    page = visit(write_report(folder, truth))
    page.locator('.enlarge').focus()
    page.keyboard.press('Enter')
    assert page.locator('.case.large').count() == 1
    page.keyboard.press('Tab')
    before = colours(page)
    page.keyboard.press('Space')
    assert colours(page)[0] == 0 < before[0]
    for _ in range(3):
        page.keyboard.press('Tab')
    page.keyboard.press('ArrowRight')
    assert page.locator('output').inner_text().endswith('threshold 0.41)')


def test_without_masks_the_share_of_foreground_follows(make_predictions, visit):
    folder, _ = make_predictions(n=1)
    page = visit(
        write_report(folder), color_scheme='dark', viewport=dict(width=360, height=640)
    )
    levels = tifffile.imread(folder / 'probabilities' / 'case 0.tif')
    share = 100 * (levels > 127).mean()
    text = set_slider(page.locator('.case'), 0.5)
    assert text == f'Foreground {share:.1f} % (thumbnail, threshold 0.50)'
    width = page.evaluate('document.documentElement.scrollWidth')
    assert width <= 360
