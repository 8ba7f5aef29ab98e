#!/usr/bin/env python
"""Plan, run and report a study of several ways of training."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('study')
