"""The commands: a module each, with its arguments and what it runs.

A module has ``add_arguments(parser)`` and ``run(**options)``, and imports what is heavy
only in the latter. ``mmseg_ftu.cli`` runs them, for ``mmseg-ftu`` and for ``tools/``.
"""
