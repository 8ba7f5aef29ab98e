"""Plain data of all kinds comes back from a checkpoint; forged data doesn't."""

import argparse
import datetime
import pathlib
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim import scheduler as mmengine_schedulers
from mmengine.optim.scheduler import _ParamScheduler

from mmseg_ftu.engine.safe_checkpoints import (
    DamagedCheckpointError,
    RefusedCheckpointError,
    load_local,
)

CODES = ['?', *'bBhHiIlL', *'efdgFDG', 'U3', 'S4', '>f4', '>i2', '>U2']
DATES = ['M8[s]', 'm8[25ms]', '>M8[D]']


def reload(value, path):
    torch.save(dict(value=value), path)
    return load_local(path)['value']


@pytest.mark.parametrize('code', CODES + DATES)
def test_numpy_types_arrays_and_scalars_come_back(code, tmp_path):
    kind = np.dtype(code)
    array = np.arange(6).astype('i8' if code in DATES else code).astype(kind)
    array = array.reshape(2, 3)
    value = [kind, array, np.asfortranarray(array), array[:0], array[0, 1], kind.type]
    found = reload(value, tmp_path / 'a.pth')
    assert found[0] == kind
    for ours, theirs in zip(found[1:4], value[1:4], strict=True):
        assert type(ours) is np.ndarray
        assert ours.dtype == theirs.dtype
        assert ours.flags.writeable
        np.testing.assert_array_equal(ours, theirs)
    assert found[2].flags.f_contiguous
    assert type(found[4]) is type(value[4])
    assert found[4] == value[4]
    assert found[5] is value[5]


@pytest.mark.parametrize('new_format', [True, False])
def test_other_plain_data_comes_back(new_format, tmp_path):
    now = datetime.datetime(2024, 2, 29, 12, 30)
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    value = dict(
        text=np.str_(''),
        nested=(1, [np.float32(2), {'a': (np.bool_(True), np.ones(2, np.uint8))}]),
        ordered=OrderedDict(a=1),
        counted=Counter('aab'),
        sets=({1, 2}, frozenset([3]), range(4), slice(1, 2), 1j, b'', bytearray(b'x')),
        dates=(now, now.date(), now.time(), datetime.timedelta(1)),
        zone=now.replace(tzinfo=datetime.UTC),
        paths=(pathlib.Path('/a/b'), pathlib.PurePosixPath('a')),
        version=torch.__version__,
        config=ConfigDict(a=dict(b=1)),
        options=argparse.Namespace(lr=np.float64(0.1)),
    )
    path = tmp_path / 'a.pth'
    torch.save(
        dict(value, history=history), path, _use_new_zipfile_serialization=new_format
    )
    found = load_local(path)
    assert found.pop('history').mean() == 1.5
    array = found['nested'][1][1]['a'][1]
    np.testing.assert_array_equal(array, [1, 1])
    assert array.dtype == np.uint8
    value['nested'] = found['nested'] = None
    assert found == value
    assert type(found['config']) is ConfigDict


@pytest.mark.parametrize('name', ['numpy.core.multiarray', 'numpy._core.multiarray'])
def test_names_of_both_numpys(name, tmp_path):
    torch.save([np.arange(3), np.float32(2)], tmp_path / 'here.pth')
    with (
        zipfile.ZipFile(tmp_path / 'here.pth') as old,
        zipfile.ZipFile(tmp_path / 'other.pth', 'w') as new,
    ):
        for item in old.namelist():
            data = old.read(item)
            if item.endswith('data.pkl'):
                module = np.float32(0).__reduce__()[0].__module__
                assert module.encode() in data
                data = data.replace(module.encode(), name.encode())
            new.writestr(item, data)
    array, scalar = load_local(tmp_path / 'other.pth')
    assert array.tolist() == [0, 1, 2]
    assert scalar == 2


