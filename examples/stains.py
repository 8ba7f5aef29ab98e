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
# # Stain normalisation, seen
#
# Laboratories use other dyes, other times in the bath and other scanners, so the same
# tissue comes in many colours. Stain normalisation gives an image the colours of
# another one, the *target*. This notebook shows on pictures what it does, what is
# measured, and how stains are varied in training. It takes a few seconds.
#
# [Stain normalisation](../docs/explanation/stain.md) says how it is computed,
# [Normalise stains](../docs/howto/stain.md) how to use it on a data set.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from skimage.data import immunohistochemistry

from mmseg_ftu.datasets.transforms.stain import StainAugment
from mmseg_ftu.io.images import read_image
from mmseg_ftu.sample_tissue.canvas import Canvas
from mmseg_ftu.sample_tissue.drawing import paint_specimen
from mmseg_ftu.sample_tissue.stains import draw_staining, paint_stains
from mmseg_ftu.stain import (
    MacenkoNormalizer,
    ReinhardNormalizer,
    VahadaneNormalizer,
    concentrations,
    optical_density,
)


# %% tags=["hide-input"]
def show(pictures, columns=4, **options):
    """Show pictures by title, side by side."""
    rows = -(-len(pictures) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.4 * columns, 2.6 * rows), squeeze=False
    )
    for axis in axes.flat:
        axis.axis('off')
    for axis, (title, picture) in zip(axes.flat, pictures.items(), strict=False):
        axis.imshow(picture, **options)
        axis.set_title(title, fontsize=9)
    figure.tight_layout()
    plt.show()


# %% [markdown]
# ## One tissue, four laboratories
#
# The tissue is drawn: the same piece of a kidney, with haematoxylin and eosin as four
# laboratories would stain it. So it is known what an image *should* look like after
# normalisation: like the picture that the target's laboratory made.


# %%
def photograph(laboratory, size=384, tissue=4):
    """Return the picture that a laboratory takes of a piece of tissue, RGB uint8."""
    canvas = Canvas(size, np.random.default_rng(tissue))
    paint_specimen(canvas, 'kidney', 'Hubmap', laboratory)
    return paint_stains(canvas, laboratory)


stainings = [draw_staining(np.random.default_rng(i), 'Hubmap') for i in range(20)]
names = ['target', 'laboratory 1', 'laboratory 2', 'laboratory 3']
with_eosin = [staining for staining in stainings if staining.second == 'eosin']
laboratories = dict(zip(names, with_eosin, strict=False))
photographs = {name: photograph(used) for name, used in laboratories.items()}
show(photographs)

# %% [markdown]
# ## Three methods
#
# - **Reinhard** moves mean and spread of the colours of the tissue. It knows nothing of
#   stains.
# - **Macenko** finds two stains from the directions of the colours.
# - **Vahadane** finds the two stains that explain the colours with as little stain as
#   possible.
#
# Each has `fit` for the target and `transform` for the others.

# %%
target = photographs['target']
methods = dict(
    Reinhard=ReinhardNormalizer().fit(target),
    Macenko=MacenkoNormalizer().fit(target),
    Vahadane=VahadaneNormalizer().fit(target),
)
pictures, distances = {}, {}
for name in names[1:]:
    before = photographs[name]
    versions = {'before': before}
    versions |= {how: fitted.transform(before) for how, fitted in methods.items()}
    pictures |= {f'{name}, {how}': picture for how, picture in versions.items()}
    distances[name] = {
        how: np.abs(picture.astype(float) - target).mean()
        for how, picture in versions.items()
    }
show(pictures)

# %% [markdown]
# The mean distance to the target's own picture of the same tissue, in grey levels.
# Some remains: the laboratories differ in which cells take up how much, and no
# normalisation undoes that. A picture that was near from the start can even move away:
# compare the columns of laboratory 3.

# %%
distances = pd.DataFrame(distances).T
distances.round(1)

# %% [markdown]
# ## What is measured
#
# Light is dimmed by each stain in turn (Beer and Lambert), so in *optical density*,
# `-log(I / 255)`, stains add up. A stain is a direction there, a unit vector of red,
# green and blue. Of each image two are found, with their strengths: the 99th percentile
# of their amounts over the tissue.
#
# These images were drawn, so the true vectors are known. The table says by how many
# degrees the found ones are off. Hardly a pixel of this tissue has eosin alone, so both
# methods find vectors that lie closer together than the true ones. Target and image are
# split in the same wrong way, so that much of the error cancels, though not all of it.


