"""What objects of a file can be, for the command line; imports nothing."""

OBJECT_TYPES = ('annotation', 'detection')
MOST_OBJECTS = 200_000  # of one file: 300 MB with exact outlines of 100 points each
