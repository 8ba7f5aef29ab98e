"""``python -m mmseg_ftu COMMAND ...`` is ``mmseg-ftu COMMAND ...``."""

from mmseg_ftu.cli import main

if __name__ == '__main__':
    raise SystemExit(main())
