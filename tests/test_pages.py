"""The pages: links and paths lead somewhere, promises name tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ('README.md', 'CONTRIBUTING.md')]
PAGES += [
    ROOT / f'{room}/README.md'
    for room in ('configs/ftu', 'docker', 'benchmarks', 'models')
]
PAGES += sorted(ROOT.glob('docs/**/*.md'))
PAGES += sorted(ROOT.glob('examples/*.py'))
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
MADE = ('mmseg_ftu/data', 'mmseg_ftu/work_dirs')  # in the image, by its user


def anchors(page: Path) -> set[str]:
    """Return what GitHub calls the headings of a page."""
    titles = re.findall(r'^#+ (.+)$', page.read_text('utf-8'), re.MULTILINE)
    plain = (re.sub(r'[^\w\- ]', '', title.lower()) for title in titles)
    return {title.strip().replace(' ', '-') for title in plain}


@pytest.mark.parametrize('page', PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    targets = re.findall(r'\]\(([^)\s]+)\)|src="([^"]+)"', page.read_text('utf-8'))
    lost = []
    for target in (first or second for first, second in targets):
        path, _, anchor = target.partition('#')
        file = page.parent / path if path else page
        if ':' in target:  # the web
            continue
        if not file.exists() or (anchor and anchor not in anchors(file)):
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize('name', [*NAMES, 'docker/Dockerfile'])
def test_paths_in_the_pages_exist(name):
    text = (ROOT / name).read_text('utf-8')
    pattern = r'\b(?:tools|configs|docs|docker|benchmarks|mmseg_ftu|tests)/[\w./-]*\w'
    paths = {path for path in re.findall(pattern, text) if '*' not in path}
    missing = {path for path in paths if not (ROOT / path).exists()}
    assert {path for path in missing if not path.startswith(MADE)} == set()


def test_each_promise_names_tests_that_exist():
    page = (ROOT / 'docs/explanation/reliability.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| (?!promise|---)(.*) \| (.*) \|$', page, re.MULTILINE)
    assert len(rows) > 20
    for promise, cell in rows:
        names = re.findall(r'`(tests/[\w/]+\.py)::(\w+)`', cell)
        assert names, promise
        for file, name in names:
            tree = ast.parse((ROOT / file).read_text(encoding='utf-8'))
            assert name in {getattr(node, 'name', None) for node in tree.body}, name


@pytest.mark.parametrize('page', PAGES, ids=NAMES)
def test_nothing_is_left_to_fill_in(page):
    text = page.read_text('utf-8')
    assert re.findall(r'^[A-Z_]{6,}$|TODO|FIXME', text, re.MULTILINE) == []
