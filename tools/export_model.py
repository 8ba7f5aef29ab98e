#!/usr/bin/env python
"""Export a model folder: weights, config and card, to share and to use."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('export_model')
