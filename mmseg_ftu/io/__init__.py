"""Images, TIFFs, slides, tables, files that appear whole, threads; no OpenMMLab."""
