"""The steps of ``mmseg-ftu predict`` on a slide, timed from outside; see slides.py."""

import time
from concurrent.futures import Future
from typing import Any

import tifffile
from stopwatch import Stopwatch

from mmseg_ftu.inference import command, outputs, predictor
from mmseg_ftu.inference.network import Network
from mmseg_ftu.inference.probability_file import ProbabilityFile
from mmseg_ftu.inference.probability_map import ProbabilityMap
from mmseg_ftu.io import sources, tiff_regions, working_image
from mmseg_ftu.io.background_rows import BackgroundRows

#: Step -> functions, as owner and name. A step counts without those inside of it.
STEPS: dict[str, list[tuple[Any, str]]] = {
    'reading': [(tifffile.FileHandle, 'read')],
    'decoding': [(tiff_regions.TiffRegions, 'read'), (sources.SlideSource, 'read')],
    'resizing': [(working_image, 'read_scaled')],
    'temporary files': [
        (working_image.WorkingImage, 'write'),
        (working_image.WorkingImage, 'read'),
        (ProbabilityFile, 'write'),
        (ProbabilityFile, 'rows'),
    ],
    'looking for tissue': [(predictor, 'tissue_mask')],
    'network': [(Network, '_forward')],
    'tensors in and out': [(Network, '__call__')],
    'blending': [(predictor.FTUPredictor, '_predict_tiled')],
    'up-sampling to a mask': [(ProbabilityMap, 'mask')],
    'objects': [(outputs, 'clean_objects')],
    'writing': [(outputs, 'write_mask')],
    'waiting for another thread': [(Future, 'result'), (BackgroundRows, 'wait')],
}


def watch_prediction(watch: Stopwatch) -> dict[str, Any]:
    """Time the steps of all predictions of this process.

    Returns:
        A table that the prediction fills: seconds from the loaded network on, and
        tiles seen.
    """
    for step, functions in STEPS.items():
        for owner, name in functions:
            watch.watch(owner, name, step)
    found: dict[str, Any] = dict(seen=0)
    forward, predict_folder = Network._forward, command.predict_folder

    def counted(self: Network, model: Any, padding: Any, inputs: Any) -> Any:
        found['seen'] += len(inputs)
        return forward(self, model, padding, inputs)

    def timed(*args: Any) -> Any:
        start = time.perf_counter()
        try:
            return predict_folder(*args)
        finally:
            found['seconds'] = time.perf_counter() - start

    Network._forward, command.predict_folder = counted, timed
    return found
