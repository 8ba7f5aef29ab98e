# Any prepared folder in crops of 512 px, for GPUs and networks with pretrained weights.
# To what tissue_224x224.py does it adds bends, and zoom by a fifth: such networks learn
# few images by heart.
_base_ = './tissue_256x256.py'
crop_size = (512, 512)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', imdecode_backend='cv2'),
    dict(
        type='StrictAlbu',
        transforms=[
            dict(type='RandomScale', scale_limit=0.2, p=0.5),
            dict(
                type='RandomCrop',
                height=crop_size[0],
                width=crop_size[1],
                pad_if_needed=True,
                border_mode=4,  # smaller images are mirrored (BORDER_REFLECT_101)
                p=1.0,
            ),
            dict(type='D4', p=1.0),
            dict(type='ElasticDeformation', displacement=4, smoothness=16, p=0.3),
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
train_dataloader = dict(num_workers=4, dataset=dict(pipeline=train_pipeline))
