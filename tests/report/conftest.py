"""A small prediction folder and its ground truth."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import draw_disc

ORGANS = ('kidney', 'lung')
SETTINGS = {
    'made_by': 'mmseg_ftu',
    'layout': 1,
    'versions': {'torch': '2.14.1'},
    'config': 'configs/ftu/coat_daformer_switch.py',
    'checkpoints': [{'path': 'best.pth', 'sha256': 'ab' * 32, 'weight': 1.0}],
    'thresholds': {'HPA': {'default': 0.5, 'lung': 0.15}, 'default': 0.5},
}


@pytest.fixture
def make_predictions(tmp_path):
    """Return a function that writes a prediction folder and a folder of masks.

    The probability falls linearly around a disc, for image i ``shift * i`` px off.
    """

    def make(
        n: int = 4,
        shape: tuple[int, int] = (60, 80),
        shift: int = 3,
        probabilities: bool = True,
        settings: dict | None = SETTINGS,
        failed: dict[str, str] | None = None,
        names: list[str] | None = None,
        organs: tuple[str, ...] = ORGANS,
    ) -> tuple[Path, Path]:
        folder, truth = tmp_path / 'predictions', tmp_path / 'truth'
        for part in ('masks', 'probabilities', 'images'):
            (folder / part).mkdir(parents=True)
        truth.mkdir()
        rows = []
        for i in range(n):
            name = names[i] if names else f'case {i}'
            image, mask = draw_disc(shape, seed=i)
            inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
            outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
            p = np.roll(np.clip(0.5 + (inside - outside) / 30, 0, 1), shift * i, axis=1)
            write(folder / 'images' / f'{name}.png', image[..., ::-1])
            write(folder / 'masks' / f'{name}.png', np.uint8(255) * (p > 0.4))
            write(truth / f'{name}.png', mask)
            if probabilities:
                path = folder / 'probabilities' / f'{name}.tif'
                tifffile.imwrite(path, np.round(255 * p).astype(np.uint8))
            row = dict(id=name, path=folder / 'images' / f'{name}.png', status='done')
            row.update(organ=organs[i % len(organs)], data_source='HPA', threshold=0.4)
            row.update(height=shape[0], width=shape[1], objects=1, pixel_size=0.4)
            rows.append(row)
        for name, reason in (failed or {}).items():
            rows.append(dict(id=name, status='failed', reason=reason))
        pd.DataFrame(rows).to_csv(folder / 'predictions.csv', index=False)
        if settings is not None:
            (folder / 'prediction.json').write_text(json.dumps(settings))
        return folder, truth

    return make


def write(path, pixels):
    assert cv2.imwrite(str(path), pixels)
