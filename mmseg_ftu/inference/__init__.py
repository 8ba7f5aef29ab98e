"""From an image of any size to a probability map, a mask and files."""
