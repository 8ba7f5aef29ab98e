"""The documentation as a site, by Sphinx: ``make site``.

The notebooks of ``examples/`` are run and shown with what they give. Nothing is fetched
from elsewhere when the site is built or read.
"""

import hashlib
import os
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')

import mmseg_ftu.plugin  # noqa: E402, F401 (registers all, which signatures show)
from mmseg_ftu.version import __version__  # noqa: E402

project = 'mmseg_ftu'
author = copyright = 'the authors of mmseg_ftu'
release = version = __version__
extensions = ['myst_nb', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
extensions += ['sphinx_copybutton']
exclude_patterns = ['study/**', 'qupath/**', 'conf.py']
html_theme = 'furo'
html_title = 'mmseg_ftu'
html_static_path, html_css_files = ['_static'], ['tables.css']
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
EXAMPLES = ROOT / 'docs' / 'examples'  # copies, since Sphinx reads one folder only
SHOWN = ('mmseg_ftu/**/*.py', 'configs/**/*.py', 'docs/study/**/*')


def copy_examples() -> None:
    """Copy the notebooks to where Sphinx finds them, links to pages mended."""
    EXAMPLES.mkdir(exist_ok=True)
    sources = {path.name: path for path in (ROOT / 'examples').glob('*.py')}
    for path in EXAMPLES.glob('*.py'):
        if path.name not in sources:
            path.unlink()
    for name, path in sources.items():
        text = path.read_text('utf-8').replace('](../docs/', '](../')
        copy = EXAMPLES / name
        if not copy.is_file() or copy.read_text('utf-8') != text:
            copy.write_text(text, 'utf-8')


def code_id() -> str:
    """Return a hash of all that the notebooks show: package, recipes and records."""
    paths = {path for pattern in SHOWN for path in ROOT.glob(pattern) if path.is_file()}
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


copy_examples()
os.environ['PATH'] = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
os.environ['TQDM_DISABLE'] = '1'
scratch = tempfile.TemporaryDirectory(prefix='examples_')  # removed at the end
os.environ['TMPDIR'] = scratch.name
os.environ.pop('MMSEG_FTU_DATA', None)  # the site shows no images of other people
nb_custom_formats = {'.py': ['jupytext.reads', {'fmt': 'py:percent'}]}
nb_execution_mode = 'cache'
nb_execution_cache_path = str(ROOT / '.examples_cache' / code_id())
nb_execution_timeout = 1800  # s, of a cell; the longest takes two minutes on one core
nb_execution_in_temp = nb_execution_raise_on_error = nb_execution_show_tb = True
nb_merge_streams = True
nb_code_prompt_show = 'Show the {type} that does this'
nb_code_prompt_hide = 'Hide the {type}'
nb_output_stderr = 'remove'  # warnings of libraries; errors stop the build


def link_to_the_repository(app, name, source) -> None:
    """Link files that are not pages where the repository is known, else name them."""

    def outside(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        place = (Path(app.srcdir, name).parent / target.partition('#')[0]).resolve()
        if Path(app.srcdir) in place.parents:
            return found[0]
        if place.parent == ROOT / 'examples':
            page = os.path.relpath(EXAMPLES, Path(app.srcdir, name).parent)
            return f'{mark}[{text}]({Path(page, place.name).as_posix()})'
        path = place.relative_to(ROOT).as_posix()
        if REPOSITORY:
            return f'{mark}[{text}]({REPOSITORY.rstrip("/")}/blob/main/{path})'
        return f'`{path}`' if text.strip('`') == path else f'{text} (`{path}`)'

    source[0] = OUTSIDE.sub(outside, source[0])


def setup(app) -> None:
    """Connect the hook."""
    app.connect('source-read', link_to_the_repository)
