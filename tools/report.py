#!/usr/bin/env python
"""Write a report on predictions: one HTML page with scores, images and curves."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('report')
