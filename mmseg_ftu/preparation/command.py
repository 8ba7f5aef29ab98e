"""Run a preparation from the command line: one sentence an error, no traceback."""

import sys
from collections.abc import Callable

# 2 is argparse's code for wrong usage, 128 + SIGINT the shell's for Ctrl-C.
FAULTY_INPUT, INTERRUPTED = 2, 130


def run_or_explain(prepare: Callable[..., str], *args, **kwargs) -> int:
    """Call a function, print its summary, and explain foreseeable errors on stderr.

    Args:
        prepare: Returns a summary for people.
        *args: Its arguments.
        **kwargs: Its keyword arguments.

    Returns:
        Exit code: 0, 2 for a faulty source or a disk that refuses, 130 for Ctrl-C.
    """
    try:
        print(prepare(*args, **kwargs))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return FAULTY_INPUT
    except KeyboardInterrupt:
        print('stopped; run the same command again to go on', file=sys.stderr)
        return INTERRUPTED
    return 0
