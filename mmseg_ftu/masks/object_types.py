"""What an object can be in QuPath; imports nothing, the command line offers it."""

OBJECT_TYPES = ('annotation', 'detection')
