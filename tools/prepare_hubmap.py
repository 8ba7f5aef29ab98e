#!/usr/bin/env python
"""Prepare the HuBMAP + HPA competition's data for training; see docs/howto/data.md."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('prepare_hubmap')
