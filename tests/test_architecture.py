"""The floors of the package: who may import whom, and what an import may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'mmseg_ftu'
# From the ground up; docs/explanation/architecture.md says what each room is for.
FLOORS = [
    {'version', 'dependencies', 'allocator'},
    {'io', 'masks', 'stain'},
    {'prepared_folder', 'prepared_table', 'recipe', 'painted_source', 'thresholds'},
    {'switched_aux_loss', 'models', 'datasets', 'engine'},
    {'evaluation', 'units'},
    {'inference', 'preparation', 'report', 'view', 'study', 'export', 'sample_tissue'},
    {'plugin', 'commands', 'cli', '__init__', '__main__'},
]
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}
HEAVY = {'torch', 'mmengine', 'mmcv', 'mmseg', 'mmpretrain', 'timm', 'albumentations'}
LIGHT = [
    *('stain', 'masks', 'io', 'recipe', 'painted_source', 'prepared_folder'),
    *('prepared_table', 'thresholds', 'cli'),
]


def room_of(path: Path, package: Path = PACKAGE) -> str:
    return path.relative_to(package).with_suffix('').parts[0]


def imported_rooms(path: Path, package: Path = PACKAGE) -> set[str]:
    """List the rooms of the package that a file imports, also inside functions."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f'{path}: relative import in line {node.lineno}'
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and 'import' in ast.unparse(node.func):
            names = [a.value for a in node.args if isinstance(a, ast.Constant)]
        for name in map(str, names):
            first, *rest = name.split('.')
            if first == 'mmseg_ftu':
                is_room = rest and ((package / rest[0]).is_dir() or rest[0] in FLOOR_OF)
                rooms.add(rest[0] if is_room else '__init__')
    return rooms - {room_of(path, package)}


@pytest.mark.parametrize(
    ('line', 'room'),
    [
        ('from mmseg_ftu.inference.predictor import FTUPredictor', 'inference'),
        ('    import mmseg_ftu.inference', 'inference'),
        ('from mmseg_ftu import FTUPredictor', '__init__'),
        ('import mmseg_ftu', '__init__'),
        ("importlib.import_module('mmseg_ftu.inference')", 'inference'),
        ("x = __import__('mmseg_ftu')", '__init__'),
    ],
)
def test_each_way_to_import_is_seen(tmp_path, line, room):
    folder = tmp_path / 'mmseg_ftu' / 'masks'
    folder.mkdir(parents=True)
    for name in ('inference', 'masks'):
        (tmp_path / 'mmseg_ftu' / name).mkdir(exist_ok=True)
    indent = 'def run():\n' if line.startswith(' ') else ''
    (folder / 'hole.py').write_text(f'{indent}{line}\n')
    assert imported_rooms(folder / 'hole.py', tmp_path / 'mmseg_ftu') == {room}


@pytest.fixture(scope='module')
def imports() -> dict[str, dict[str, set[str]]]:
    """Return room -> imported room -> the files that do it."""
    found: dict[str, dict[str, set[str]]] = {}
    files = [p for p in PACKAGE.rglob('*.py') if '.mim' not in p.parts]
    assert len(files) > 100
    for path in files:
        for room in imported_rooms(path):
            importers = found.setdefault(room_of(path), {})
            importers.setdefault(room, set()).add(str(path.relative_to(ROOT)))
    return found


def test_every_room_has_a_floor():
    rooms = {room_of(p) for p in PACKAGE.rglob('*.py') if '.mim' not in p.parts}
    assert rooms == set(FLOOR_OF)


def test_a_floor_imports_from_its_own_and_lower_floors_only(imports):
    upward = [
        f'{sorted(files)} of floor {FLOOR_OF[room]} import {other}, floor '
        f'{FLOOR_OF[other]}'
        for room, others in imports.items()
        for other, files in others.items()
        if FLOOR_OF[other] > FLOOR_OF[room]
    ]
    assert not upward


def test_no_two_rooms_import_each_other(imports):
    mutual = {
        tuple(sorted((room, other)))
        for room, others in imports.items()
        for other in others
        if room in imports.get(other, {}) and '__init__' not in (room, other)
    }
    assert not mutual


@pytest.mark.parametrize('blocked', [(), ('mmengine', 'mmcv', 'mmseg', 'torch')])
def test_lower_floors_load_nothing_heavy(blocked):
    """In a fresh interpreter, also where OpenMMLab and torch can't be imported."""
    files = [f for room in LIGHT for f in sorted(PACKAGE.glob(f'{room}/*.py'))]
    names = [f'mmseg_ftu.{p.parent.name}.{p.stem}' for p in files]
    names += [f'mmseg_ftu.{room}' for room in LIGHT]
    names = [name.removesuffix('.__init__') for name in names]
    names = [name for name in names if name != 'mmseg_ftu.stain.torch_apply']
    assert len(names) > 30
    code = (
        'import importlib, sys\n'
        f'sys.modules.update(dict.fromkeys({blocked!r}))\n'
        f'for name in {names!r}: importlib.import_module(name)\n'
        f'print(sorted(n for n in {sorted(HEAVY)!r} if sys.modules.get(n)))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == '[]'
