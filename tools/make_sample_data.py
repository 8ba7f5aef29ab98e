#!/usr/bin/env python
"""Write synthetic tissue in the competition's layout, for running without Kaggle."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('make_sample_data')
