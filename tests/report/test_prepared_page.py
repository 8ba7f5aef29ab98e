import base64
import re

import cv2
import numpy as np
import pytest
from small_slides import write_slides

from mmseg_ftu.masks.draw_outlines import IGNORED_COLOUR, MASK_COLOUR, draw_labels
from mmseg_ftu.preparation.slide_options import SlideOptions
from mmseg_ftu.preparation.slides import prepare_slides
from mmseg_ftu.report.prepared_page import write_prepared_page

lxml_html = pytest.importorskip('lxml.html', reason='extra dev is missing')


@pytest.fixture(scope='module')
def of_slides(tmp_path_factory):
    folder = write_slides(tmp_path_factory.mktemp('slides'), ['a & b', 'c'])
    options = SlideOptions(
        folder / 'slides', folder / 'annotations', 1.0, tile=64, organ='kidney'
    )
    prepare_slides(options, folder / 'out', folds=2, workers=0)
    return folder / 'out'


def pictures(page):
    """Return the pictures of a page by their descriptions, RGB."""
    found = {}
    for image in lxml_html.fromstring(page.read_text('utf-8')).iter('img'):
        data = base64.b64decode(image.get('src').partition(',')[2])
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        found[image.get('alt')] = pixels[..., ::-1].astype(int)
    return found


def near(picture, colour):
    """Tell which pixels have about a colour, as JPEG leaves it."""
    return np.abs(picture - colour).max(axis=-1) < 70


def test_slides(of_slides, tmp_path):
    page = tmp_path / 'new' / 'page.html'
    assert write_prepared_page(of_slides, page, images=5).startswith(
        f'wrote {page}: 10'
    )
    text = page.read_text('utf-8')
    assert 'annotated regions' in text
    assert 'a &amp; b' in text
    assert 'http' not in re.sub('http-equiv', '', text)
    shown = pictures(page)
    assert len(shown) == 12
    overview = shown['Slide c with its annotations and tiles']
    assert overview.shape == (400, 520, 3)
    assert near(overview[:, :200], MASK_COLOUR).sum() > 200
    assert not near(overview[:, 420:], MASK_COLOUR).any()
    assert '4 units, 0 ignored, 0 regions' in text
    assert '520 x 400 px at 0.5 um/px' in text


def test_other_images(make_prepared, tmp_path):
    folder = make_prepared(n=10, organs=('kidney', 'lung'))
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40], mask[:10] = 1, 255
    cv2.imwrite(str(folder / 'masks' / '100.png'), mask)
    summary = write_prepared_page(folder, tmp_path / 'page.html', images=2)
    assert summary.endswith('4 of 10 images')
    text = (tmp_path / 'page.html').read_text('utf-8')
    shown = pictures(tmp_path / 'page.html')  # not text: letters of pictures
    assert 'Image 100 with its mask' in shown
    assert '100: 9.8 % units, 15.6 % ignored, fold 0' in text
    assert 'Image 108 with its mask' in shown  # the last of the kidneys
    assert 'Image 104 with its mask' not in shown
    assert text.count('aria-label="enlarge ') == 4
    assert 'annotated regions' not in text  # there are no slides
    write_prepared_page(folder, tmp_path / 'page.html', images=0)
    assert '<img' not in (tmp_path / 'page.html').read_text('utf-8')


def test_labels_are_drawn():
    image = np.full((40, 40, 3), 200, np.uint8)
    labels = np.zeros((20, 20), np.uint8)
    labels[4:8, 4:8], labels[12:16, 12:16] = 1, 255
    drawn = draw_labels(image, labels)
    assert (image == 200).all()
    assert (drawn[8, 8:16] == MASK_COLOUR).all()
    assert (drawn[11, 11] == 200).all()
    assert (drawn[24, 24:32] == IGNORED_COLOUR).all()
    tinted = np.add(200, 0.25 * np.subtract(IGNORED_COLOUR, 200))
    assert np.abs(drawn[28, 28] - tinted).max() <= 1


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(images=-1), '--images -1'),
        (dict(longest=8), '--thumbnail 8'),
        (dict(output='mine.html'), 'was not written by this tool'),
        (dict(path='raw'), 'is not a .* prepared folder'),
    ],
)
def test_what_is_refused(make_prepared, tmp_path, options, message):
    folder = make_prepared(n=2)
    (tmp_path / 'mine.html').write_text('<p>mine</p>')
    defaults = dict(path=folder, output=tmp_path / 'page.html')
    for name in ('output', 'path'):
        if name in options:
            options = options | {name: tmp_path / options[name]}
    with pytest.raises(ValueError, match=message):
        write_prepared_page(**(defaults | options))
    assert (tmp_path / 'mine.html').read_text() == '<p>mine</p>'
