"""Draw the outlines of a mask on an image: in all pictures of this package."""

import cv2
import numpy as np

from mmseg_ftu.io.raster import IGNORE_LABEL

MASK_COLOUR = (0, 200, 0)  # RGB, what the annotator drew
PREDICTION_COLOUR = (255, 220, 0)  # RGB, what the model says
IGNORED_COLOUR = (255, 120, 0)  # RGB, what is left out of training
REGION_COLOUR = (0, 90, 255)  # RGB, the border of what the annotator looked at
TINT = 0.25  # of the colour of what is ignored


def draw_outlines(
    image: np.ndarray,
    foreground: np.ndarray,
    colour: tuple[int, int, int],
    thickness: int | None = None,
) -> np.ndarray:
    """Draw the outlines of a mask on an image, also those of its holes.

    Args:
        image: RGB uint8 of shape (H, W, 3).
        foreground: bool or uint8 of shape (h, w), not 0 where there is an object;
            brought to the image's size.
        colour: Colour of the outlines, RGB 0..255.
        thickness: Width of the lines, px; None is 1 px, and a 400th of the shorter side
            on images above 600 px.

    Returns:
        RGB uint8 of shape (H, W, 3); the input is left as it is.
    """
    height, width = image.shape[:2]
    mask = (foreground != 0).astype(np.uint8)
    if mask.shape != (height, width):
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    thickness = thickness or max(1, round(min(height, width) / 400))
    return cv2.drawContours(image.copy(), contours, -1, colour, thickness, cv2.LINE_8)


def draw_labels(
    image: np.ndarray, labels: np.ndarray, thickness: int | None = None
) -> np.ndarray:
    """Draw units in outlines, and what is ignored as a tint with an outline.

    Args:
        image: RGB uint8 of shape (H, W, 3).
        labels: uint8 of shape (h, w): 0, 1 and 255; brought to the image's size.
        thickness: Width of the lines, px; None as in `draw_outlines`.

    Returns:
        RGB uint8 of shape (H, W, 3); the input is left as it is.
    """
    size = image.shape[1], image.shape[0]
    if labels.shape != image.shape[:2]:
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    ignored = labels == IGNORE_LABEL
    picture = image.astype(np.float32)
    picture[ignored] += TINT * (np.array(IGNORED_COLOUR, np.float32) - picture[ignored])
    picture = np.rint(picture).astype(np.uint8)
    drawn = draw_outlines(picture, ignored, IGNORED_COLOUR, thickness)
    return draw_outlines(drawn, labels == 1, MASK_COLOUR, thickness)
