#!/usr/bin/env python
"""Prepare slides with annotations of QuPath for training; see docs/howto/slides.md."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('prepare_slides')
