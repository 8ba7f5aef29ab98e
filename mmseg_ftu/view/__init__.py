"""A local page that shows slides with the predicted units over them.

``view_predictions`` serves it: ``view_server`` answers requests, ``routes`` says which
there are, ``catalogue`` opens the images of a prediction folder, and ``viewed_image``
is one of them with all that was saved of it. The page is in ``static``: plain
JavaScript around OpenSeadragon (in ``static/openseadragon``, with its licence).
"""
