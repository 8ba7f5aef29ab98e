"""Pictures of predictions: image with the outlines of mask and prediction."""

from pathlib import Path

import cv2
import numpy as np

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.images import read_image, read_mask
from mmseg_ftu.io.own_files import is_own_picture, mark_picture, require_own
from mmseg_ftu.io.raster import IGNORE_LABEL
from mmseg_ftu.io.tables import read_table

MASK_COLOUR = (0, 200, 0)  # RGB, what the annotator drew
PREDICTION_COLOUR = (255, 220, 0)  # RGB, what the model says
CAPTION_HEIGHT = 24  # px


def draw_overlay(
    image: np.ndarray, mask: np.ndarray, prediction: np.ndarray
) -> np.ndarray:
    """Outline mask and prediction on an image.

    Args:
        image: RGB uint8 of shape (H, W, 3).
        mask: Integer of shape (h, w), foreground 1; brought to the image's size.
        prediction: Like ``mask``, of any size.

    Returns:
        RGB uint8 of shape (H, W, 3); the input is left as it is.
    """
    picture = image.copy()
    height, width = image.shape[:2]
    thickness = max(1, round(min(height, width) / 200))
    for labels, colour in ((mask, MASK_COLOUR), (prediction, PREDICTION_COLOUR)):
        foreground = (labels == 1).astype(np.uint8)
        foreground = cv2.resize(
            foreground, (width, height), interpolation=cv2.INTER_NEAREST
        )
        contours, _ = cv2.findContours(
            foreground, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(picture, contours, -1, colour, thickness)
    return picture


def montage(pictures: list[np.ndarray], captions: list[str], columns: int):
    """Lay captioned pictures out in rows; smaller ones are filled up with white.

    Args:
        pictures: RGB uint8 of shape (H_i, W_i, 3).
        captions: One for each picture, ASCII.
        columns: Pictures in a row.

    Returns:
        RGB uint8 of shape (rows * (max H_i + caption), columns * max W_i, 3).
    """
    height = max(p.shape[0] for p in pictures) + CAPTION_HEIGHT
    width = max(p.shape[1] for p in pictures)
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        top, left = i // columns * height, i % columns * width
        cell = sheet[top : top + height, left : left + width]
        cell[CAPTION_HEIGHT:][: picture.shape[0], : picture.shape[1]] = picture
        cv2.putText(
            cell, caption, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1,
            cv2.LINE_AA,
        )  # fmt: skip
    return sheet


def draw_result(prepared: Path, result: Path, output: Path, per_organ: int = 2) -> None:
    """Draw the best and the worst images of each organ into one PNG.

    Args:
        prepared: Folder made by ``tools/prepare_*.py``.
        result: Folder made by ``tools/test.py --out``.
        output: The PNG to write.
        per_organ: Images for each organ, from best to worst Dice, evenly picked.

    Raises:
        ValueError: If a folder lacks its table, an image is damaged, or ``output`` is
            another picture.
        OSError: If an image is missing.
    """
    require_own(output, is_own_picture)
    table = result / 'dice_per_image.csv'
    if not table.is_file():
        raise ValueError(f'{table} is missing: run tools/test.py with --out {result}')
    rows = read_table(table).to_dict('records')
    rows.sort(key=lambda row: -float(row['dice']))
    pictures, captions = [], []
    for organ in sorted({row['organ'] for row in rows}):
        members = [row for row in rows if row['organ'] == organ]
        picks = np.linspace(0, len(members) - 1, min(per_organ, len(members)))
        for row in (members[round(i)] for i in picks):
            name = f'{row["img_id"]}.png'
            image = read_image(prepared / 'images' / name)
            mask = read_mask(prepared / 'masks' / name, (1,), IGNORE_LABEL)
            pictures.append(draw_overlay(image, mask, read_mask(result / name)))
            captions.append(f'{organ} {row["img_id"]} Dice {float(row["dice"]):.3f}')
    sheet = montage(pictures, captions, columns=min(len(pictures), 2 * per_organ))
    output.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode('.png', sheet[..., ::-1])
    write_bytes(output, mark_picture(encoded.tobytes()))
