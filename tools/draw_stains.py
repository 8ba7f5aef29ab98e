#!/usr/bin/env python
"""Draw images of each organ before and after stain normalisation, and the target."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('draw_stains')
