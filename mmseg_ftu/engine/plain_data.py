"""What a checkpoint may hold besides tensors: plain data, rebuilt by our own code.

A pickle names functions and classes, and what it may name is listed here
(``SAFE_GLOBALS``). numpy's own functions are not among them: a forged state of a
``numpy.dtype`` makes numpy take bytes of the file for addresses. Arrays and scalars
are rebuilt by the classes below instead, from a checked type and the bytes.
"""

import argparse
import datetime
import math
import pathlib
import pickle
import re
from typing import Any, Literal

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from torch.optim.lr_scheduler import OneCycleLR

# Numbers, truth values, texts, dates; no objects (O) and no records (V).
NUMPY_TYPE = re.compile(r'[?biufcSUmM]\d*')
NUMPY_MODULES = ('numpy.core.multiarray', 'numpy._core.multiarray')


class StandIn:
    """Something that is put in the place of another while a pickle is read."""

    def __hash__(self) -> int:
        raise TypeError('a stand-in cannot be a key')  # else one could hide as a key


class NumpyType(StandIn):
    """Stand for a ``numpy.dtype`` while a pickle is read.

    Args:
        code: Type code, such as ``f8`` or ``U12``.
        align: Ignored, it says something of records only.
        copy: Ignored.

    Raises:
        pickle.UnpicklingError: If it is not a type of plain data.
    """

    def __init__(self, code: object, align: bool = False, copy: bool = False):
        if not isinstance(code, str) or not NUMPY_TYPE.fullmatch(code):
            raise pickle.UnpicklingError(f'GLOBAL numpy.dtype({code!r})')
        self.code = code
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the order of the bytes and the unit of dates from numpy's state."""
        _, order, *record = state[:5]
        if any(part is not None for part in record):
            raise pickle.UnpicklingError(f'GLOBAL numpy.dtype({self.code!r}, fields)')
        if self.dtype.kind in 'mM':
            unit, count = state[8][1][:2]
            self.dtype = np.dtype(f'{self.code}[{int(count)}{unit.decode()}]')
        self.dtype = self.dtype.newbyteorder(order)


class NumpyArray(StandIn):
    """Stand for a ``numpy.ndarray`` while a pickle is read."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Build ``array`` from numpy's state: version, shape, type, order, bytes."""
        _, shape, kind, fortran, data = state
        if type(kind) is not NumpyType or type(data) is not bytes:
            raise pickle.UnpicklingError('GLOBAL numpy.ndarray of objects')
        shape = tuple(int(length) for length in shape)
        size = math.prod(shape) * kind.dtype.itemsize
        if min(shape, default=0) < 0 or size != len(data):
            raise ValueError(f'array of shape {shape} from {len(data)} bytes')
        order: Literal['C', 'F'] = 'F' if fortran else 'C'
        self.array = np.ndarray(shape, kind.dtype, data, order=order).copy(order)


def rebuild_array(kind: type, shape: tuple[int, ...], code: bytes) -> NumpyArray:
    """Stand in for ``numpy.core.multiarray._reconstruct``."""
    if kind is not NumpyArray:
        raise pickle.UnpicklingError(f'GLOBAL {kind}')
    return NumpyArray()


def rebuild_scalar(kind: NumpyType, data: bytes = b'') -> np.generic:
    """Stand in for ``numpy.core.multiarray.scalar``."""
    if type(kind) is not NumpyType or type(data) is not bytes:
        raise pickle.UnpicklingError('GLOBAL numpy scalar of objects')
    if data and len(data) != kind.dtype.itemsize:
        raise ValueError(f'{kind.dtype} from {len(data)} bytes')
    scalar: np.generic
    scalar = np.frombuffer(data, kind.dtype)[0] if data else kind.dtype.type()
    return scalar


class Owner:
    """Stand for a class of which only single functions may be named."""

    def __init__(self, owner: type, *names: str):
        self.path = f'{owner.__module__}.{owner.__qualname__}'
        self.functions: dict[str, Any] = {n: vars(owner).get(n) for n in names}


def get_function(owner: object, name: str) -> object:
    """Stand in for ``getattr``, by which a pickle names the function of a class."""
    if owner is HistoryBuffer and name in ('min', 'max', 'mean', 'current'):
        return vars(HistoryBuffer)[name]
    if type(owner) is Owner and owner.functions.get(name):
        return owner.functions[name].__func__  # of a static method
    shown = getattr(owner, 'path', getattr(owner, '__name__', owner))
    raise pickle.UnpicklingError(f'GLOBAL getattr({shown},{name!r})')


def _numpy() -> list[tuple[object, str]]:
    names: dict[str, object] = {
        f'numpy.{name}': kind
        for name, kind in vars(np).items()
        if isinstance(kind, type)
        and issubclass(kind, np.generic)
        and not issubclass(kind, (np.object_, np.void))
    }
    names |= {'numpy.dtype': NumpyType, 'numpy.ndarray': NumpyArray}
    for module in NUMPY_MODULES:
        names[f'{module}._reconstruct'] = rebuild_array
        names[f'{module}.scalar'] = rebuild_scalar
    return [(value, name) for name, value in names.items()]


def _paths() -> list[tuple[object, str]]:
    """Paths of the other system become pure paths."""
    here = type(pathlib.Path())
    kinds: dict[str, type[pathlib.PurePath]] = {
        **dict.fromkeys(('PosixPath', 'PurePosixPath'), pathlib.PurePosixPath),
        **dict.fromkeys(('WindowsPath', 'PureWindowsPath'), pathlib.PureWindowsPath),
        here.__name__: here,
    }
    return [
        (kind, f'{module}.{name}')
        for name, kind in kinds.items()
        for module in ('pathlib', 'pathlib._local')  # the latter in Python 3.13
    ]


def _owners() -> list[tuple[object, str]]:
    """Return the schedulers that keep one of their own functions."""
    schedulers = (OneCycleParamScheduler, OneCycleLR)  # mmengine's, torch's
    functions = ('_annealing_cos', '_annealing_linear')
    owners = [Owner(scheduler, *functions) for scheduler in schedulers]
    return [(owner, owner.path) for owner in owners]


#: For torch's ``safe_globals``; building these runs no code from the file.
SAFE_GLOBALS: list[Any] = [
    *_numpy(),
    *_paths(),
    *_owners(),
    (get_function, 'builtins.getattr'),
    HistoryBuffer,
    ConfigDict,
    argparse.Namespace,
    torch.torch_version.TorchVersion,
    *(getattr(datetime, name) for name in ('date', 'time', 'datetime', 'timedelta')),
    datetime.timezone,
    bytes,  # protocol 2 calls it for empty ones
    frozenset,
    range,
    slice,
]


def finish(value: object, seen: set[int] | None = None) -> object:
    """Put arrays and types in the place of those that stood for them.

    Args:
        value: What was read; containers are changed in place.
        seen: Containers that are done, by ``id``.
    """
    seen = set() if seen is None else seen
    if type(value) is NumpyArray:
        return value.array
    if type(value) is NumpyType:
        return value.dtype
    if type(value) is tuple:
        items = [finish(item, seen) for item in value]
        same = all(a is b for a, b in zip(items, value, strict=True))
        return value if same else tuple(items)
    if id(value) in seen:
        return value
    seen.add(id(value))
    if isinstance(value, dict):
        for key, item in list(dict.items(value)):
            dict.__setitem__(value, key, finish(item, seen))
    elif type(value) is list:
        value[:] = [finish(item, seen) for item in value]
    if isinstance(getattr(value, '__dict__', None), dict):
        finish(vars(value), seen)
    return value
