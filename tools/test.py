#!/usr/bin/env python
"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT --tta``."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('test')
