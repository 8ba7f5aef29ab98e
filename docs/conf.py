"""The documentation as a site, by Sphinx: ``make site``.

Nothing is fetched from elsewhere when it is read.
"""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')

import mmseg_ftu.plugin  # noqa: E402, F401 (registers all, which signatures show)
from mmseg_ftu.version import __version__  # noqa: E402

project = 'mmseg_ftu'
author = copyright = 'the authors of mmseg_ftu'
release = version = __version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
extensions += ['sphinx_copybutton']
exclude_patterns = ['study/**', 'qupath/**']
html_theme = 'furo'
html_title = 'mmseg_ftu'
html_copy_source = html_show_sourcelink = False
myst_heading_anchors = 4
myst_enable_extensions = ['colon_fence']
copybutton_exclude = '.linenos, .gp'
napoleon_use_rtype = False
autodoc_member_order = 'bysource'
autodoc_typehints = 'none'  # docstrings say shapes, units and ranges
autodoc_class_signature = 'mixed'
default_role = 'literal'
suppress_warnings = ['myst.header']  # pages begin below where others would

OUTSIDE = re.compile(r'(!?)\[([^\]]*)\]\(((?:\.\./)+[^)\s]+)\)')
REPOSITORY = os.environ.get('MMSEG_FTU_REPOSITORY', '')  # its address on the web


def link_to_the_repository(app, name, source) -> None:
    """Link files that are not pages where the repository is known, else name them."""

    def outside(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        place = (Path(app.srcdir, name).parent / target.partition('#')[0]).resolve()
        if Path(app.srcdir) in place.parents:
            return found[0]
        path = place.relative_to(ROOT).as_posix()
        if REPOSITORY:
            return f'{mark}[{text}]({REPOSITORY.rstrip("/")}/blob/main/{path})'
        return f'`{path}`' if text.strip('`') == path else f'{text} (`{path}`)'

    source[0] = OUTSIDE.sub(outside, source[0])


def setup(app) -> None:
    """Connect the hook."""
    app.connect('source-read', link_to_the_repository)
