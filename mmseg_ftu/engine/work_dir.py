"""Where a run goes by default, by the data that its config names."""

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config, ConfigDict

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
