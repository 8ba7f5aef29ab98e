"""What the options of prediction can be, apart from what they do.

The command line offers these; nothing here needs torch.
"""

from mmseg_ftu.masks import object_types

#: The eight symmetries of a square: transposed or not, then flipped along (H, W).
VIEWS = {
    'identity': (False, ()),
    'hflip': (False, (-1,)),
    'vflip': (False, (-2,)),
    'rot180': (False, (-2, -1)),
    'transpose': (True, ()),
    'rot90': (True, (-2,)),  # counter-clockwise
    'rot270': (True, (-1,)),
    'antitranspose': (True, (-2, -1)),
}
MODES = ('auto', 'whole', 'tiles')
UPSAMPLINGS = ('bilinear', 'half_nearest')
KINDS = ('masks', 'overlays', 'geojson', 'probabilities', 'units', 'submission')
#: QuPath draws detections quickly, and lets people edit annotations.
OBJECT_TYPES = ('auto', *object_types.OBJECT_TYPES)
MOST_ANNOTATIONS = 2000  # of an image; with 'auto', more are detections
ORIGINS = ('bounds', 'slide')
OUTLINES = ('exact', 'smooth')
# Largest distance of a smooth outline from the exact one. Of the points of real
# glands a tenth is left; see docs/howto/outlines.md.
SMOOTH = 1.5  # px
MASK_FORMATS = ('auto', 'png', 'tif')
# Networks are unsure of tiles that are nearly all glass; 5 % of a tile of 768 px at
# 1.56 um/px is a fragment of 270 x 270 um.
LEAST_TISSUE = 0.05  # share of a tile, 0..1
