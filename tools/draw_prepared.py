#!/usr/bin/env python
"""Draw what was prepared: slides with their annotations, images with their masks."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('draw_prepared')
