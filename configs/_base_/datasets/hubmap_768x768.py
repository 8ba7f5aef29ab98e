# Data of the paper: a folder prepared at 768 px, one fold held out, the augmentations
# of section "Training". The paper names them without magnitudes; each line says where
# its numbers come from.
#
# Set data and fold by environment variables, which reach every place of this file:
#   FTU_DATA=/path/to/prepared FOLD=3 python tools/train.py ...
# `--cfg-options data_root=... fold=3` would reach no data set, so it is refused.
dataset_type = 'HuBMAPDataset'
# mmengine's own placeholders paste the text into this source, which breaks at an
# apostrophe; and `import os` makes some versions take this for a lazy config.
environment = __import__('os').environ
data_root = environment.get('FTU_DATA', 'data/hubmap_768x768')
fold = environment.get('FOLD', '0')
del environment
img_scale = (768, 768)  # paper: images are resized to 768
meta_keys = (
    # what mmseg packs by default
    'img_path',
    'seg_map_path',
    'ori_shape',
    'img_shape',
    'pad_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'reduce_zero_label',
    # what FTUDiceMetric and the submission need
    'img_id',
    'organ',
    'data_source',
    'pixel_size',
    'original_shape',
    # of StainNormalize, where a pipeline has it: why an image could not be normalised
    'stain_failure',
)

# Numbers of albumentations 1.x defaults are those that the authors' library had at the
# time. border_mode=4 is cv2.BORDER_REFLECT_101: tissue and its mask continue mirrored,
# so no pixel needs to be ignored.
augmentations = [
    # crop: half to all of the area, back to 768; scale 0.5-2 in the authors' code
    dict(
        type='RandomResizedCrop',
        size=img_scale,
        scale=(0.5, 1.0),
        ratio=(0.8, 1.25),
        p=1.0,
    ),
    # flip
    dict(type='HorizontalFlip', p=0.5),
    dict(type='VerticalFlip', p=0.5),
    # rotate: by quarters and +-45 degrees (authors' code)
    dict(type='RandomRotate90', p=0.5),
    dict(type='Rotate', limit=45, border_mode=4, p=0.5),
    # elastic or grid distortion, as both at once tear small units apart
    dict(
        type='OneOf',
        transforms=[
            # chosen by eye: nuclei keep their shape, outlines of units bend
            dict(type='ElasticDeformation', displacement=4, smoothness=16, p=1.0),
            # albumentations' default
            dict(
                type='GridDistortion',
                num_steps=5,
                distort_limit=0.3,
                border_mode=4,
                p=1.0,
            ),
        ],
        p=0.3,
    ),
    # HSV: albumentations' default, in units of OpenCV's 8-bit HSV
    dict(
        type='HueSaturationValue',
        hue_shift_limit=20,
        sat_shift_limit=30,
        val_shift_limit=20,
        p=0.5,
    ),
    # brightness and contrast: albumentations' default
    dict(
        type='RandomBrightnessContrast',
        brightness_limit=0.2,
        contrast_limit=0.2,
        p=0.5,
    ),
    # noise: std of 3 to 7 grey levels, GaussNoise(var_limit=(10, 50)) of 1.x
    dict(type='GaussNoise', std_range=(0.012, 0.028), p=0.2),
]

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', imdecode_backend='cv2'),
    dict(type='StrictAlbu', transforms=augmentations),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
# Resize only matters for folders prepared at another size.
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=img_scale, keep_ratio=True),
    # after Resize: predictions are compared at the size of the mask
    dict(type='LoadAnnotations', imdecode_backend='cv2'),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RestoreOriginalShape'),
    dict(type='Resize', scale=img_scale, keep_ratio=True),
    dict(type='LoadAnnotations', imdecode_backend='cv2'),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
# paper: horizontal and vertical flip, beside the image itself
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RestoreOriginalShape'),
    dict(type='Resize', scale=img_scale, keep_ratio=True),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='vertical'),
            ],
            # after the flips: the mask stays as it is, the prediction is flipped back
            [dict(type='LoadAnnotations', imdecode_backend='cv2')],
            [dict(type='PackSegInputs', meta_keys=meta_keys)],
        ],
    ),
]

train_dataloader = dict(
    batch_size=4,  # paper
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='EpochSeededSampler', shuffle=True),
    # DeepLabv3+ cannot train on one image; batch_sampler.drop_last leaves out all rests
    batch_sampler=dict(type='AtLeastTwoBatchSampler'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        fold=fold,
        split='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_size=8,  # paper
    # keeps images of different shapes out of one batch
    batch_sampler=dict(type='SameShapeBatchSampler'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        fold=fold,
        split='val',
        resolution='training',
        pipeline=val_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='SameShapeBatchSampler'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        fold=fold,
        split='val',
        resolution='original',
        pipeline=test_pipeline,
    ),
)

# Probability above which a pixel is foreground, by data source and organ; paper,
# section "Inference". The outermost default is for other tissue and is not the paper's.
#   --cfg-options test_evaluator.thresholds.HPA.lung=0.2
thresholds = dict(
    HPA=dict(default=0.5, lung=0.15),
    Hubmap=dict(default=0.4, lung=0.1),
    default=0.5,
)
val_evaluator = dict(type='FTUDiceMetric', thresholds=thresholds)
test_evaluator = dict(type='FTUDiceMetric', thresholds=thresholds)
