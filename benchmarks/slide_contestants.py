"""One contestant of slides.py in a process of its own: file to mask of one slide.

    PYTHON slide_contestants.py NAME JOB.json RESULT.json

It needs nothing of this project but for ``ours``, so that PYTHON may be that of another
environment. The peers are used as their documentation shows, with the network as
TorchScript. ``RESULT.json`` holds the seconds from the loaded network to the written
result, those of the network alone, and the tiles that it was shown.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stopwatch import Stopwatch

Job = dict[str, Any]


class Scripted(torch.nn.Module):
    """The network of all peers: RGB ``(N, 3, H, W)``, 0..255, to ``(N, 1, H, W)``."""

    def __init__(self, path: str, watch: Stopwatch) -> None:
        super().__init__()
        self.inner = torch.jit.load(path).eval()
        self.watch, self.tiles = watch, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.tiles += len(images)
        with self.watch.step('network'), torch.inference_mode():
            images = images.float().contiguous(memory_format=torch.channels_last)
            return self.inner(images)


def ours(job: Job, watch: Stopwatch) -> Job:
    """Run ``mmseg-ftu predict``, with its steps timed."""
    from slide_steps import watch_prediction

    from mmseg_ftu.cli import main

    tiles = watch_prediction(watch)
    sys.argv = [
        'mmseg-ftu',
        *('predict', job['config'], job['checkpoint']),
        *('--input', job['slide'], '--output', job['out'], '--save', 'masks'),
        *('--mode', 'tiles', '--views', 'identity', '--min-tissue', '0'),
        *('--training-pixel-size', str(job['pixel_size']), '--threshold', '.5'),
        *('--tile', str(job['tile']), '--overlap', str(job['overlap'])),
        *('--batch-size', str(job['batch']), '--device', 'cpu', '--overwrite'),
    ]
    if code := main():
        raise SystemExit(code)
    return dict(seconds=tiles['seconds'], tiles=tiles['seen'])


def lazyslide(job: Job, watch: Stopwatch) -> Job:
    """Tile the whole slide, segment it, write the outlines."""
    import lazyslide as zs
    from lazyslide_models.base import SegmentationOutput
    from wsidata import open_wsi

    class Model(Scripted):
        def segment(self, images: torch.Tensor) -> SegmentationOutput:
            return SegmentationOutput(probability_map=self(images))

    model = Model(job['script'], watch)
    start = time.perf_counter()
    wsi = open_wsi(job['slide'], store=f'{job["out"]}/slide.zarr')
    tile, pixel_size = job['tile'], job['pixel_size']
    zs.pp.tile_tissues(
        wsi, tile, overlap=job['overlap'], edge=True, mpp=pixel_size, tissue_key=None
    )
    zs.seg.semantic(
        wsi,
        model,
        transform=to_tensor,
        ignore_index=None,
        batch_size=job['batch'],
        num_workers=job['workers'],
        device='cpu',
        pbar=False,
    )
    wsi.write()
    return dict(seconds=time.perf_counter() - start, tiles=model.tiles)


def to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)


def tiatoolbox(job: Job, watch: Stopwatch) -> Job:
    """Segment the whole slide, write its classes as zarr."""
    from tiatoolbox.models.engine.io_config import IOSegmentorConfig
    from tiatoolbox.models.engine.semantic_segmentor import SemanticSegmentor
    from tiatoolbox.models.models_abc import ModelABC

    class Model(ModelABC):
        def __init__(self) -> None:
            super().__init__()
            self.network = Scripted(job['script'], watch)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.network(images)

        @staticmethod
        def infer_batch(
            model: 'Model', batch_data: torch.Tensor, *, device: str
        ) -> np.ndarray:
            images = batch_data.to(device).permute(0, 3, 1, 2)
            return model(images).permute(0, 2, 3, 1).numpy()

        @staticmethod
        def postproc(image: np.ndarray) -> np.ndarray:
            return image[..., 0] > 0.5

    tile, model = [job['tile']] * 2, Model()
    engine = SemanticSegmentor(
        model, job['batch'], job['workers'], device='cpu', verbose=False
    )
    resolution = [dict(units='mpp', resolution=job['pixel_size'])]
    config = IOSegmentorConfig(
        input_resolutions=resolution,
        output_resolutions=resolution,
        patch_input_shape=tile,
        patch_output_shape=tile,
        stride_shape=[job['tile'] - job['overlap']] * 2,
    )
    start = time.perf_counter()
    engine.run(
        [Path(job['slide'])],
        patch_mode=False,
        ioconfig=config,
        auto_get_mask=False,
        wsireader_kwargs=dict(mpp=(job['slide_pixel_size'],) * 2),
        save_dir=Path(job['out']) / 'slide',
        output_type='zarr',
        overwrite=True,
    )
    seconds = time.perf_counter() - start
    return dict(seconds=seconds, tiles=model.network.tiles)


CONTESTANTS = {'ours': ours, 'lazyslide': lazyslide, 'tiatoolbox': tiatoolbox}


def main() -> None:
    name, job_file, result_file = sys.argv[1:]
    job = json.loads(Path(job_file).read_text())
    torch.set_num_threads(job['threads'])
    os.makedirs(job['out'], exist_ok=True)
    watch = Stopwatch()
    result = CONTESTANTS[name](job, watch)
    result |= dict(steps=dict(watch.seconds), calls=dict(watch.calls))
    result |= dict(torch=torch.__version__)
    Path(result_file).write_text(json.dumps(result))


if __name__ == '__main__':
    main()
