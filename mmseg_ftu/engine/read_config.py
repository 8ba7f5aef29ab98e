"""Read a config, and say in one sentence what is wrong with one that cannot be read.

``mmseg_ftu::ftu/coat_daformer_switch.py`` names a config that the package carries, as
an argument and in ``_base_``.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

from mmseg_ftu.engine.model_folder import is_model_folder, read_model_config

PACKAGE = Path(__file__).parents[1]
OWN = 'mmseg_ftu'

# mmengine takes `_base_ = 'NAME::...'` for the packages of this table only.
MODULE2PACKAGE.setdefault(OWN, OWN)


def read_config(path: str | Path) -> Config:
    """Read a config of a model.

    Args:
        path: Path of the config, ``mmseg_ftu::FOLDER/NAME.py`` for one of the package,
            or a model folder.

    Returns:
        The config, its bases merged.

    Raises:
        FileNotFoundError: If there is no such file, or no such base.
        ValueError: If it cannot be read, or holds no ``model``.
    """
    if is_model_folder(path):
        return read_model_config(path)
    file = find_config(path)
    try:
        cfg = Config.fromfile(file)
    except OSError:
        raise
    except ValueError as error:  # such as an empty FTU_DATA: it says what it is
        raise ValueError(f'{path}: {error}') from error
    except Exception as error:  # a config is a program: anything can go wrong in it
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(
            f'{path}: can not be read as a config ({type(error).__name__}: {reason})'
        ) from error
    if 'model' not in cfg:
        raise ValueError(f'{path}: holds no "model", so it is not the config of one')
    _drop_own_scope(cfg._cfg_dict)
    return cfg


def find_config(path: str | Path) -> Path:
    """Return the file of a config.

    Args:
        path: Path of the config, or ``mmseg_ftu::FOLDER/NAME.py`` for one of the
            package.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    package, separator, name = str(path).partition('::')
    if not separator or package != OWN:
        if not Path(path).is_file():
            raise FileNotFoundError(f'{path}: there is no such config')
        return Path(path)
    folder = packaged_configs()
    if not (folder / name).is_file():
        known = [p.relative_to(folder).as_posix() for p in folder.glob('[!_]*/*.py')]
        close = get_close_matches(name, known, n=3, cutoff=0) or known[:3]
        raise FileNotFoundError(
            f'{path}: the package carries no such config; the names most like it are '
            + ', '.join(f'{OWN}::{name}' for name in close)
        )
    return folder / name


def packaged_configs() -> Path:
    """Return the folder of the configs that the package carries."""
    carried = PACKAGE / '.mim' / 'configs'
    return carried if carried.is_dir() else PACKAGE.parent / 'configs'


def _drop_own_scope(part: Any) -> None:
    """Take away ``_scope_='mmseg_ftu'``, which mmengine notes in what it merges.

    It would look for a registry of that name. Everything stands in mmseg's.
    """
    if isinstance(part, dict):
        if part.get('_scope_') == OWN:
            del part['_scope_']
        part = list(part.values())
    if isinstance(part, list | tuple):
        for inner in part:
            _drop_own_scope(inner)
