"""Read a config, and say in one sentence what is wrong with one that can't be read."""

from pathlib import Path

from mmengine.config import Config


def read_config(path: str | Path) -> Config:
    """Read a config of a model.

    Args:
        path: Path of the config.

    Returns:
        The config, its bases merged.

    Raises:
        FileNotFoundError: If there is no such file, or no such base.
        ValueError: If it can't be read, or holds no ``model``.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: there is no such config')
    try:
        cfg = Config.fromfile(path)
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
    return cfg
