"""``mmseg-ftu COMMAND ...`` and the scripts of ``tools/``: one way to run a command.

The exit code is the same for all commands: 0 for done; 1 where some images failed, each
named, where a training diverged, or for an error in the program, with its traceback; 2
for wrong arguments or input, in one sentence; 130 after Ctrl-C.
``MMSEG_FTU_TRACEBACK=1`` shows the traceback behind a sentence, too.
"""

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from mmseg_ftu.allocator import keep_freed_memory
from mmseg_ftu.version import __version__

#: Command -> its module in ``mmseg_ftu.commands``; ``tools/`` has the same names.
COMMANDS = {
    'sample-data': 'make_sample_data',
    'prepare hubmap': 'prepare_hubmap',
    'prepare pairs': 'prepare_pairs',
    'prepare slides': 'prepare_slides',
    'draw-prepared': 'draw_prepared',
    'stain-target': 'make_stain_target',
    'draw-stains': 'draw_stains',
    'train': 'train',
    'test': 'test',
    'predict': 'predict',
    'evaluate': 'evaluate',
    'units': 'units',
    'thresholds': 'fit_thresholds',
    'report': 'report',
    'view': 'view',
    'study': 'study',
    'export model': 'export_model',
    'export onnx': 'export_onnx',
    'export bioimageio': 'export_bioimageio',
    'publish': 'publish',
    'colour-baseline': 'colour_baseline',
}
#: Modules whose processes are faster if they keep freed memory (docs/performance.md).
KEEP_MEMORY = ('train', 'test', 'predict', 'prepare_hubmap', 'prepare_pairs')
FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130  # 2 is argparse's, 130 the shell's
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # no wrong input
PACKAGE = Path(__file__).resolve().parent


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``mmseg-ftu``.

    Args:
        argv: Words after the program's name; None takes those of the process.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for command, module in COMMANDS.items():
        names = command.split()
        if words[: len(names)] == names:
            if argv is None and module in KEEP_MEMORY:
                keep_freed_memory()
            return run_command(module, words[len(names) :], f'mmseg-ftu {command}')
    if words and words[0] == '--version':
        print(f'mmseg_ftu {__version__}')
        return 0
    if words and words[-1] in ('-h', '--help'):
        found = overview(' '.join(words[:-1]))
        if found:
            print(found)
            return 0
    given = f'{" ".join(words[:2])!r} is not a command' if words else 'no command'
    print(f'error: {given}\n\n{overview()}', file=sys.stderr)
    return WRONG_INPUT


def run_tool(module: str) -> NoReturn:
    """Run a command as the script of ``tools/`` of that name, and exit."""
    if module in KEEP_MEMORY:
        keep_freed_memory()
    raise SystemExit(run_command(module, sys.argv[1:]))


def run_command(module: str, argv: Sequence[str], program: str | None = None) -> int:
    """Read the arguments of a command and run it.

    Args:
        module: Name in ``mmseg_ftu.commands``.
        argv: Arguments of the command.
        program: How messages call it; None takes the script's name.

    Returns:
        The exit code.
    """
    command = None
    try:
        command = import_module(f'mmseg_ftu.commands.{module}')
        options = vars(make_parser(command, program).parse_args(argv))
        return command.run(**options) or 0
    except KeyboardInterrupt:
        print(getattr(command, 'STOPPED', 'stopped'), file=sys.stderr)
        return INTERRUPTED
    except FloatingPointError as error:  # a training that diverges
        print(f'error: {error}', file=sys.stderr)
        return FAILED
    except (ValueError, OSError, ImportError) as error:
        if not is_foreseen(error):
            traceback.print_exc()
            return FAILED
        if os.environ.get('MMSEG_FTU_TRACEBACK'):
            traceback.print_exc()
        print(f'error: {error}', file=sys.stderr)
        if getattr(error, 'errno', None) in DISK_FAULTS:
            return FAILED
        return getattr(error, 'exit_code', WRONG_INPUT)
    except Exception as error:
        # mmengine turns Ctrl-C into other errors while it formats a config
        if not any(isinstance(cause, KeyboardInterrupt) for cause in _causes(error)):
            raise
        print(getattr(command, 'STOPPED', 'stopped'), file=sys.stderr)
        return INTERRUPTED


def make_parser(command: ModuleType, program: str | None) -> argparse.ArgumentParser:
    """Return the parser of a command's arguments."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    return parser


def overview(group: str = '') -> str:
    """Return a line for each command: its name and the first line of its docstring.

    Args:
        group: First word of the commands, such as ``prepare``; '' lists all.

    Returns:
        The text, '' if there is no such command.
    """
    lines = ['usage: mmseg-ftu COMMAND ..., and COMMAND --help for its options', '']
    listed = {c: m for c, m in COMMANDS.items() if group in ('', c.split()[0])}
    if not listed:
        return ''
    for command, module in listed.items():
        text = import_module(f'mmseg_ftu.commands.{module}').__doc__ or ''
        summary = text.splitlines()[0].partition(': ``')[0].rstrip('.')
        lines.append(f'  {command:18} {summary}')
    return '\n'.join([*lines, '', 'mmseg-ftu --version tells the version'])


def is_foreseen(error: BaseException) -> bool:
    """Tell whether an error is one that this package raises to explain something.

    Others are errors in the program, and their traceback is needed. mmengine wraps what
    is raised while it builds an object, so causes count too. Errors of the disk and of
    missing packages explain themselves.
    """
    if isinstance(error, OSError | ImportError):
        return True
    return any(_raised_here(cause) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _raised_here(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(PACKAGE)


if __name__ == '__main__':
    raise SystemExit(main())
