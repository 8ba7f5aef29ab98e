# Any prepared folder (tools/prepare_hubmap.py, tools/prepare_pairs.py) in crops of 256
# px, images of any size and shape: for one's own tissue and for small machines.
#   FTU_DATA=/path/to/prepared FOLD=3 python tools/train.py ...
_base_ = './hubmap_768x768.py'
data_root = __import__('os').environ.get('FTU_DATA', 'data/tissue')
crop_size = (256, 256)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', imdecode_backend='cv2'),
    dict(
        type='StrictAlbu',
        transforms=[
            dict(type='RandomResizedCrop', size=crop_size, scale=(0.3, 1.0), p=1.0),
            dict(type='HorizontalFlip', p=0.5),
            dict(type='VerticalFlip', p=0.5),
            dict(type='RandomRotate90', p=0.5),
            dict(type='HueSaturationValue', p=0.5),
            dict(type='RandomBrightnessContrast', p=0.5),
        ],
    ),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
# Validated and tested at the prepared size, so there is no Resize.
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', imdecode_backend='cv2'),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RestoreOriginalShape'),
    dict(type='LoadAnnotations', imdecode_backend='cv2'),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RestoreOriginalShape'),
    _base_.tta_pipeline[-1],
]
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=val_pipeline),
)
test_dataloader = dict(
    num_workers=1, dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
