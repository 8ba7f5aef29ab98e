"""Where a run goes: by default by the data that its config names; one run a folder."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from mmseg_ftu.io.launched_as import launched_as
from mmseg_ftu.prepared_table import parse_fold


def default_work_dir(cfg: Config, config: str) -> str:
    """Return ``work_dirs/<config name>/fold_<fold>``, so that folds stay apart.

    Training on all folds (``split='all'``) gives ``.../all``; several folds, or data
    sets without folds, ``work_dirs/<config name>``.
    """
    names = {
        'all' if part.get('split') == 'all' else f'fold_{parse_fold(part["fold"])}'
        for part in dataset_configs(cfg.get('train_dataloader'))
        if 'fold' in part
    }
    folder = Path('work_dirs') / Path(config).stem
    return str(folder / names.pop() if len(names) == 1 else folder)


@contextmanager
def alone_in(work_dir: Path, launcher: str = 'none') -> Iterator[None]:
    """Keep other runs out of a work dir until this one has ended, however it ends.

    Of several processes of a launcher the first speaks for all. A disk without locks
    is worth a warning.

    Args:
        work_dir: The folder; made if it is not there.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        ValueError: If another process trains there.
    """
    rank, _, _ = launched_as()
    if launcher == 'mpi':
        rank = int(os.environ.get('OMPI_COMM_WORLD_RANK', 0))
    if rank:
        yield
        return
    work_dir.mkdir(parents=True, exist_ok=True)
    with open(work_dir / '.lock', 'a') as file:
        try:
            # of this process alone: workers that outlive it for seconds do not hold it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise ValueError(
                f'{work_dir}: another process trains there and writes its checkpoints: '
                'wait for it, or name another --work-dir'
            ) from None
        except OSError as error:
            text = f'{work_dir}: two runs there would not notice each other: no locks'
            print_log(f'{text} on this disk ({error})', 'current', logging.WARNING)
        yield


def refuse_unheard(cfg: Config, name: str, variable: str) -> None:
    """Raise ValueError where a top-level setting differs from that of a data set."""
    for kind in ('train', 'val', 'test'):
        for part in dataset_configs(cfg.get(f'{kind}_dataloader')):
            if name in part and str(part[name]) != str(cfg[name]):
                raise ValueError(
                    f'--cfg-options {name}={cfg[name]}: the {kind} data would still '
                    f'have {name}={part[name]}; set the environment variable '
                    f'{variable} instead, which reaches all data sets'
                )


def dataset_configs(cfg: ConfigDict | None) -> Iterator[ConfigDict]:
    """Yield the configs of data sets inside a data loader's and inside wrappers."""
    inner = (cfg or {}).get('dataset') or (cfg or {}).get('datasets')
    if inner is None:
        return
    for part in inner if isinstance(inner, (list, tuple)) else [inner]:
        if 'dataset' in part or 'datasets' in part:
            yield from dataset_configs(part)
        else:
            yield part