# %%
def degrees(a, b):
    """Return the angles between rows of unit vectors."""
    return np.degrees(np.arccos(np.clip((a * b).sum(axis=1), -1, 1)))


rows = []
for name, staining in laboratories.items():
    for method in ('Macenko', 'Vahadane'):
        fit = methods[method].measure(photographs[name])
        off = degrees(fit.stains, staining.vectors)
        for i, stain in enumerate(('haematoxylin', 'eosin')):
            vector = ', '.join(f'{x:.2f}' for x in fit.stains[i])
            row = dict(image=name, stain=stain, method=method, vector=vector)
            rows.append(row | dict(strength=fit.strengths[i], degrees_off=off[i]))
vectors = pd.DataFrame(rows).set_index(['image', 'stain', 'method'])
vectors.round(2)

# %% [markdown]
# ## Maps of the stains
#
# With the two vectors every pixel is split into its two amounts. To normalise is to
# scale these maps to the target's strengths, and to paint them in the target's colours.
# The picture is real tissue: colonic glands, FHL2 in brown by DAB, haematoxylin in
# blue. (It comes with scikit-image: Center for Microscopy And Molecular Imaging, no
# known copyright restrictions.)

# %%
ihc = immunohistochemistry()
vahadane = VahadaneNormalizer()
fit = vahadane.measure(ihc)
amounts = concentrations(optical_density(ihc), fit.stains)
alone = [
    255 * np.exp(-amounts[..., i, None] * fit.stains[i]) for i in range(2)
]  # the tissue as if it had one stain only
show(
    {
        'the image': ihc,
        'haematoxylin alone': alone[0].astype(np.uint8),
        'DAB alone': alone[1].astype(np.uint8),
    },
    columns=3,
)
show(
    {
        'amount of haematoxylin': amounts[..., 0] / fit.strengths[0],
        'amount of DAB': amounts[..., 1] / fit.strengths[1],
    },
    columns=3,
    cmap='magma',
    vmin=0,
    vmax=1,
)

# %% [markdown]
# ## What cannot be fitted
#
# An empty slide has no stains, and an image of one stain has no second. Such an image
# is left as it is, and the reason is told. (`on_failure='raise'` raises instead.)

# %%
empty = np.full((256, 256, 3), 244, np.uint8)
methods['Vahadane'].fit_source(empty).reason

# %% [markdown]
# ## Augmentation
#
# The other way to make a network robust: vary the stains while it trains. In a config
# it is one line of the training pipeline, `dict(type='StainAugment')`. Vectors are
# moved a little, and amounts are scaled. With `targets=[...]` an image sometimes takes
# the stains of another laboratory.

# %%
np.random.seed(0)  # the data sets of this package seed each image by run and epoch
augment = StainAugment(vector_std=0.05, strength_range=(0.7, 1.4), channel_order='rgb')
varied = {f'varied, {i}': augment(dict(img=ihc))['img'] for i in range(1, 8)}
show({'the image': ihc, **varied})

# %% [markdown]
# ## Real laboratories
#
# Set `MMSEG_FTU_DATA` to a folder that has `stain_images/`, or put images of your own
# into the list, the target first: `files = [Path('a.png'), Path('b.png')]`.

# %%
folder = Path(os.environ.get('MMSEG_FTU_DATA', 'no folder')) / 'stain_images'
files = [
    folder / name
    for name in (
        'tiatoolbox_target_image.png',
        'cmu_small_region_crop1024.png',
        'stardist_histo.jpg',
        'torchstain_source.png',
    )
]
if all(file.is_file() for file in files):
    images = {file.stem: read_image(file) for file in files}
    show(images)
    normalizer = VahadaneNormalizer().fit(images[files[0].stem])
    show({name: normalizer.transform(image) for name, image in images.items()})
else:
    print(f'There are no such images in {folder}: nothing to show here.')

# %% [markdown]
# ## Next
#
# On a data set it is two commands; the target travels in the checkpoint, and
# `mmseg-ftu predict` applies it by itself:
#
# ```bash
# mmseg-ftu stain-target my_tissue/images stain_target
# mmseg-ftu prepare pairs my_tissue data/tissue --organ kidney --stain vahadane \
#   --stain-target stain_target.json
# ```
