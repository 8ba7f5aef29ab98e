#!/usr/bin/env python
"""Send a model folder to the Hugging Face Hub."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('publish')
