#!/usr/bin/env python
"""Predict images or slides: ``tools/predict.py CONFIG CKPT --input PATH --output DIR``.

PATH is an image or a slide, a folder, a pattern in quotes, the competition's folder
with test.csv, or a prepared folder. Several checkpoints are averaged. The same command
goes on after a stop; under torchrun or SLURM the processes share the images.
"""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('predict')
