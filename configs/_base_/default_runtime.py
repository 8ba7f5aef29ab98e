# Runtime: registries, processes, logging, seeds.
default_scope = 'mmseg'
custom_imports = dict(imports=['mmseg_ftu.plugin'], allow_failed_imports=False)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=42)  # the authors' seed
vis_backends = [
    dict(type='LocalVisBackend'),
    # W&B: --cfg-options visualizer.vis_backends.1.type=WandbVisBackend
    dict(type='TensorboardVisBackend'),
]
visualizer = dict(
    type='FTULocalVisualizer', vis_backends=vis_backends, name='visualizer'
)
log_processor = dict(by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
tta_model = dict(type='BinarySegTTAModel')
# tools/predict.py; every entry is an option of it, too
inference = dict(
    views=['identity', 'hflip', 'vflip'],  # paper; winners: also rot90, transpose, ...
    scales=[1.0],
    upsample='bilinear',  # to the original size; the authors' code: 'half_nearest'
)
