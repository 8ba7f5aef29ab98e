#!/usr/bin/env python
"""Train a segmentor: ``python tools/train.py configs/ftu/coat_daformer_switch.py``."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('train')
