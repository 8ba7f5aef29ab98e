"""Code blocks of the pages, and how tests run them."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / 'docs'
FENCE = re.compile(r'^```(bash|python)\n(.*?)^```', re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str = 'bash') -> list[str]:
    """Return the code blocks of a page in order."""
    text = (DOCS / page).read_text('utf-8')
    return [code for kind, code in FENCE.findall(text) if kind == language]


class Reader:
    """Types what pages say into a shell, in one folder.

    Args:
        folder: Where the commands run.
        quicker: Words of the pages, and what is typed in their place so that a test
            is quick; nothing else is changed. Each has to occur.
    """

    def __init__(self, folder: Path, quicker: Mapping[str, str]):
        self.folder = folder
        self.quicker = dict(quicker)
        self.used: set[str] = set()

    def quick(self, code: str) -> str:
        """Return code with its words exchanged."""
        for words, others in self.quicker.items():
            if words in code:
                self.used.add(words)
            code = code.replace(words, others)
        return code

    def shell(self, code: str) -> str:
        """Run a block of commands; what it exports is there in the next one."""
        state = self.folder / '.exported'
        state.touch()
        lines = f'. {state}\n{self.quick(code)}\nexport -p > {state}\n'
        path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'
        done = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', lines],
            cwd=self.folder,
            env=os.environ | dict(PATH=path),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f'{code}\n{done.stdout}\n{done.stderr}'
        return done.stdout

    def python(self, code: str) -> None:
        """Run a block of Python, or write it where its first line names a file."""
        named = re.match(r'# (\w+\.py)\n', code)
        path = self.folder / (named[1] if named else 'block.py')
        path.write_text(self.quick(code))
        if not named:
            self.shell(f'python {path.name}')

    def whole(self, page: str, skip: int = 0) -> list[str]:
        """Run all blocks of a page in order, without the first ones of the shell.

        Returns:
            What each block of the shell printed.
        """
        printed = []
        for kind, code in FENCE.findall((DOCS / page).read_text('utf-8')):
            if kind == 'python':
                self.python(code)
            elif skip:
                skip -= 1
            else:
                printed.append(self.shell(code))
        assert self.used == set(self.quicker), 'words that no page has'
        return printed
