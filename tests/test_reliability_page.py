"""The page of promises names tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_each_promise_names_tests_that_exist():
    page = (ROOT / 'docs' / 'reliability.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| (?!promise|---)(.*) \| (.*) \|$', page, re.MULTILINE)
    assert len(rows) > 20
    for promise, cell in rows:
        names = re.findall(r'`(tests/[\w/]+\.py)::(\w+)`', cell)
        assert names, promise
        for file, name in names:
            tree = ast.parse((ROOT / file).read_text(encoding='utf-8'))
            assert name in {getattr(node, 'name', None) for node in tree.body}, name
