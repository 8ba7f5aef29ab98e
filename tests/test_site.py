"""The site builds strictly, and what the page "Start" says runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_models import noise

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
# what makes the page's commands quick; nothing else in them is changed
QUICKER = {
    '--epochs 60': '--epochs 4',
    'run/epoch_60.pth': 'run/epoch_4.pth',
    '--images 40': '--images 10',
    '--size 256': '--size 96',
}


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> Path:
    pytest.importorskip('furo', reason='the extra [docs] is not installed')
    out = tmp_path_factory.mktemp('site')
    command = [sys.executable, '-m', 'sphinx', '--fail-on-warning', '--keep-going']
    done = subprocess.run(
        [*command, '-q', '-b', 'html', 'docs', str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return out


def test_every_page_is_in_the_menu(site):
    menu = (site / 'index.html').read_text()
    pages = [p.relative_to(ROOT / 'docs') for p in (ROOT / 'docs').rglob('*.md')]
    lost = [p for p in pages if f'href="{p.with_suffix(".html")}"' not in menu]
    assert lost in ([], [Path('index.md')])  # the page itself is "#"


def test_notebooks_are_shown_with_what_they_give(site):
    for source in (ROOT / 'examples').glob('*.py'):
        page = (site / 'examples' / f'{source.stem}.html').read_text()
        assert page.count('class="cell_output') > 4
        assert re.search(r'<img[^>]+src="\.\./_images/', page)
        assert 'Traceback' not in page


def test_nothing_is_fetched_from_elsewhere(site):
    pattern = (
        r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//|<link[^>]+href="https?://'
    )
    pattern += r'|@import|url\((?:https?:)?//'
    for page in [*site.rglob('*.html'), *site.rglob('*.css')]:
        assert re.findall(pattern, page.read_text()) == [], page


def test_the_reference_shows_what_may_be_imported(site):
    text = ''.join(p.read_text() for p in (site / 'reference').glob('*.html'))
    for name in ('FTUPredictor', 'SwitchAuxHook', 'CoaT', 'VahadaneNormalizer', 'dice'):
        assert f'<span class="pre">{name}</span>' in text
    assert 'Raises' in text


def blocks() -> list[str]:
    text = (ROOT / 'docs/start.md').read_text()
    return re.findall(r'^```bash\n(.*?)^```', text, re.MULTILINE | re.DOTALL)


def run(block: str, folder: Path) -> str:
    """Run a block of the page in a folder."""
    for words, others in QUICKER.items():
        block = block.replace(words, others)
    path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', block],
        cwd=folder,
        env=os.environ | dict(PATH=path, FTU_DATA='data/tissue'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f'{block}\n{done.stdout}\n{done.stderr}'
    return done.stdout


def test_the_page_start_on_drawn_tissue(tmp_path):
    install, own, *rest = blocks()
    assert 'pip install -e .' in install
    assert 'prepare pairs' in own
    for block in rest:
        run(block, tmp_path)
    assert (tmp_path / 'report.html').is_file()
    assert len(list((tmp_path / 'new_images' / 'masks').iterdir())) == 10


def test_the_page_start_prepares_images_of_ones_own(tmp_path):
    for part in ('images', 'masks'):
        (tmp_path / 'my_tissue' / part).mkdir(parents=True)
    for i in range(6):
        image, mask = noise(64, 64, seed=i), np.zeros((64, 64), np.uint8)
        mask[10:30, 10:30] = 1
        cv2.imwrite(str(tmp_path / f'my_tissue/images/{i}.png'), image)
        cv2.imwrite(str(tmp_path / f'my_tissue/masks/{i}.png'), mask)
    run(blocks()[1], tmp_path)
    assert (tmp_path / 'data/tissue/folds.csv').is_file()
