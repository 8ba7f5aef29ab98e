#!/usr/bin/env python
"""Outline masks (green) and predictions (yellow) of each organ in one picture."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('draw_overlays')
