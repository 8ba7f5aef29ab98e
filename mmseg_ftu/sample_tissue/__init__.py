"""Synthetic sample tissue in the layout of the Kaggle competition.

Lets a machine without Kaggle access run the whole job on the data layout of "HuBMAP +
HPA - Hacking the Human Body": `train.csv` and `train_images/<id>.tiff`. It is for
running the code, not for claims about tissue.

An organ's module (`kidney.py`, ...) paints concentrations of stain into a `canvas.py`
from the outlines of `shapes.py` and the shared `parts.py`; `stains.py` turns them into
RGB; `drawing.py` makes whole samples of it and `writing.py` a data set. Units take
their colour from the same kinds of tissue as their surroundings, and every organ holds
distractors; how a unit is built tells it apart.
"""

from mmseg_ftu.sample_tissue.drawing import ORGANS, Sample, draw_sample
from mmseg_ftu.sample_tissue.writing import write_sample_data

__all__ = ['ORGANS', 'Sample', 'draw_sample', 'write_sample_data']
