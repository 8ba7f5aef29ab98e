"""From pixels to units: run lengths, objects, outlines, GeoJSON; no OpenMMLab."""
