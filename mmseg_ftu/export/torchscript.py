"""Trace a trained segmentor to TorchScript, and prove that it computes the same.

TorchScript is what Java programs (QuPath, deepImageJ) run through LibTorch. The trace
holds for every batch and size: no size is written into it.
"""

import io
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from zipfile import ZipFile, ZipInfo

import torch
from torch.jit._trace import TracerWarning

from mmseg_ftu.export.probability import CHECKED_SHAPES, Probability, example_image

TRACED_SHAPE = (1, 3, 96, 131)
SAME = 1e-6  # of a probability; the operations are the same
DEBUG = '.debug_pkl'  # records that name source files of the machine


def trace_to_torchscript(model: Probability) -> bytes:
    """Return the TorchScript file of a model, for any batch size and image size.

    Equal weights give equal bytes in a new process (torch numbers the traces of one
    process). Nothing in it tells of the machine.

    Raises:
        ValueError: The trace computes something else at one of `CHECKED_SHAPES`.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    for parameter in parameters:  # else the file asks for gradients
        parameter.requires_grad_(False)
    with quiet(), torch.no_grad():
        trace = torch.jit.trace(model, example_image(TRACED_SHAPE), check_trace=False)
        stream = io.BytesIO()
        torch.jit.save(trace, stream)
    content = without_debug_records(stream.getvalue())
    _refuse_other_results(model, content)
    return content


@contextmanager
def quiet() -> Iterator[None]:
    """Hide that TorchScript is deprecated and that a trace might not hold.

    The Java programs read nothing newer, and the trace is checked.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message=r'`torch\.jit')
        warnings.filterwarnings('ignore', category=TracerWarning)
        yield


def without_debug_records(content: bytes) -> bytes:
    """Return a TorchScript file without the names of source files, always alike."""
    stream = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as given, ZipFile(stream, 'w') as kept:
        for record in given.infolist():
            if not record.filename.endswith(DEBUG):
                info = ZipInfo(record.filename)
                kept.writestr(info, given.read(record), zipfile.ZIP_STORED)
    return stream.getvalue()


def _refuse_other_results(model: Probability, content: bytes) -> None:
    with quiet():
        traced = torch.jit.load(io.BytesIO(content))
    for shape in CHECKED_SHAPES:
        image = example_image(shape)
        with torch.inference_mode():
            expected = model(image)
            try:
                got = traced(image)
            except RuntimeError as error:
                raise ValueError(
                    'the TorchScript trace does not run on an image of shape '
                    f'{shape}: {error}'
                ) from error
        difference = (got - expected).abs().max() if got.shape == expected.shape else 1
        if not difference <= SAME:
            raise ValueError(
                f'the TorchScript trace differs from PyTorch by {difference:.1e} in '
                f'probability on an image of shape {shape}'
            )
