#!/usr/bin/env python
"""Make the target of stain normalisation: a mosaic of the data's staining variations.

SRC is the competition's folder, a prepared folder or a folder of images. Writes
OUT.png, to look at, and OUT.json, which the other tools and StainNormalize take.
"""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('make_stain_target')
