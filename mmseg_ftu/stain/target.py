"""Target files: a fitted normaliser as JSON, with its preview beside it."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

from mmseg_ftu.stain.normalizer import Normalizer
from mmseg_ftu.stain.reinhard import ReinhardNormalizer
from mmseg_ftu.stain.two_stains import MacenkoNormalizer, VahadaneNormalizer

METHODS: dict[str, type[Normalizer[Any]]] = {
    'vahadane': VahadaneNormalizer,
    'macenko': MacenkoNormalizer,
    'reinhard': ReinhardNormalizer,
}
KINDS = {kind.__name__: kind for kind in METHODS.values()}
COMPATIBLE_NOTE = (
    'it measures strengths over all pixels (version 1, or made with --compatible), so '
    'images with little tissue become too dark; for strengths over the tissue, make '
    'the target again, prepare the images with it and train again'
)
MAKE = 'make one with `mmseg-ftu stain-target SRC OUT`'


def load_target(path: str | Path, on_failure: str | None = None) -> Normalizer[Any]:
    """Read a fitted normaliser.

    Args:
        path: JSON file of `state_dict`, as ``tools/make_stain_target.py`` writes it.
        on_failure: What an image gets that cannot be fitted; None: as in the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not the state of a normaliser.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'stain target {path}: no such file; {MAKE}')
    try:
        state = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'stain target {path}: no JSON ({error}); {MAKE}') from error
    if isinstance(state, dict) and on_failure is not None:
        state['on_failure'] = on_failure
    if not isinstance(state, dict) or state.get('type') not in KINDS:
        raise ValueError(f'stain target {path}: not of {", ".join(KINDS)}; {MAKE}')
    return normalizer_of(state, f'stain target {path}')


def normalizer_of(state: dict[str, Any], name: str = 'stain target') -> Normalizer[Any]:
    """Return the normaliser of a `state_dict`, whatever its method is.

    Warns of a state that measures over all pixels: of version 1, or ``compatible``.

    Args:
        state: State that `Normalizer.state_dict` returned.
        name: What the warning calls it.

    Raises:
        ValueError: It is not the state of a normaliser.
    """
    kind = KINDS.get(state.get('type', ''))
    if kind is None:
        raise ValueError(
            f'state is of type {state.get("type")!r}: expected one of '
            f'{", ".join(KINDS)}'
        )
    normalizer = kind.from_state_dict(state)
    if normalizer.compatible:
        warnings.warn(f'{name}: {COMPATIBLE_NOTE}', stacklevel=2)
    return normalizer


def stain_id(normalizer: Normalizer[Any]) -> str:
    """Return a short text that is equal for equal settings: method and hash."""
    text = json.dumps(normalizer.state_dict(), sort_keys=True)
    name = type(normalizer).__name__.removesuffix('Normalizer').lower()
    return f'{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}'
