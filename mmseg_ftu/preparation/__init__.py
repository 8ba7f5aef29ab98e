"""Data preparation: from source images to the folder that training reads.

``competition`` and ``pairs`` list the records of a data set, ``prepare_folder`` checks
and writes them. ``stain_target`` makes a target of typical tiles. Layout and rules are
in docs/howto/data.md. Nothing here knows of OpenMMLab or of torch.
"""
