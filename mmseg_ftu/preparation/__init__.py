"""Data preparation: from source images to the folder that training reads.

``competition`` and ``pairs`` list the records of a data set, ``checking`` checks them
and ``prepare_folder`` writes them. Layout and rules are in docs/data.md.
Nothing here knows of mm* or of torch.
"""
