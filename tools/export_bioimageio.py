#!/usr/bin/env python
"""Export a model for QuPath, deepImageJ and ilastik, as a BioImage.IO package."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('export_bioimageio')
