#!/usr/bin/env python
"""Fit thresholds: ``python tools/fit_thresholds.py GT PRED ... --out FILE``."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('fit_thresholds')
