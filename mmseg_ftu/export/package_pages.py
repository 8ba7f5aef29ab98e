"""What people see of a BioImage.IO package: its page and its picture."""

from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np

from mmseg_ftu.export.package_facts import PackageFacts
from mmseg_ftu.io.atomic_files import encode_png
from mmseg_ftu.masks.draw_outlines import PREDICTION_COLOUR, draw_outlines

HEAT = cv2.COLORMAP_INFERNO
PAGE = """# {name}

Probability of {unit} in stained tissue sections{of_organ}. Exported by mmseg_ftu.

- **Input**: RGB, float32, 0 to 255, axes `bcyx`, not normalised: mean and standard
  deviation are in the weights. Height and width can be any number from 64 px.
- **Output**: probability of {unit}, float32, 0 to 1, axes `bcyx`, of the same size.
- **Pixel size**: {pixel_size}
- **Tiles**: cut at least 64 px off each side, where the network sees half of its
  surroundings.
- **Threshold**: {threshold}
- **Stains**: {stain}

## What is not in this package

{outside}
## Thresholds

{table}
## Validation

Compare masks of images that were not trained on with those of an annotator, image by
image: `mmseg-ftu evaluate MASKS LABELS` gives Dice. Look at the outlines on new slides
before you count anything: other stains, scanners and diseases change the result.

## Files

`rdf.yaml` is the description in format 0.5, `rdf_v0_4.yaml` the same for QuPath 0.5.
`weights.pt` is TorchScript{onnx}. `cover.png` shows the test tensors: {picture}.
"""


def page_of(facts: PackageFacts, picture: str, with_onnx: bool) -> str:
    """Return the page of a package, Markdown.

    Args:
        facts: What is said of the model.
        picture: What the test image is.
        with_onnx: Whether ONNX weights are there, too.
    """
    return PAGE.format(
        name=facts.name,
        unit=facts.unit,
        of_organ=f' of {facts.organ}' if facts.organ else '',
        pixel_size=_pixel_size(facts),
        threshold=_threshold(facts),
        stain=_stain(facts),
        outside=''.join(f'- {line}\n' for line in _outside(facts)),
        table='| data source | organ | threshold |\n|---|---|---|\n'
        + ''.join(f'| {a} | {b} | {t} |\n' for a, b, t in _rows(facts.thresholds)),
        onnx=', `weights.onnx` the same as ONNX' if with_onnx else '',
        picture=picture,
    )


def _pixel_size(facts: PackageFacts) -> str:
    if facts.pixel_size is None:
        return 'unknown. Try several; a wrong one costs more than anything else.'
    text = f'{facts.pixel_size:.4g} um/px, as in training. Bring images to it.'
    sizes = facts.pixel_sizes
    own = {organ.lower() for organ in sizes}  # as `Recipe.pixel_size_of` looks it up
    if (facts.organ or '').lower() not in own and len({*sizes.values()}) > 1:
        listed = ', '.join(f'{organ} {um:.4g}' for organ, um in sizes.items())
        text += (
            f' That is the median of organs that were trained on in different sizes: '
            f'{listed}. For one of them take its own.'
        )
    return text


def _threshold(facts: PackageFacts) -> str:
    text = f'a pixel is {facts.unit} above {facts.threshold:g}.'
    if facts.threshold != 0.5:
        text += ' QuPath always takes 0.5, and so finds other pixels.'
    return text


def _stain(facts: PackageFacts) -> str:
    if facts.normalises_stains:
        return (
            f'the training images were normalised ({facts.stain}). This package does '
            'not do that. Normalise images first, or expect worse results.'
        )
    return f'{facts.stain}: nothing is normalised.'


def _outside(facts: PackageFacts) -> list[str]:
    lines = [
        'Views: `mmseg-ftu predict` averages over flips of the image, this does not.',
        'Blending of tiles and the removal of small objects.',
        'One threshold for each organ and data source; see the table.',
    ]
    if facts.training_size:
        lines.append(
            f'The size: training images were {facts.training_size} px on their longer '
            'side. Tiles of that size show the network what it knows.'
        )
    return lines


def _rows(thresholds: Mapping[str, Any]) -> Iterable[tuple[str, str, float]]:
    for source, entry in thresholds.items():
        table = entry if isinstance(entry, Mapping) else {'default': entry}
        for organ, value in table.items():
            yield source, organ, value


def cover_of(image: np.ndarray, probability: np.ndarray, threshold: float) -> bytes:
    """Return the picture of a package, PNG: the image, and with what was found.

    Args:
        image: RGB uint8 ``(S, S, 3)``.
        probability: Probability ``(S, S)``, 0..1.
        threshold: Probability above which a pixel is foreground.
    """
    heat = cv2.applyColorMap(np.rint(probability * 255).astype(np.uint8), HEAT)
    mixed = cv2.addWeighted(image, 0.6, cv2.cvtColor(heat, cv2.COLOR_BGR2RGB), 0.4, 0)
    found = draw_outlines(mixed, probability > threshold, PREDICTION_COLOUR)
    return encode_png(np.concatenate([image, found], axis=1))
