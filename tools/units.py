#!/usr/bin/env python
"""Measure the units of masks or outlines: ``python tools/units.py MASKS --out DIR``."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('units')
