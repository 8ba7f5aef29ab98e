# Any prepared folder in crops of 224 px at the scale it was prepared at: for one's own
# few images. Every crop is turned and mirrored, and each colour brightened or darkened
# by up to 15 %; hue and zoom stay.
_base_ = './tissue_256x256.py'
crop_size = (224, 224)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', imdecode_backend='cv2'),
    dict(
        type='StrictAlbu',
        transforms=[
            dict(
                type='RandomCrop',
                height=crop_size[0],
                width=crop_size[1],
                pad_if_needed=True,
                border_mode=4,  # smaller images are mirrored (BORDER_REFLECT_101)
                p=1.0,
            ),
            dict(type='D4', p=1.0),
            dict(
                type='MultiplicativeNoise',
                multiplier=(0.85, 1.15),
                per_channel=True,
                p=1.0,
            ),
        ],
    ),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
