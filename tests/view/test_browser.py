"""The page in a real browser: units over the slide, toggles, the list, the keys.

Chromium of the system is driven by Playwright's Python package (extra ``dev``), e.g.
``apt-get install chromium``. Both are optional here.
"""

import base64
import shutil
import time

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.slow
NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
YELLOW, TRUTH, WHITE = (255, 207, 0), (0, 213, 255), (255, 255, 255)
SIZE = dict(width=1200, height=800)
PATIENCE = 240_000  # ms, on a machine that does a lot else


@pytest.fixture(scope='module')
def browser():
    sync_api = pytest.importorskip('playwright.sync_api', reason='extra dev is missing')
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip('no Chromium is installed')
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=['--no-sandbox', '--disable-gpu'],
            timeout=PATIENCE,
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, serve):
    """Return a function that opens the page; nothing may go wrong, nor leave it."""
    complaints, pages = [], []

    def open_page(options=None, image=0, refused=False, **served):
        url = serve(**served).url
        page = browser.new_page(viewport=SIZE, **(options or {}))
        page.set_default_timeout(PATIENCE)
        page.on(
            'console',
            lambda message: (
                (refused and 'status of 422' in message.text)
                or complaints.append(message.text)
            ),
        )
        page.on('pageerror', lambda error: complaints.append(str(error)))
        page.on(
            'request',
            lambda request: (
                request.url.startswith((url, 'data:', 'blob:'))
                or complaints.append(request.url)
            ),
        )
        page.goto(f'{url}#{image + 1}')
        pages.append(page)
        settle(page, image)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []


def wait_until(page, question):
    """Wait until the page says yes, without the eval of Playwright's own way."""
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(question):
        assert time.monotonic() < end, question
        time.sleep(0.3)


def settle(page, image=0):
    """Wait until an image and all that is in sight of it has been drawn."""
    page.wait_for_selector(f'html[data-ready="{image}"]', state='attached')
    wait_until(
        page,
        """() => {
          const now = document.getElementById('overlay').toDataURL();
          const rests = now === window.before && isDrawn();
          window.before = now;
          return rests;
        }""",
    )


def painted(page, colour):
    """Return where the canvas over the slide has a colour, (H, W) bool."""
    settle(page, page.evaluate('document.documentElement.dataset.ready'))
    uri = page.locator('#overlay').evaluate('canvas => canvas.toDataURL()')
    data = base64.b64decode(uri.partition(',')[2])
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    rgba = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA).astype(int)
    return (abs(rgba - [*colour, 255]) < 8).all(-1)


