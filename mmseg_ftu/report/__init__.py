"""One HTML page about a folder of predictions, for people.

``page`` puts it together: scores and the choice of images from ``cases``, their
pictures from ``pictures``, learning curves from ``curves``, drawn by ``charts``. The
page itself is in ``templates``: HTML (Jinja2, all text escaped), CSS and plain
JavaScript, which are written into the page so that it needs no other file.
``prepared_page`` makes a page about a prepared folder.
"""

from mmseg_ftu.report.page import write_report

__all__ = ['write_report']
