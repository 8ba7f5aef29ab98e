"""Data preparation: from source images to the folder that training reads.

``competition`` and ``pairs`` list the records of a data set, ``cache`` checks and
writes them, ``image_io`` reads what people call an image. Layout and rules are in
docs/data.md. Nothing here knows of mm* or of torch.
"""
