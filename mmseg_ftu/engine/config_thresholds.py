"""Thresholds of a config, of a file, and of what the command line puts over either.

Testing and prediction ask here, so that both use the same table.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_ftu.thresholds import (
    PAPER_THRESHOLDS,
    Thresholds,
    check_thresholds,
    load_thresholds,
)

METRIC = 'FTUDiceMetric'
PLACE = 'test_evaluator.thresholds'  # where ``--cfg-options`` finds the table


def find_metric(cfg: Config) -> dict[str, Any] | None:
    """Return the config's entry of ``FTUDiceMetric`` for testing, None if none."""
    evaluators = cfg.get('test_evaluator') or []
    if isinstance(evaluators, Mapping):
        evaluators = [evaluators]
    # an option alone makes an entry without a type, in a config of other origin
    found = (e for e in evaluators if str(e.get('type', METRIC)).endswith(METRIC))
    return next(found, None)


def fill_in_thresholds(cfg: Config) -> None:
    """Write the paper's table into a config whose ``FTUDiceMetric`` has none.

    To be called before ``--cfg-options`` are merged: they change an entry of the table,
    and without one that entry would be the whole table.
    """
    metric = find_metric(cfg)
    if metric is not None and metric.get('thresholds') is None:
        metric['thresholds'] = deepcopy(PAPER_THRESHOLDS)


def set_thresholds(
    cfg: Config, file: str | Path, cfg_options: Mapping[str, Any] | None
) -> None:
    """Put the thresholds of a file into the config's ``test_evaluator``.

    Args:
        cfg: The config; written into.
        file: File of thresholds, as ``load_thresholds`` reads it.
        cfg_options: Settings that override the config's, as for ``thresholds_of``.

    Raises:
        ValueError: If the file cannot be used or the config has no ``FTUDiceMetric``.
    """
    metric = find_metric(cfg)
    if metric is None:
        raise ValueError(
            f'--thresholds {file}: test_evaluator holds no {METRIC}, which alone has '
            'thresholds by data source and organ; leave it out'
        )
    metric['thresholds'] = thresholds_of(cfg, file, cfg_options)


def thresholds_of(
    cfg: Config,
    file: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the thresholds to test or predict with.

    Args:
        cfg: The config, with ``cfg_options`` merged; the paper's table counts where its
            ``test_evaluator`` has none.
        file: Table to use instead, see ``load_thresholds``.
        cfg_options: Settings of the command line, dotted keys; those of
            ``test_evaluator.thresholds`` go over the table of the file too.

    Raises:
        ValueError: If the file cannot be used or a threshold is not a number in 0..1.
    """
    if file is None:
        table = (find_metric(cfg) or {}).get('thresholds')
        return read_thresholds(PAPER_THRESHOLDS if table is None else table)
    options = {k: v for k, v in (cfg_options or {}).items() if k.startswith(PLACE)}
    if PLACE in options:
        raise ValueError(
            f'--thresholds {file} and --cfg-options {PLACE}={options[PLACE]}: give one '
            'of them'
        )
    given = load_thresholds(file)
    table = {k: with_default(v) if k != 'default' else v for k, v in given.items()}
    merged = Config(dict(test_evaluator=dict(thresholds=table)))
    merged.merge_from_dict(options)
    return read_thresholds(merged.test_evaluator.thresholds)


def read_thresholds(thresholds: Thresholds | str | Path) -> dict[str, Any]:
    """Return a table as plain, checked dictionaries.

    Args:
        thresholds: Table, or the path of a file, see ``load_thresholds``.

    Raises:
        ValueError: If the file cannot be used or a threshold is not a number in 0..1.
    """
    if not isinstance(thresholds, Mapping):
        return load_thresholds(thresholds)
    check_thresholds(thresholds)
    return {k: dict(v) if isinstance(v, Mapping) else v for k, v in thresholds.items()}


def with_default(thresholds: Mapping[str, float] | float) -> dict[str, float]:
    """Return a source's table, also where the source has one number."""
    if isinstance(thresholds, Mapping):
        return dict(thresholds)
    return {'default': thresholds}
