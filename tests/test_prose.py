"""The prose: whole phrases in tooltips, plain English in code and pages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ('mmseg_ftu', 'tools', 'benchmarks')
MODULES = [path for name in FOLDERS for path in sorted((ROOT / name).rglob('*.py'))]
PAGES = [ROOT / name for name in ('README.md', 'CONTRIBUTING.md')]
PAGES += [
    ROOT / f'{room}/README.md' for room in ('configs/ftu', 'docker', 'benchmarks')
]
PAGES += sorted((ROOT / 'docs').rglob('*.md'))
NOT_ENGLISH = {
    r'(?<!there )\bis no\b(?! longer| more than| less than)': 'is not a',
    r'\bchoose (one )?of\b': 'choose from',
    r'\bbegin of\b': 'beginning of',
    r"\b(can't|doesn't|isn't|don't|aren't|won't|couldn't|wasn't)\b": 'cannot, does not',
}
HALF = r'(Of|Likewise|Ditto|See|As (of|in|for))\b'  # what a tooltip cannot begin with
ENTRY = re.compile(r'^    (\*{0,2}\w+): (.*)$', re.MULTILINE)
SECTION = re.compile(r'^(Args|Attributes):\n((?: .*\n|\n)*)', re.MULTILINE)


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def docstrings(tree: ast.Module) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield text


def texts(tree: ast.Module) -> Iterator[str]:
    """Yield every string: docstrings, messages, help; {} for what is filled in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (getattr(part, 'value', None) for part in node.values)
            yield ''.join(part if isinstance(part, str) else '{}' for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def slips(text: str) -> list[str]:
    """Return what is not English, each with what to write instead."""
    plain = ' '.join(text.split())
    return [
        f'{plain[max(match.start() - 30, 0) : match.end() + 20]!r}: write {better!r}'
        for pattern, better in NOT_ENGLISH.items()
        for match in re.finditer(pattern, plain, re.IGNORECASE)
    ]


def half_phrases(doc: str) -> list[str]:
    """Return the arguments whose description cannot be read alone."""
    entries = [
        e for _, body in SECTION.findall(doc + '\n') for e in ENTRY.findall(body)
    ]
    return [f'{name}: {text}' for name, text in entries if re.match(HALF, text)]


def test_what_the_rules_find():
    doc = (
        'Do it.\n\nArgs:\n    a: Of the b,\n        c.\n    d: Off.\n    **e: Likewise.'
    )
    assert half_phrases(doc) == ['a: Of the b,', '**e: Likewise.']
    assert slips('There is no file; it is no longer there.') == []
    assert (
        len(slips("It is no\nfile, choose one of them, at the begin of it. Don't."))
        == 4
    )


@pytest.mark.parametrize('path', MODULES, ids=names(MODULES))
def test_a_module_speaks_plain_english(path):
    tree = ast.parse(path.read_text('utf-8'))
    halves = [half for doc in docstrings(tree) for half in half_phrases(doc)]
    assert halves == []
    assert [slip for text in texts(tree) for slip in slips(text)] == []


@pytest.mark.parametrize('path', PAGES, ids=names(PAGES))
def test_a_page_speaks_plain_english(path):
    assert slips(path.read_text('utf-8')) == []
