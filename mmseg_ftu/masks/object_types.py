"""Types of objects in QuPath, for the command line; imports nothing."""

OBJECT_TYPES = ('annotation', 'detection')
