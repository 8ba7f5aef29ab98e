# CoaT + DAFormer decoder, no auxiliary loss (the paper's "normal").
_base_ = [
    '../_base_/models/daformer_coat.py',
    '../_base_/datasets/hubmap_768x768.py',
    '../_base_/schedules/schedule_120e.py',
    '../_base_/default_runtime.py',
]