def box_of(found):
    """Return left, top, right and bottom of what is painted."""
    rows, columns = (np.flatnonzero(found.any(axis)) for axis in (1, 0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def place_of(page, x, y):
    """Return where a place of the image lies in the page, px of the canvas."""
    return page.evaluate('([x, y]) => toPage(x, y)', [x, y])


def test_outlines_lie_on_the_units(folder, visit):
    folder.add(kinds=['masks'])
    page = visit()
    page.locator('#fill').fill('0')
    found = painted(page, YELLOW)
    left, top = place_of(page, 140, 90)
    right, bottom = place_of(page, 740, 450)
    assert box_of(found) == pytest.approx((left, top, right, bottom), abs=3)
    page.get_by_label('glomerulus').uncheck()
    assert not painted(page, YELLOW).any()
    assert page.locator('#count').inner_text() == '0 units'
    page.locator('#stage').press('o')
    assert painted(page, YELLOW).sum() == pytest.approx(found.sum(), rel=0.05)
    assert page.locator('#scale').inner_text() == '50 µm'


def test_the_threshold_redraws_and_lists_anew(folder, visit):
    folder.add()
    page = visit()
    page.locator('#fill').fill('0')
    page.locator('#cut').fill('0.75')  # half the radius
    left, top = place_of(page, 170, 120)
    right, bottom = place_of(page, 695, 435)
    box = box_of(painted(page, YELLOW))
    assert box == pytest.approx((left, top, right, bottom), abs=3)
    wait_until(page, "!document.querySelector('.unit')?.textContent.includes('6,3')")
    areas = page.locator('.unit span:nth-child(3)').all_inner_texts()
    expected = [np.pi * (r / 2) ** 2 / 4 for r in (90, 60, 30)]  # um^2
    assert [float(a.replace(',', '')) for a in areas] == pytest.approx(
        expected, rel=0.05
    )
    page.locator('#stage').press(']')
    assert page.locator('#cut-value').inner_text() == '0.76'
    page.get_by_role('button', name='As saved').click()
    left, top = place_of(page, 140, 90)
    assert box_of(painted(page, YELLOW))[:2] == pytest.approx((left, top), abs=3)
    before = painted(page, YELLOW).sum()
    page.get_by_label('Probabilities as colour').check()
    assert painted(page, YELLOW).sum() == pytest.approx(before, rel=0.1)


def test_the_list_sorts_jumps_and_marks(folder, visit):
    folder.add()
    page = visit()
    assert page.locator('#count').inner_text() == '3 units'
    numbers = page.locator('.unit span:first-child')
    assert numbers.all_inner_texts() == ['2', '1', '3']  # by area
    page.locator('#sort').select_option('number')
    assert numbers.all_inner_texts() == ['1', '2', '3']
    page.locator('#order').click()
    assert numbers.all_inner_texts() == ['3', '2', '1']
    page.locator('.unit').first.click()
    page.wait_for_selector('.unit[aria-selected=true]')
    marked = painted(page, WHITE)
    centre = place_of(page, 300, 420)
    left, top, right, bottom = box_of(marked)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx(centre, abs=4)
    stage = page.locator('#stage').bounding_box()
    assert centre == pytest.approx((stage['width'] / 2, stage['height'] / 2), abs=8)
    page.locator('#stage').press('Escape')
    assert not painted(page, WHITE).any()
    page.locator('#stage').press('n')
    assert page.locator('[aria-selected=true] span').first.inner_text() == '3'
    page.locator('#list').press('ArrowDown')
    assert page.locator('[aria-selected=true] span').first.inner_text() == '2'
    page.locator('#stage').press('0')
    settle(page)
    x, y = place_of(page, 200, 150)
    page.mouse.click(stage['x'] + x, stage['y'] + y)
    number = "document.querySelector('[aria-selected=true] span')?.textContent"
    wait_until(page, f"{number} === '1'")


def test_images_are_listed_and_a_missing_one_is_said(folder, visit):
    folder.add('first').add('second', kinds=['geojson'], organ='spleen')
    (folder.images / 'second.png').unlink()
    folder.add('third', kinds=[], status='failed', reason='it was too dark')
    page = visit(dict(color_scheme='dark'))
    assert page.locator('#gallery b').all_inner_texts() == ['first', 'second', 'third']
    page.locator('#gallery button').nth(1).click()
    settle(page, 1)
    assert 'second.png: no such file' in page.locator('.note').inner_text()
    assert page.locator('#threshold').is_hidden()
    assert painted(page, YELLOW).sum() > 500
    page.locator('#stage').press('PageDown')
    settle(page, 2)
    assert page.locator('.note').inner_text() == (
        'This image was not predicted: it was too dark'
    )
    assert not painted(page, YELLOW).any()
    assert page.url.endswith('#3')


def test_ground_truth_has_a_colour_of_its_own(folder, visit, tmp_path):
    from mmseg_ftu.view.truth import Truth

    folder.add(kinds=['masks'])
    mask = np.zeros((600, 800), np.uint8)
    mask[200:500, 100:300] = 1
    (tmp_path / 'truth').mkdir()
    cv2.imwrite(str(tmp_path / 'truth' / 'a.png'), mask)
    page = visit(truth=Truth(tmp_path / 'truth'))
    found = box_of(painted(page, TRUTH))
    expected = (*place_of(page, 100, 200), *place_of(page, 300, 500))
    assert found == pytest.approx(expected, abs=3)
    page.locator('#stage').press('g')
    assert not painted(page, TRUTH).any()
    assert painted(page, YELLOW).any()


def test_many_units_stay_usable(folder, visit):
    """Rows in sight only are in the page; units of a few px are dots."""
    folder.add(kinds=['masks'], shape=(4096, 4096))
    mask = np.zeros((4096, 4096), np.uint8)
    mask.reshape(256, 16, 256, 16)[:, 4:12, :, 4:12] = 255
    cv2.imwrite(str(folder.path / 'masks' / 'a.png'), mask)
    page = visit()
    assert page.locator('#count').inner_text() == '65,536 units'
    assert page.locator('.unit').count() < 60
    assert painted(page, YELLOW).mean() > 0.08
    page.locator('#sort').select_option('number')
    page.locator('#list').evaluate('list => list.scrollTo(0, list.scrollHeight)')
    page.get_by_text('65536', exact=True).wait_for()
    page.locator('.unit').last.click()
    settle(page)
    numbers = page.locator('.unit span:first-child').all_inner_texts()
    assert numbers[-1] == '65536'
    assert painted(page, WHITE).any()


def test_a_click_beside_a_unit_marks_none(folder, visit):
    folder.add(kinds=['masks'])
    page = visit()
    stage = page.locator('#stage').bounding_box()
    number = "document.querySelector('[aria-selected=true] span')?.textContent"
    for place, expected in [((300, 420), '3'), ((575, 225), None), ((650, 300), '2')]:
        x, y = place_of(page, *place)
        page.mouse.click(stage['x'] + x, stage['y'] + y)
        if expected is None:  # in the box of unit 2, outside its disc
            wait_until(page, f'{number} === undefined')
        else:
            wait_until(page, f"{number} === '{expected}'")


def test_predictions_that_were_replaced_are_said(folder, visit):
    folder.add('first', kinds=['masks']).add('second', kinds=['masks'])
    page = visit(refused=True)
    folder.rows.pop()
    folder.write()
    page.locator('#gallery button').nth(1).click()
    page.wait_for_selector('.note')
    assert 'Start view again' in page.locator('.note').first.inner_text()
