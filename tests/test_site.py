"""The site builds strictly, every page is in its menu, and it fetches nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]


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
