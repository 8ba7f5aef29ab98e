"""A slide of any size and a network for it, made on the spot; see slides.py."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import mmseg_ftu.plugin  # noqa: F401 (registers the models)
from mmseg_ftu.export.probability import Probability, load_for_export
from mmseg_ftu.export.torchscript import trace_to_torchscript
from mmseg_ftu.io.sources import open_source
from mmseg_ftu.sample_tissue import draw_sample

CONFIG = Path(__file__).parents[1] / 'configs/tissue/resnet18_unet.py'
PIXEL_SIZE = 0.25  # um/px, a 40x scan
LEVELS = (1, 4, 16)  # as Aperio's scanners write them
TILE, QUALITY = 256, 80
CROP, BATCH = 128, 8  # of the lessons
DARK = 12  # px; the network learns where tissue is dark in the mean over that


def tissue(real: Path, drawn: int = 2048) -> np.ndarray:
    """Return a piece of tissue whose edges meet, RGB: of a real slide if it is there.

    Args:
        real: A slide that is full of tissue.
        drawn: Side of the drawing that takes its place where it is missing, px.
    """
    if real.is_file():
        source = open_source(real)
        piece = source.read(0, 0, 0, *source.shape)
        source.close()
    else:
        piece = draw_sample(6, drawn).rgb
    piece = np.concatenate([piece, piece[::-1]])
    return np.concatenate([piece, piece[:, ::-1]], axis=1)


def write_slide(path: Path, piece: np.ndarray, side: int) -> None:
    """Write a pyramid of JPEG tiles, the piece over and over.

    A ``.svs`` gets Aperio's description, so that OpenSlide takes it for one.
    """
    aperio = f'Aperio Image Library\r\n{side}x{side}|AppMag = 40|MPP = {PIXEL_SIZE}'
    with tifffile.TiffWriter(path, bigtiff=side > 30000) as file:
        for scale in LEVELS:
            length = -(-side // scale)
            shape = tuple(n // scale for n in piece.shape[1::-1])
            small = cv2.resize(piece, shape, interpolation=cv2.INTER_AREA)
            per_cm = 1e4 / PIXEL_SIZE / scale
            file.write(
                _tiles(small, length),
                shape=(length, length, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric='rgb',  # stored as YCbCr 4:2:0, as scanners do
                compression='jpeg',
                compressionargs=dict(level=QUALITY),
                resolution=(per_cm, per_cm),
                resolutionunit='CENTIMETER',
                subfiletype=int(scale > 1),
                description=aperio if path.suffix == '.svs' else None,
                metadata=None,
            )


def _tiles(piece: np.ndarray, length: int) -> Iterator[np.ndarray]:
    inside = np.arange(TILE)
    for top in range(0, length, TILE):
        rows = piece.take(top + inside, axis=0, mode='wrap')
        for left in range(0, length, TILE):
            yield rows.take(left + inside, axis=1, mode='wrap')


def teach(piece: np.ndarray, pixel_size: float, steps: int) -> tuple[Config, dict]:
    """Teach a small network to outline dark tissue: its masks are blobs, not noise.

    Returns:
        The config and the weights.
    """
    shape = tuple(round(n * PIXEL_SIZE / pixel_size) for n in piece.shape[1::-1])
    image = cv2.resize(piece, shape, interpolation=cv2.INTER_AREA)
    darkness = cv2.GaussianBlur(255 - image.mean(axis=2), (0, 0), DARK)
    target = darkness > np.quantile(darkness, 0.8)
    cfg = Config.fromfile(CONFIG)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    network = Probability(model, {}).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        corners = rng.integers(0, np.array(image.shape[:2]) - CROP, (BATCH, 2))
        crops = [np.s_[y : y + CROP, x : x + CROP] for y, x in corners]
        images = torch.from_numpy(np.stack([image[crop] for crop in crops]))
        targets = torch.from_numpy(np.stack([target[crop] for crop in crops]))
        found = network(images.permute(0, 3, 1, 2).float())[:, 0]
        loss = F.binary_cross_entropy(found, targets.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f'network: loss {loss.item():.2f} after {steps} steps', flush=True)
    return cfg, model.state_dict()


def write_network(folder: Path, cfg: Config, weights: dict) -> dict[str, str]:
    """Write config, checkpoint and TorchScript; returns their paths by kind."""
    paths = {
        'config': str(folder / 'config.py'),
        'checkpoint': str(folder / 'weights.pth'),
        'script': str(folder / 'network.pt'),
    }
    cfg.dump(paths['config'])
    torch.save(dict(state_dict=weights), paths['checkpoint'])
    traced = trace_to_torchscript(load_for_export(cfg, paths['checkpoint']))
    Path(paths['script']).write_bytes(traced)
    return paths
