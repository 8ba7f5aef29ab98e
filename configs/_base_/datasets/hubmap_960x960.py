# The competition's data prepared at 960 px (tools/prepare_hubmap.py --size 960), one
# image a batch; all else as at 768 px.
_base_ = './hubmap_768x768.py'
data_root = __import__('os').environ.get('FTU_DATA', 'data/hubmap_960x960')
img_scale = (960, 960)
augmentations = [
    dict(_base_.augmentations[0], size=img_scale),
    *_base_.augmentations[1:],
]
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='StrictAlbu', transforms=augmentations),
    *_base_.train_pipeline[3:],
]
resize = dict(type='Resize', scale=img_scale, keep_ratio=True)
val_pipeline = [
    _base_.val_pipeline[0],
    resize,
    *_base_.val_pipeline[2:],
]
test_pipeline = [
    *_base_.test_pipeline[:2],
    resize,
    *_base_.test_pipeline[3:],
]
tta_pipeline = [
    *_base_.tta_pipeline[:2],
    resize,
    *_base_.tta_pipeline[3:],
]
train_dataloader = dict(
    batch_size=1, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
val_dataloader = dict(
    batch_size=1, dataset=dict(data_root=data_root, pipeline=val_pipeline)
)
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
