"""Options on what the labels of masks mean, shared by the tools that read masks."""

import argparse

WORDS = ('auto', 'nonzero')


def add_label_options(
    parser: argparse.ArgumentParser, masks: str, prefix: str = ''
) -> None:
    """Add ``--<prefix>foreground`` and ``--<prefix>ignore``.

    Args:
        parser: Parser that gets the options.
        masks: What the masks are called in the help.
        prefix: Beginning of the options' names, such as ``'pred-'``.
    """
    parser.add_argument(
        f'--{prefix}foreground',
        nargs='+',
        type=_label,
        default=['auto'],
        metavar='LABEL',
        help=f'labels that are foreground in {masks}; nonzero: all but 0, as in '
        'instance maps; auto (default): the same, but masks that have 255 and other '
        'labels are refused',
    )
    parser.add_argument(
        f'--{prefix}ignore',
        type=int,
        metavar='LABEL',
        help=f'label of {masks} that '
        + ('counts as background' if prefix else 'is left out of the scores'),
    )


def _label(word: str) -> int | str:
    if word in WORDS:
        return word
    try:
        return int(word)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{word!r}: give a label, {" or ".join(WORDS)}'
        ) from None
