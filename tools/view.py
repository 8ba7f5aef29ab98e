#!/usr/bin/env python
"""Look at predictions: a local page with zoomable slides and the units over them."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('view')
