"""From concentration fields to the RGB picture a slide scanner would have taken.

Two stains mixed by the Beer-Lambert law, RGB = light * exp(-(C1 s1 + C2 s2)), with
uneven staining, uneven illumination, blur and noise. Stain vectors, amounts and light
vary from picture to picture as they do between laboratories.
"""

from typing import NamedTuple

import cv2
import numpy as np

from mmseg_ftu.sample_tissue.canvas import Canvas, line_kernel

# Optical densities (red, green, blue). Haematoxylin, eosin and DAB: Ruifrok &
# Johnston 2001 (Anal Quant Cytol Histol 23:291); PAS: preset "H PAS" of Landini's
# ImageJ plug-in "Colour Deconvolution". Scaled to length 1 on use.
HAEMATOXYLIN = (0.650, 0.704, 0.286)
EOSIN = (0.072, 0.990, 0.105)
DAB = (0.268, 0.570, 0.776)
PAS = (0.175411, 0.972178, 0.154589)

NUCLEUS_UM2 = 24.0  # a lymphocyte or epithelial nucleus, about 5.5 um across
VECTOR_JITTER = 0.035  # deviation of a stain vector's elements


class Staining(NamedTuple):
    """How one picture was stained.

    Attributes:
        second: Name of the second stain: 'DAB', 'PAS' or 'eosin'.
        vectors: (2, 3) unit rows, haematoxylin first.
        nuclear: Haematoxylin of a nucleus, optical density (natural log).
        counter: Second stain by kind of tissue (matrix, epithelium, muscle, blood).
        blue: Haematoxylin by kind of tissue, nuclei apart.
    """

    second: str
    vectors: np.ndarray
    nuclear: float
    counter: dict[str, float]
    blue: dict[str, float]


KINDS = ('matrix', 'epithelium', 'muscle', 'blood')
# Range of the second stain, optical density. An antibody may label any tissue, so
# with DAB all kinds share a range; eosin and PAS have their preferences.
COUNTER = {
    'DAB': dict.fromkeys(KINDS, (0.06, 0.38)),
    'eosin': {
        'matrix': (0.2, 0.42),
        'epithelium': (0.2, 0.45),
        'muscle': (0.35, 0.6),
        'blood': (0.5, 0.8),
    },
    'PAS': {
        'matrix': (0.2, 0.4),
        'epithelium': (0.2, 0.4),
        'muscle': (0.3, 0.5),
        'blood': (0.4, 0.6),
    },
}


# Haematoxylin outside nuclei: epithelium is a little more basophilic.
BLUE = {
    'matrix': (0.04, 0.12),
    'epithelium': (0.22, 0.36),
    'muscle': (0.04, 0.14),
    'blood': (0.02, 0.08),
}


def draw_staining(rng: np.random.Generator, data_source: str) -> Staining:
    """Draw a laboratory's staining: DAB for 'HPA', PAS or eosin for 'Hubmap'."""
    second = 'DAB' if data_source == 'HPA' else str(rng.choice(['PAS', 'eosin']))
    pure = {'DAB': DAB, 'PAS': PAS, 'eosin': EOSIN}[second]
    vectors = np.array([HAEMATOXYLIN, pure])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.abs(vectors + rng.normal(0, VECTOR_JITTER, (2, 3)))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    amount = rng.uniform(0.7, 1.3)
    counter = {k: amount * rng.uniform(*r) for k, r in COUNTER[second].items()}
    blue = {kind: rng.uniform(*r) for kind, r in BLUE.items()}
    return Staining(second, vectors, rng.uniform(1.0, 1.35), counter, blue)


def nuclei(canvas: Canvas) -> np.ndarray:
    """Scatter nuclei by the canvas's densities.

    Returns:
        Float32 (S, S): 0 outside nuclei to 1 inside.
    """
    per_px = 1e-3 / canvas.px**2  # densities are per 1000 um^2
    weight = np.float32(NUCLEUS_UM2 * canvas.px**2)
    cover = np.zeros((canvas.size, canvas.size), np.float32)
    for name, length, width in (
        ('round_nuclei', 4.2, 4.2),
        ('spindle_nuclei', 12.0, 2.4),
    ):
        expected = np.maximum(canvas.fields[name], 0) * per_px
        # `poisson` is slow, and at most pixels at most one nucleus is expected.
        drawn = canvas.rng.random(expected.shape, np.float32)
        count = np.floor(expected + drawn).astype(np.float32)
        count *= canvas.rng.uniform(0.7, 1.3, count.shape).astype(np.float32)
        kernel = line_kernel(
            max(length * canvas.px, 0.7),
            max(width * canvas.px, 0.7),
            canvas.grain_angle,
        )
        cover += weight * cv2.filter2D(count, -1, kernel, borderType=cv2.BORDER_REFLECT)
    inside: np.ndarray = 1 - np.exp(-1.6 * cover)
    return inside


def stain_amounts(canvas: Canvas, staining: Staining) -> tuple[np.ndarray, np.ndarray]:
    """Return the two stains' concentrations, float32 (S, S) each, >= 0."""
    solid = np.clip(1 - canvas.fields['hollow'], 0, 1)
    nuclear = nuclei(canvas) * np.clip(2.5 * solid, 0, 1)
    first = canvas.fields['blue'] * solid + staining.nuclear * nuclear
    second = canvas.fields['counter'] * solid * (1 - 0.6 * nuclear)
    first *= np.exp(0.12 * canvas.noise(450) + 0.08 * canvas.noise(25))
    second *= np.exp(0.18 * canvas.noise(450) + 0.10 * canvas.noise(25))
    return np.maximum(first, 0), np.maximum(second, 0)


def paint_stains(canvas: Canvas, staining: Staining) -> np.ndarray:
    """Stain, illuminate and scan a canvas.

    Returns:
        RGB uint8 of shape (S, S, 3).
    """
    first, second = stain_amounts(canvas, staining)
    density = first[..., None] * staining.vectors[0].astype(np.float32)
    density += second[..., None] * staining.vectors[1].astype(np.float32)
    rng = canvas.rng
    light = rng.uniform(238, 250) + rng.uniform(-3, 3, 3)
    shade = 1 + 0.012 * np.clip(canvas.noise(900), -2, 2)
    rgb = np.exp(-density) * light.astype(np.float32) * shade[..., None]
    rgb = cv2.GaussianBlur(rgb, (0, 0), max(0.35, rng.uniform(0.6, 1.4) * canvas.px))
    rgb += rng.uniform(1, 3) * rng.standard_normal(rgb.shape, np.float32)
    image: np.ndarray = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return image
