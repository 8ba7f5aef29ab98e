"""Send a model folder to the Hugging Face Hub: ``mmseg-ftu publish DIR hf://OWNER/REPO``.

Log in first: ``hf auth login``, or set HF_TOKEN. --dry-run says what would be sent.
"""

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add('folder', type=Path, help='model folder, as `export model` writes it')
    add('address', help='hf://OWNER/REPO, or hf://OWNER/REPO@BRANCH')
    add('--dry-run', action='store_true', help='say what would be sent; send nothing')
    add(
        '--private',
        action='store_true',
        help='make a new repository private, and refuse a public one',
    )
    add(
        '--overwrite',
        action='store_true',
        help='replace files of the repository that publish did not send',
    )
    add('--message', help="message of the commit (default: the model's name)")


def run(**options: Any) -> None:
    """Run the command."""
    import mmseg_ftu.plugin  # noqa: F401 (first: it keeps imports quiet)
    from mmseg_ftu.export.publish import publish

    publish(**options)
