"""Draw samples: a picture of tissue with its mask and its row of the table.

Each depends on (seed, index) only, so that it is the same whoever draws it and in
whatever order.
"""

from typing import Any, NamedTuple

import numpy as np

from mmseg_ftu.masks import rle
from mmseg_ftu.sample_tissue.canvas import Canvas
from mmseg_ftu.sample_tissue.kidney import paint_kidney
from mmseg_ftu.sample_tissue.large_intestine import paint_large_intestine
from mmseg_ftu.sample_tissue.lung import paint_lung
from mmseg_ftu.sample_tissue.prostate import paint_prostate
from mmseg_ftu.sample_tissue.shapes import FIELD_UM, draw_blob
from mmseg_ftu.sample_tissue.spleen import paint_spleen
from mmseg_ftu.sample_tissue.stains import Staining, draw_staining, paint_stains

PAINTERS = {
    'kidney': paint_kidney,
    'largeintestine': paint_large_intestine,
    'lung': paint_lung,
    'prostate': paint_prostate,
    'spleen': paint_spleen,
}
ORGANS = tuple(PAINTERS)
# um per pixel as the competition describes its HPA and HuBMAP images
HPA_PIXEL_SIZE = 0.4
HUBMAP_PIXEL_SIZE = {
    'kidney': 0.5,
    'largeintestine': 0.2290,
    'lung': 0.7562,
    'prostate': 6.263,
    'spleen': 0.4945,
}
FIRST_ID = 10001


class Sample(NamedTuple):
    """One synthetic picture.

    Attributes:
        row: Row of `train.csv` for the picture.
        rgb: Picture, RGB uint8 (S, S, 3).
        mask: Mask, uint8 (S, S), 1 on functional tissue units.
        tissue: Area of the specimen, bool (S, S).
    """

    row: dict[str, Any]
    rgb: np.ndarray
    mask: np.ndarray
    tissue: np.ndarray


def draw_sample(index: int, size: int = 768, seed: int = 0) -> Sample:
    """Draw the picture number `index` (0-based) of a sample data set.

    Organs take turns; every organ alternates between the two data sources.
    """
    rng = np.random.default_rng([seed, index])
    organ = ORGANS[index % len(ORGANS)]
    source = ('HPA', 'Hubmap')[(index % len(ORGANS) + index // len(ORGANS)) % 2]
    staining = draw_staining(rng, source)
    canvas = paint_specimen(Canvas(size, rng), organ, source, staining)
    rgb, mask = paint_stains(canvas, staining), canvas.mask.astype(np.uint8)
    pixel_size = HPA_PIXEL_SIZE if source == 'HPA' else HUBMAP_PIXEL_SIZE[organ]
    row = {
        'id': FIRST_ID + index,
        'organ': organ,
        'data_source': source,
        'img_height': size,
        'img_width': size,
        'pixel_size': pixel_size,
        'tissue_thickness': 4,  # um, HPA; the competition's HuBMAP sections vary
        'rle': rle.encode(mask),
        'age': float(rng.integers(21, 85)),
        'sex': str(rng.choice(['Female', 'Male'])),
    }
    return Sample(row, rgb, mask, canvas.tissue)


def paint_specimen(
    canvas: Canvas, organ: str, source: str, staining: Staining
) -> Canvas:
    """Paint an organ and cut it to a specimen's outline.

    HPA images show a disc (tissue microarray), HuBMAP images a piece of a section that
    reaches over the picture's edges.
    """
    rng = canvas.rng
    x, y = FIELD_UM / 2 + rng.uniform(-30, 30, 2)
    if source == 'HPA':
        outline = draw_blob(rng, x, y, rng.uniform(520, 560), wobble=0.02)
    else:
        x, y = FIELD_UM / 2 + rng.uniform(-250, 250, 2)
        outline = draw_blob(rng, x, y, rng.uniform(650, 800), 150, wobble=0.05)
    ragged = 6 * canvas.noise(40) + 3 * canvas.noise(12)
    tissue = canvas.depth([outline]) + ragged > 0
    canvas.tissue = tissue
    PAINTERS[organ](canvas, staining)
    canvas.cut(tissue)
    return canvas
