"""The templates of a study's pages and pictures."""

import jinja2

from mmseg_ftu.report.page_templates import page_environment, read_template


def environment() -> jinja2.Environment:
    """Return the environment of the templates of studies and of reports."""
    return page_environment(__package__)


def page_style() -> str:
    """Return the style of the report on predictions, and what a study adds."""
    return read_template('page.css') + read_template('study.css', __package__)
