"""Export a trained segmentor to ONNX, and prove that it computes the same.

The graph takes RGB images as they are, 0..255, and gives foreground probabilities, so
that whoever runs it needs neither this package nor the normalisation's numbers. What
stays outside is named in the file's metadata: the size the model was trained at, the
stain step of the data it was trained on, the thresholds.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log

from mmseg_ftu.engine.runner import load_config
from mmseg_ftu.export.probability import (
    CHECKED_SHAPES,
    MIN_SIZE,
    Probability,
    example_image,
    load_for_export,
)
from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.own_files import is_own_onnx, make_parent, require_own
from mmseg_ftu.version import __version__

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 20
TOLERANCE = 1e-4  # of a probability
MAX_SIZE = 16384  # px, of height and width
CAPTURED_SHAPE = (2, 3, 128, 160)  # 1 would be taken for a constant


def export_onnx(
    config: str, checkpoint: str, out: str, cfg_options: dict[str, Any] | None = None
) -> float:
    """Write ``out`` if its probabilities equal PyTorch's.

    Args:
        config: Path of the config.
        checkpoint: Path or URL of the weights.
        out: Path of the ``.onnx`` file.
        cfg_options: Settings that override the config's, dotted keys.

    Returns:
        The largest difference to PyTorch over the checked images.

    Raises:
        ImportError: Without the extra ``[onnx]``.
        ValueError: The model is not one of this package, the graph computes something
            else or does not run at all sizes, or ``out`` is a file that this function
            did not write.
    """
    require_own(Path(out), is_own_onnx)
    if Path(out).suffix != '.onnx':
        raise ValueError(f'--out {out}: give a name that ends with .onnx')
    make_parent(Path(out))
    import_onnx()
    cfg = load_config(config, None, cfg_options)
    model = load_for_export(cfg, checkpoint)
    content, difference = graph_of(model, cfg, config, checkpoint)
    require_own(Path(out), is_own_onnx)  # it took minutes
    write_bytes(Path(out), content)
    print_log(
        f'wrote {out} ({len(content) / 2**20:.0f} MiB); largest difference to PyTorch '
        f'{difference:.1e} at {len(CHECKED_SHAPES)} sizes',
        'current',
    )
    return difference


def graph_of(
    model: Probability, cfg: Config, config: str, checkpoint: str
) -> tuple[bytes, float]:
    """Return an ONNX file and its largest difference to PyTorch.

    Raises:
        ValueError: The graph computes something else or does not run at all sizes.
    """
    proto = make_graph(model)
    import_onnx().helper.set_model_props(
        proto, properties_of(cfg, config, checkpoint, model.stain)
    )
    content = proto.SerializeToString()
    difference = largest_difference(model, content)
    if not difference < TOLERANCE:
        raise ValueError(
            f'the ONNX graph of {config} differs from PyTorch by {difference:.1e} in '
            f'probability (allowed: {TOLERANCE:.0e}), so nothing was written'
        )
    return content, difference


def make_graph(model: Probability) -> ModelProto:
    """Return the ONNX graph of a model, for any batch size and image size."""
    # A map of one cell would be captured as a special case, so the captured range
    # begins above. The graph serves one cell too: `largest_difference` tries one.
    least = max(MIN_SIZE, model.padding.divisor + 1)
    program = torch.onnx.export(
        model,
        (example_image(CAPTURED_SHAPE),),
        dynamo=True,
        opset_version=OPSET,
        input_names=['image'],
        output_names=['probability'],
        dynamic_shapes=(
            {
                0: torch.export.Dim('batch', min=1, max=1024),
                2: torch.export.Dim('height', min=least, max=MAX_SIZE),
                3: torch.export.Dim('width', min=least, max=MAX_SIZE),
            },
        ),
        verbose=False,
    )
    if program is None:
        raise RuntimeError('torch.onnx.export made no graph')
    return without_traces(program.model_proto)


def without_traces(proto: ModelProto) -> ModelProto:
    """Remove what the exporter notes of this process and its source files."""
    for part in (proto.graph, *proto.functions):
        for item in (part, *part.node, *part.value_info):
            item.ClearField('metadata_props')
            item.ClearField('doc_string')
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        value.ClearField('metadata_props')
        value.ClearField('doc_string')
    return proto


def import_onnx() -> ModuleType:
    """Import what exporting needs, or say how to install it."""
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{error.name} is missing: pip install 'mmseg_ftu[onnx]'"
        ) from error
    return onnx


def largest_difference(model: Probability, content: bytes) -> float:
    """Return the largest difference between onnxruntime and PyTorch.

    Raises:
        ValueError: If the graph does not run at one of `CHECKED_SHAPES`.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
    differences = []
    for shape in CHECKED_SHAPES:
        image = example_image(shape)
        with torch.inference_mode():
            expected = model(image).numpy()
        try:
            (got,) = session.run(None, {'image': image.numpy()})
        except Exception as error:  # onnxruntime's have no public base class
            raise ValueError(
                f'the ONNX graph does not run on an image of shape {shape}: {error}'
            ) from error
        differences.append(np.abs(expected - got).max())
    return float(np.max(differences))


def properties_of(
    cfg: Config, config: str, checkpoint: str, stain: str
) -> dict[str, str]:
    """Return the metadata that goes into the file."""
    evaluator = cfg.get('test_evaluator') or {}
    return dict(
        producer=f'mmseg_ftu {__version__}',
        config=Path(config).name,
        checkpoint=Path(checkpoint).name,
        input='RGB, float32, 0..255, (N, 3, H, W)',
        output='probability of foreground, float32, 0..1, (N, 1, H, W)',
        training_size=json.dumps(cfg.get('img_scale') or cfg.get('crop_size')),
        threshold=json.dumps(cfg.model.decode_head.threshold),
        thresholds=json.dumps(evaluator.get('thresholds', 'paper')),
        # outside the graph: normalise the image first, as the training data were
        stain=stain,
    )
