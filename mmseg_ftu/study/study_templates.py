"""The templates of a study's pages and pictures."""

from importlib import resources

import jinja2


def environment() -> jinja2.Environment:
    """Return the environment of the templates; undefined names are errors."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader('mmseg_ftu.study', 'templates'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_style() -> str:
    """Return the style of the report on predictions, and what a study adds."""
    report = resources.files('mmseg_ftu.report') / 'templates' / 'page.css'
    own = resources.files('mmseg_ftu.study') / 'templates' / 'study.css'
    return report.read_text('utf-8') + own.read_text('utf-8')