def test_states_of_all_schedulers(tmp_path):
    """Also OneCycleLR, which keeps a function of its class."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    needed = dict(
        StepLR=dict(step_size=2), MultiStepLR=dict(milestones=[1]), PolyLR={},
        ExponentialLR=dict(gamma=0.9), CosineAnnealingLR=dict(T_max=4), ConstantLR={},
        LinearLR={}, OneCycleLR=dict(eta_max=0.1, total_steps=4),
        CosineRestartLR=dict(periods=[2], eta_min=0), ReduceOnPlateauLR={},
        StepMomentum=dict(step_size=2),
    )  # fmt: skip
    for name, options in needed.items():
        scheduler = getattr(mmengine_schedulers, name)(optimizer, **options)
        assert isinstance(scheduler, _ParamScheduler)
        found = reload(scheduler.state_dict(), tmp_path / f'{name}.pth')
        assert found == scheduler.state_dict()
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    theirs = torch.optim.lr_scheduler
    for scheduler in (
        theirs.OneCycleLR(optimizer, 0.1, total_steps=4),
        theirs.MultiStepLR(optimizer, [1, 2]),
        theirs.CyclicLR(optimizer, 0.01, 0.1),
        theirs.ReduceLROnPlateau(optimizer),
        theirs.CosineAnnealingWarmRestarts(optimizer, 2),
    ):
        state = scheduler.state_dict()
        assert reload(state, tmp_path / 'torch.pth') == state
    function = theirs.OneCycleLR._annealing_cos  # kept by older versions of torch
    assert reload(function, tmp_path / 'torch.pth') is function


class Forged:
    """Pickled as a call of ``function`` and a state for the result."""

    def __init__(self, function, arguments, state=None):
        self.reduced = (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def forged_type(subarray=None, names=None, fields=None, flags=0):
    state = (3, '<', subarray, names, fields, -1, -1, flags)
    return Forged(np.dtype, ('f8', False, True), state)


@pytest.mark.parametrize(
    'value',
    [
        forged_type(subarray=(np.dtype('f8'), (1,))),
        forged_type(names=('a',), fields={'a': (np.dtype('f8'), 0)}, flags=1),
        np.array([None, 'a'], object),
        np.zeros(2, [('a', 'f4')]),
        np.dtype('O'),
        Forged(getattr, (HistoryBuffer, '__init__')),
        Forged(getattr, (str, 'format')),
        Forged(
            np.array(0).__reduce__()[0],
            (np.ndarray, (0,), b'b'),
            (1, (10,), np.dtype('f8'), False, b'short'),
        ),
    ],
    ids=[
        'subarray',
        'fields',
        'objects',
        'record',
        'object',
        'method',
        'text',
        'short',
    ],
)
def test_forged_numpy_types_and_objects_are_refused(value, tmp_path):
    """The first two made numpy follow addresses out of the file."""
    torch.save(dict(extra=value), tmp_path / 'sly.pth')
    with pytest.raises(RefusedCheckpointError, match=r'sly\.pth is refused') as caught:
        load_local(tmp_path / 'sly.pth')
    assert 'damaged' not in str(caught.value)
    assert 'elete' not in str(caught.value)


class Strange:
    pass


def test_refusal_and_damage_are_told_apart(tmp_path):
    torch.save(dict(a=torch.zeros(9), b=Strange()), tmp_path / 'a.pth')
    with pytest.raises(RefusedCheckpointError, match=r'test_plain_data\.Strange'):
        load_local(tmp_path / 'a.pth')
    data = (tmp_path / 'a.pth').read_bytes()
    (tmp_path / 'half.pth').write_bytes(data[: len(data) // 2])
    (tmp_path / 'page.pth').write_bytes(b'<html>404</html>')
    altered = data.replace(b'Strange', b'Change_')
    (tmp_path / 'altered.pth').write_bytes(altered)
    for name in ('half', 'page', 'altered'):
        with pytest.raises(DamagedCheckpointError, match=f'{name}.pth .* is damaged'):
            load_local(tmp_path / f'{name}.pth')


def test_missing_device_is_no_damage(tmp_path):
    if torch.cuda.is_available():
        pytest.skip('needs a machine without an accelerator')
    torch.save(torch.zeros(2), tmp_path / 'a.pth')
    with pytest.raises(RuntimeError, match='CUDA'):
        load_local(tmp_path / 'a.pth', 'cuda')
