"""Plan, run and report a study: ``mmseg-ftu study run STUDY.py --out DIR``.

A study trains models in several ways (arms) on several folds and seeds, and says which
way is better and how sure that is. ``plan`` writes one row a run; ``run`` does what is
to do, in any number of processes that share DIR; ``status`` tells how far it is;
``collect`` merges the records into small tables; ``report`` writes the pages.
"""

import argparse
from pathlib import Path
from typing import Any

STOPPED = 'stopped; run the same command again to go on'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    actions = parser.add_subparsers(
        dest='action',
        required=True,
        metavar='plan|run|status|collect|report',
        help='what to do; ACTION --help lists its options',
    )
    plan = _add_action(actions, 'plan', 'write plan.csv, one row a run')
    plan.add_argument(
        '--extend', action='store_true', help='add new rows to a plan that is there'
    )
    _add_run(_add_action(actions, 'run', 'do the runs that are not done'))
    _add_action(actions, 'status', 'tell what is done, running, failed and to do')
    collect = _add_action(actions, 'collect', 'merge the records into small tables')
    collect.add_argument(
        '--into', type=Path, required=True, metavar='DIR', help='folder of the tables'
    )
    report = _add_action(actions, 'report', 'write report.html, report.md, results.csv')
    report.add_argument(
        '--figures', type=Path, metavar='DIR', help='folder for the pictures as SVG'
    )
    report.add_argument(
        '--partial',
        action='store_true',
        help='report a study that is not finished, and say so',
    )
    _add_only(report, 'report a part of the plan')


def _add_action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    """Add an action with what all of them take."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text)
    parser.description = f'{text[0].upper()}{text[1:]}.'
    parser.add_argument('study', type=Path, help='file that describes the study')
    parser.add_argument(
        '--out', type=Path, required=True, metavar='DIR', help='folder of the study'
    )
    parser.add_argument(
        '--records',
        type=Path,
        nargs='+',
        default=[],
        metavar='DIR',
        help='folders of collected records that count as done',
    )
    return parser


def _add_only(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument(
        '--only',
        nargs='+',
        default=[],
        metavar='KEY=VALUE[,VALUE]',
        help=f'{text}; KEY is id, model, arm, fold or seed',
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--jobs', type=int, default=1, help='runs that go on side by side (default: 1)')
    _add_only(parser, 'do a part of the plan')
    add('--retry', action='store_true', help='do failed runs again')
    add(
        '--keep-checkpoints',
        action='store_true',
        help='keep the weights of finished runs',
    )
    add(
        '--max-minutes',
        type=float,
        metavar='M',
        help='stop after M minutes; what is in progress goes on next time',
    )
    add(
        '--threads',
        type=int,
        metavar='N',
        help='threads of each run (default: the processors, shared out)',
    )
    add(
        '--executor',
        choices=('local', 'slurm'),
        default='local',
        help='where the runs go on: here, or as an array of --jobs tasks of SLURM',
    )
    add(
        '--slurm',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='parameters of submitit, such as timeout_min=240 slurm_partition=gpu',
    )


def run(action: str, **options: Any) -> int:
    """Run the command."""
    import mmseg_ftu.plugin  # noqa: F401 (first: it keeps imports quiet)
    from mmseg_ftu.study.command import ACTIONS

    return ACTIONS[action](**options)
