# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From start to masks
#
# Images and masks, a network, its masks on images that it has not seen, and scores. The
# commands are those of the page [Start](../docs/start.md). All of it takes four minutes
# on one CPU core, and less on two.
#
# You need `pip install -e '.[examples]'`, and a notebook that was started from the
# same environment, so that it finds `mmseg-ftu`.

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmseg_ftu.evaluation.dice_curve import THRESHOLDS
from mmseg_ftu.evaluation.fit_thresholds import read_curve
from mmseg_ftu.evaluation.mask_sources import open_masks
from mmseg_ftu.io.images import read_image
from mmseg_ftu.masks.draw_outlines import (
    MASK_COLOUR,
    PREDICTION_COLOUR,
    draw_outlines,
)
from mmseg_ftu.report.curves import read_curves

os.chdir(tempfile.mkdtemp(prefix='first_masks_'))  # or a new folder, to keep the files


# %% tags=["hide-input"]
def show(pictures, columns=4):
    """Show pictures by title, side by side."""
    rows = -(-len(pictures) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.5 * columns, 2.7 * rows), squeeze=False
    )
    for axis in axes.flat:
        axis.axis('off')
    for axis, (title, picture) in zip(axes.flat, pictures.items(), strict=False):
        axis.imshow(picture)
        axis.set_title(title, fontsize=9)
    figure.tight_layout()
    plt.show()


# %% [markdown]
# ## Images and masks
#
# The tissue is drawn: five organs, eight images each. It shows how everything works,
# and says nothing about real tissue.

# %%
# !mmseg-ftu sample-data drawn --images 40 --size 256
# !mmseg-ftu prepare hubmap drawn data/tissue --size 256

# %% [markdown]
# **Your own images:** put this line in place of the two above. The folder has `images/`
# and `masks/`; files of one name belong together, and a mask is 0 where there is
# nothing. Nothing else changes below.
#
# ```bash
# !mmseg-ftu prepare pairs /home/me/my_tissue data/tissue --organ kidney --size 512
# ```
#
# Look at them before you train. The outlines are those of the masks:

# %%
truth = open_masks('data/tissue')


def with_outlines(name, mask, colour=MASK_COLOUR, picture=None):
    """Return an image of the prepared folder with the outlines of a mask."""
    image = read_image(truth.images[name]) if picture is None else picture
    return draw_outlines(image, mask == 1, colour)


examples = truth.table.groupby('organ').head(2).sort_values('organ').index[:8]
show(
    {
        f'{truth.table.organ[name]}, {name}': with_outlines(name, truth.mask(name))
        for name in examples
    }
)

# %% [markdown]
# ## Train
#
# A small network with ImageNet weights, for ten epochs, in small batches so that it
# takes more steps, scored every second epoch. That is short: real data want sixty
# epochs and the recipe's batches of 8. Images of fold 0 are held out. The log goes into
# a file, since it is long; its last lines say how training ended.

# %%
recipe = 'mmseg_ftu::tissue/lite0_unet.py'
epochs, batch_size = 10, 4
options = f'--epochs {epochs} --cfg-options train_cfg.val_interval=2'
options += f' train_dataloader.batch_size={batch_size}'
# %env FTU_DATA=data/tissue
# !mmseg-ftu train $recipe --work-dir run $options > train.log 2>&1
print(*Path('train.log').read_text().splitlines()[-2:], sep='\n')

# %% tags=["hide-input"]
curves = read_curves(Path('run')).series
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
left.plot(*zip(*curves['loss'], strict=True), marker='.')
left.set(xlabel='epoch', ylabel='loss of training')
right.plot(*zip(*curves['Dice'], strict=True), marker='.')
right.set(xlabel='epoch', ylabel='Dice of held-out images', ylim=(0, 1))
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Masks
#
# Only images of fold 0 are predicted, which the network has not seen. Green is the mask
# as drawn, yellow what the network says where its probability is above .5. (Without
# `--threshold` organs of the competition have the thresholds of the paper, which suit a
# network that was trained for long.)

# %%
options = '--fold 0 --output out --threshold 0.5 --save masks probabilities'
# !mmseg-ftu predict $recipe run/epoch_{epochs}.pth --input data/tissue $options

# %%
found = open_masks('out')
pictures = {}
for name in found.ids:
    picture = with_outlines(name, truth.mask(name))
    title = f'{truth.table.organ[name]}, {name}'
    pictures[title] = with_outlines(name, found.mask(name), PREDICTION_COLOUR, picture)
show(pictures)

# %% [markdown]
# ## Scores
#
# Dice is 1 where mask and prediction are the same, and 0 where they share nothing. The
# interval says how far the mean may be off with so few images.

# %%
# !mmseg-ftu evaluate out data/tissue --fold 0 --out scores

# %% [markdown]
# Image by image, the worst first. These are the ones to look at.

# %%
scores = pd.read_csv('scores/evaluation.csv').sort_values('dice')
scores[['id', 'organ', 'data_source', 'dice', 'iou']].round(3).head(10)

# %% [markdown]
# ## From which probability on?
#
# The network gives a probability for each pixel; a pixel counts from a threshold on.
# The grey lines are images, the blue one is their mean. A broad top is good: then the
# threshold matters little. A narrow one near .5 means that the network is not sure of
# anything yet: train longer. `mmseg-ftu thresholds` chooses one for each organ.

# %%
dice = np.array([read_curve(name, found, truth) for name in found.ids])
mean = dice.mean(axis=0)
best = mean.argmax()
figure, axis = plt.subplots(figsize=(6, 3.2))
axis.plot(THRESHOLDS, dice.T, color='0.8', linewidth=0.8)
axis.plot(THRESHOLDS, mean, linewidth=2)
axis.plot(THRESHOLDS[best], mean[best], 'o')
axis.set(xlabel='threshold', ylabel='Dice', ylim=(0, 1))
axis.set_title(f'best mean Dice: {mean[best]:.3f} at {THRESHOLDS[best]:.2f}')
figure.tight_layout()
plt.show()

# %% [markdown]
# A threshold that was chosen on these images flatters them. Score it on others.
#
# ## Next
#
# - `mmseg-ftu report out --gt data/tissue --run run --out report.html` writes all of
#   this as one page.
# - [Training](../docs/howto/training.md): longer, with the switched auxiliary loss, and
#   with other networks.
# - [Prediction](../docs/howto/prediction.md): slides, outlines for QuPath, and from
#   Python.
