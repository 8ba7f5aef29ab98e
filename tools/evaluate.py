#!/usr/bin/env python
"""Score saved predictions: ``python tools/evaluate.py PRED GT --out DIR``."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('evaluate')
