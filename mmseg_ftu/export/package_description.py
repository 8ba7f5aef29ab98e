"""The ``rdf.yaml`` of a BioImage.IO package, in the two formats that are read.

Format 0.5 holds the pixel size: bioimageio.core (ilastik), deepImageJ 3 and QuPath from
0.6 read it. QuPath 0.5 has qupath-bioimageio-spec 0.1.0, which wants axes as a word
(``bcyx``) and so reads formats up to 0.4 only. Each package holds both.

What QuPath's readers (0.1.0 and 0.2.0) make of a description was read in their source:

- ``license``, ``documentation`` and ``authors`` must be there.
- A size that refers to another axis is 1 px too large where ``offset`` is not written.
- Format 0.5's ``fixed_zero_mean_unit_variance`` is unknown and passed over, and
  ``scale_linear`` does not look at its axis. So the normalisation is in the weights.
- A tile has the largest multiple of the smallest size up to 512 px.
"""

from typing import Any

from mmseg_ftu.export.package_facts import PackageFacts
from mmseg_ftu.version import __version__

NEW, OLD = 'rdf.yaml', 'rdf_v0_4.yaml'  # QuPath wants a name that begins with rdf
FORMATS = {NEW: '0.5.4', OLD: '0.4.10'}
TILE = 256  # px, the least that is stated; 2 x 256 is QuPath's tile
HALO = 64  # px, cut off each side of a tile: an eighth of QuPath's 512
README, COVER = 'README.md', 'cover.png'
TEST_INPUT, TEST_OUTPUT = 'test_input.npy', 'test_output.npy'
TORCHSCRIPT, ONNX = 'weights.pt', 'weights.onnx'
UNKNOWN_TIME = '1980-01-01T00:00:00'  # format 0.4 wants a time; as in the archive
SUMMARY = 'Probability of {unit} in stained tissue sections, in colour.'
PAPER = {
    'text': 'Hussain, M. & Barve, S. A switched auxiliary loss for robust training of '
    'transformer models for histopathological image segmentation. 2023.',
    'doi': '10.48550/arXiv.2308.10994',
}


def describe(
    facts: PackageFacts, digests: dict[str, str], torch_version: str, opset: int
) -> dict[str, dict[str, Any]]:
    """Return the two descriptions of a package by file name, fit for YAML.

    Args:
        facts: What is said of the model.
        digests: SHA-256 of each file, by name.
        torch_version: Version of PyTorch that wrote the weights.
        opset: Operator set of the ONNX file.
    """
    weights = _weights(digests, torch_version, opset)
    return {
        NEW: {
            **_common(facts, NEW),
            **({'timestamp': facts.written} if facts.written else {}),
            'inputs': [_input(facts, digests)],
            'outputs': [_output(facts, digests)],
            'weights': weights,
        },
        OLD: {
            **_common(facts, OLD),
            'timestamp': facts.written or UNKNOWN_TIME,
            **_tensors_of_old_format(),
            'test_inputs': [TEST_INPUT],
            'test_outputs': [TEST_OUTPUT],
            'weights': weights,
        },
    }


def _common(facts: PackageFacts, file: str) -> dict[str, Any]:
    tags = ['segmentation', 'semantic-segmentation', 'histology', '2d', 'pytorch']
    return {
        'format_version': FORMATS[file],
        'type': 'model',
        'name': facts.name,
        'description': SUMMARY.format(unit=facts.unit),
        'authors': [{'name': name} for name in facts.authors],
        'cite': [PAPER],
        'license': facts.license,
        'documentation': README,
        'covers': [COVER],
        'tags': [*tags, *([facts.organ] if facts.organ else [])],
        'config': {'mmseg_ftu': outside(facts)},
    }


def outside(facts: PackageFacts) -> dict[str, Any]:
    """Return what the format has no place for, fit for YAML."""
    return {
        'version': __version__,
        'threshold': facts.threshold,
        'thresholds': dict(facts.thresholds),
        'stain': facts.stain,
        'training_size': facts.training_size,
        'training_pixel_size': facts.pixel_size,
        'training_pixel_sizes': dict(facts.pixel_sizes),
        'organ': facts.organ,
        'data_source': facts.data_source,
    }


def _weights(
    digests: dict[str, str], torch_version: str, opset: int
) -> dict[str, dict[str, Any]]:
    weights: dict[str, dict[str, Any]] = {
        'torchscript': {
            'source': TORCHSCRIPT,
            'sha256': digests[TORCHSCRIPT],
            'pytorch_version': torch_version,
        }
    }
    if ONNX in digests:
        weights['onnx'] = {
            'source': ONNX,
            'sha256': digests[ONNX],
            'parent': 'torchscript',
            'opset_version': opset,
        }
    return weights


def _input(facts: PackageFacts, digests: dict[str, str]) -> dict[str, Any]:
    return {
        'id': 'image',
        'description': 'RGB, 0 to 255, at the pixel size of training; not normalised.',
        'axes': [
            {'type': 'batch'},
            {
                'type': 'channel',
                'id': 'channel',
                'channel_names': ['red', 'green', 'blue'],
            },
            *(
                {**_space(axis, facts), 'size': {'min': TILE, 'step': 1}}
                for axis in 'yx'
            ),
        ],
        'data': {'type': 'float32', 'range': [0.0, 255.0]},
        'test_tensor': {'source': TEST_INPUT, 'sha256': digests[TEST_INPUT]},
    }


def _output(facts: PackageFacts, digests: dict[str, str]) -> dict[str, Any]:
    def size(axis: str) -> dict[str, Any]:
        return {'tensor_id': 'image', 'axis_id': axis, 'offset': 0}

    return {
        'id': 'probability',
        'description': f'Probability of {facts.unit}, 0 to 1.',
        'axes': [
            {'type': 'batch'},
            {'type': 'channel', 'id': 'channel', 'channel_names': [facts.unit]},
            *(
                {**_space(axis, facts), 'size': size(axis), 'halo': HALO}
                for axis in 'yx'
            ),
        ],
        'data': {'type': 'float32', 'range': [0.0, 1.0]},
        'test_tensor': {'source': TEST_OUTPUT, 'sha256': digests[TEST_OUTPUT]},
    }


def _space(axis: str, facts: PackageFacts) -> dict[str, Any]:
    known = {'unit': 'micrometer', 'scale': facts.pixel_size}
    return {'type': 'space', 'id': axis, **(known if facts.pixel_size else {})}


def _tensors_of_old_format() -> dict[str, Any]:
    shared = {'axes': 'bcyx', 'data_type': 'float32'}
    return {
        'inputs': [
            {
                'name': 'image',
                **shared,
                'data_range': [0.0, 255.0],
                'shape': {'min': [1, 3, TILE, TILE], 'step': [0, 0, 1, 1]},
            }
        ],
        'outputs': [
            {
                'name': 'probability',
                **shared,
                'data_range': [0.0, 1.0],
                'halo': [0, 0, HALO, HALO],
                'shape': {
                    'reference_tensor': 'image',
                    'scale': [1.0, 0.0, 1.0, 1.0],
                    'offset': [0.0, 0.5, 0.0, 0.0],  # a channel: twice the half
                },
            }
        ],
    }
