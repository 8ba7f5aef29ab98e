"""From pixels to units and back: runs, objects, outlines, GeoJSON, annotations."""
