"""``--cfg-options KEY=VALUE ...``, as in mmseg's tools."""

import argparse
from typing import Any


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add the option; `take_cfg_options` reads what was given."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        help='override settings of the config: a.b=1 lists="[1,2]" hooks.0.begin=3',
    )


def take_cfg_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a command with ``cfg_options`` as a dict.

    Raises:
        ValueError: If one is not of the form KEY=VALUE.
    """
    return {**options, 'cfg_options': read_cfg_options(options['cfg_options'])}


def read_cfg_options(texts: list[str] | None) -> dict[str, Any] | None:
    """Read ``KEY=VALUE`` as mmengine does: numbers, booleans, lists and tuples.

    Raises:
        ValueError: If a text is of another form.
    """
    if texts is None:
        return None
    from mmengine.config import DictAction

    values: dict[str, Any] = {}
    for text in texts:
        key, separator, _ = text.partition('=')
        if not separator or not key:
            raise ValueError(f'--cfg-options {text}: write KEY=VALUE')
        parser = argparse.ArgumentParser(exit_on_error=False)
        parser.add_argument('--one', nargs='+', action=DictAction)
        try:
            values.update(parser.parse_args(['--one', text]).one)
        except (ValueError, AssertionError, argparse.ArgumentError) as error:
            raise ValueError(f'--cfg-options {text}: {error}') from error
    return values
