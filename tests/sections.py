"""Images for the tests of the stain engine: made by code, and names of real ones."""

import cv2
import numpy as np

HAEMATOXYLIN, EOSIN = [0.65, 0.70, 0.29], [0.27, 0.90, 0.34]

#: Real images of the optional data folder 'stain_images'.
REAL = [
    'skimage_ihc.png',
    'cmu_small_region_crop1024.png',
    'tiatoolbox_target_image.png',
    'stardist_histo.jpg',
    'torchstain_source.png',
    'torchstain_target.png',
]


def unit_rows(rows) -> np.ndarray:
    rows = np.array(rows, float)
    return rows / np.linalg.norm(rows, axis=1)[:, None]


def paint(amounts: np.ndarray, stains) -> np.ndarray:
    """Paint concentrations (H, W, 2) with two stains."""
    light = 255 * np.exp(-amounts @ unit_rows(stains))
    return np.clip(light, 0, 255).astype(np.uint8)


def section(seed=0, size=96, stains=(HAEMATOXYLIN, EOSIN)) -> np.ndarray:
    """Make a section: sparse amounts of two stains, some glass, a little noise."""
    rng = np.random.default_rng(seed)
    amounts = rng.gamma(1.2, 0.5, (size, size, 2))
    amounts = cv2.GaussianBlur(amounts, (3, 3), 0)
    amounts *= rng.random((size, size, 2)) < 0.6
    amounts[: size // 6] = 0
    noise = rng.normal(0, 2, (size, size, 3))
    return np.clip(paint(amounts, stains) + noise, 0, 255).astype(np.uint8)


def full_section(seed=0, size=100, stains=(HAEMATOXYLIN, EOSIN), strength=1.0):
    """Make a section without glass; a strength below 1 makes it pale."""
    rng = np.random.default_rng(seed)
    amounts = cv2.GaussianBlur(rng.gamma(1.2, 0.5, (size, size, 2)), (3, 3), 0) + 0.15
    noise = rng.normal(0, 2, (size, size, 3))
    image = paint(strength * amounts, stains) + noise
    return np.clip(image, 0, 255).astype(np.uint8)


def on_glass(tissue, side, glass=243, noise=2.0) -> np.ndarray:
    """Lay tissue into the corner of a square canvas of noisy glass."""
    levels = np.random.default_rng(0).normal(glass, noise, (side, side, 3))
    canvas = np.clip(levels.round(), 0, 255).astype(np.uint8)
    canvas[: len(tissue), : tissue.shape[1]] = tissue
    return canvas


def filled(colour, size=64) -> np.ndarray:
    return np.full((size, size, 3), colour, np.uint8)


def gray() -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(section(), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def nearly_empty() -> np.ndarray:
    image = filled(255, 128)
    image[:8, :8] = section()[40:48, 40:48]
    return image


def one_stain(noise=0) -> np.ndarray:
    rng = np.random.default_rng(1)
    amounts = np.zeros((64, 64, 2))
    amounts[..., 0] = rng.gamma(2, 0.4, (64, 64))
    image = paint(amounts, (HAEMATOXYLIN, EOSIN))
    return np.clip(image + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def black_border(jpeg=False) -> np.ndarray:
    image = section()
    image[:24], image[:, :24] = 0, 0
    if jpeg:
        image = cv2.imdecode(cv2.imencode('.jpg', image[..., ::-1])[1], 1)[..., ::-1]
    return image


UNFIT = {
    'white': filled(255),
    'black': filled(0),
    'nearly black': np.random.default_rng(0).integers(0, 6, (64, 64, 3), np.uint8),
    'constant': filled((180, 100, 150)),
    'red': filled((255, 0, 0)),
    'gray': gray(),
    'nearly empty': nearly_empty(),
    'one stain': one_stain(),
    'one stain, noisy': one_stain(2),
    'one pixel': section()[40:41, 40:41],
}
