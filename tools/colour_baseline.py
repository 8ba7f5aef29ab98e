#!/usr/bin/env python
"""Print how far the best colour threshold of each organ gets, beside a model's Dice."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('colour_baseline')
